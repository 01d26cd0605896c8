// SPDX-License-Identifier: Apache-2.0
// The settings epochs of one partition (DESIGN 2.2), and what they make of rule 3 of section 4: who
// waits for whom, what is a repetition, and how far back a replay must reach.
//
// An epoch holds for those records of both topics whose topic time (running maximum of
// LogAppendTime) is at least from_ms. It is one instant for both topics, since a rule that changed
// at a different time in each would let one answer fit two requests. The instant is chosen when the
// epoch is opened, later than any record that can have been read by then, so that nothing is judged
// anew that was counted, or that went to the dead letters.
//
// Each record's own epoch says how long it waits: a request at t for answers up to
// answer_by(t) = t + TTL, an answer at s for requests up to request_by(s) = s + skew. Where an
// epoch shortens the wait, records after the border wait at least as long as the last one before
// it, so that both functions never fall. Then
//   - t and s match iff s <= answer_by(t) and t <= request_by(s);
//   - a request at x repeats one seen at y iff x <= request_by(answer_by(y)), and answers likewise
//     by answer_by(request_by(y)): whatever could fit the same partner. With one epoch that is
//     x - y <= TTL + skew;
// and so every survivor has at most one partner, also across a border.
#ifndef STREAMLENS_SETTINGS_H
#define STREAMLENS_SETTINGS_H

#include "common/core/base.h"
#include "common/core/config.h"
#include "common/core/event.h"

#define TIME_NONE INT64_MIN // no record seen yet; of an epoch: from the beginning

struct settings_epoch {
    int64_t epoch;   // 1, 2, …
    int64_t from_ms; // topic time; TIME_NONE where no earlier one is known
    int64_t ttl_ms, skew_ms;
    int64_t series_epoch; // the epoch that gave the cap of series its present value: names are
                          // assigned to rows within it
};

// Opening more than SETTINGS_EPOCHS_MAX within the reach of the log is refused.
struct settings {
    size_t count; // >= 1
    // Oldest first: the first from TIME_NONE on, then strictly later. One that another replaced at
    // the same instant holds for nothing and is left out.
    struct settings_epoch epochs[SETTINGS_EPOCHS_MAX];
};

const struct settings_epoch *settings_newest(const struct settings *s);
// The epoch of a record at this topic time.
const struct settings_epoch *settings_at(const struct settings *s, int64_t time_ms);

int64_t settings_answer_by(const struct settings *s, int64_t request_ms);
int64_t settings_request_by(const struct settings *s, int64_t response_ms);
// Until when a record of the kind repeats one seen at time_ms.
int64_t settings_repeat_until(const struct settings *s, enum event_kind kind, int64_t time_ms);

// The inverse: the least time that a record at now_ms could be a repetition of. Never falls as
// now_ms rises. TIME_NONE for TIME_NONE.
int64_t settings_remembered_from(const struct settings *s, enum event_kind kind, int64_t now_ms);
// The topic time from which both logs must be read to know all that matters at time_ms: what is
// remembered then, and what was remembered when that was judged. With one epoch that is
// time_ms - 2 (TTL + skew). TIME_NONE for TIME_NONE.
int64_t settings_replay_from(const struct settings *s, int64_t time_ms);

#endif
