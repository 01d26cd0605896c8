// SPDX-License-Identifier: Apache-2.0
// When a window is closed (DESIGN 4, rule 7). Decides when it is published, never what is counted.
#ifndef STREAMLENS_CLOSING_H
#define STREAMLENS_CLOSING_H

#include "processor/position.h"

struct closing_rule {
    int64_t grace_ms; // WINDOW_GRACE_MS
    int64_t wait_ms;  // CLOSE_WAIT_MS
};

// How far the partitions are: the least and the greatest stored time over all N partitions and both
// topics; TIME_NONE for the least where one has none, for the greatest where none has one.
struct closing_progress {
    int64_t through_ms, lead_ms;
};

// A window that is not complete yet.
struct closing_window {
    int64_t start_us;
    bool closed;           // published without some partitions already
    int64_t held_since_ms; // wall clock of who decides: since when others hold it back; TIME_NONE
};

enum closing_verdict {
    CLOSING_OPEN,     // nobody is past its end + grace
    CLOSING_HELD,     // somebody is, others are not: wait (and note since when)
    CLOSING_PARTIAL,  // held back for wait_ms: closed without them, complete: false
    CLOSING_COMPLETE, // all are past it
};
enum closing_verdict closing_judge(const struct closing_window *w, const struct closing_rule *rule,
                                   const struct closing_progress *progress, int64_t now_ms);

#endif
