// SPDX-License-Identifier: Apache-2.0
#include "processor/closing.h"

#include "common/core/timeunit.h"
#include "processor/window.h"

enum closing_verdict closing_judge(const struct closing_window *w, const struct closing_rule *rule,
                                   const struct closing_progress *progress, int64_t now_ms)
{
    int64_t at_ms = (w->start_us + WINDOW_US) / US_PER_MS + rule->grace_ms;
    if (progress->through_ms != TIME_NONE && progress->through_ms >= at_ms)
        return CLOSING_COMPLETE;
    if (progress->lead_ms == TIME_NONE || progress->lead_ms < at_ms)
        return CLOSING_OPEN;
    bool waited = w->held_since_ms != TIME_NONE && now_ms - w->held_since_ms >= rule->wait_ms;
    return waited ? CLOSING_PARTIAL : CLOSING_HELD;
}
