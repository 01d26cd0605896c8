// SPDX-License-Identifier: Apache-2.0
// Times and durations as a client writes them. Pure: the time of asking is an argument.
#ifndef STREAMLENS_QUESTION_TIME_H
#define STREAMLENS_QUESTION_TIME_H

#include "common/core/timeunit.h"

#define QUESTION_DURATION_MAX_US (36500 * US_PER_DAY)

// A whole number of seconds, or numbers with the units w d h m s, each at most once and the greater
// before the smaller: "300", "5m", "1h30m", "1w". Up to QUESTION_DURATION_MAX_US. -1: anything
// else.
int question_duration_parse(struct str text, int64_t *out_us) MUST_CHECK;

enum question_time_kind { TIME_MISSING, TIME_AT, TIME_FROM_NOW };
struct question_time {
    enum question_time_kind kind;
    int64_t us; // TIME_AT: since 1970; TIME_FROM_NOW: later than now
};
// - RFC 3339; a space may stand for the + of its offset, as which a query string reads it;
// - seconds since 1970 below 10^11 and milliseconds from there on, with up to 9 decimals;
// - now, now-DURATION, now+DURATION (again, or a space for the +).
// -1: anything else.
int question_time_parse(struct str text, struct question_time *out) MUST_CHECK;

// To the whole minute at or after it: a window belongs to a range by its start. -1: not in the
// years 0001 to 9999. Not of TIME_MISSING.
int question_time_resolve(const struct question_time *t, int64_t now_us,
                          int64_t *out_us) MUST_CHECK;
// To the whole minute at or before it, likewise.
int question_time_minute(const struct question_time *t, int64_t now_us, int64_t *out_us) MUST_CHECK;

#endif
