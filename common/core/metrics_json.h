// SPDX-License-Identifier: Apache-2.0
// Rows of the metrics as JSON. Pure; appends to a buffer. Written by hand, since a general JSON
// library took most of the time of an answer.
#ifndef STREAMLENS_METRICS_JSON_H
#define STREAMLENS_METRICS_JSON_H

#include "common/core/buf.h"
#include "common/core/metrics_row.h"

// Zeroed before the first row. It remembers the day of the last instant: most rows that are written
// together lie in one.
struct metrics_json {
    int64_t day_us;
    char day[16]; // "2026-11-21T"
};
// The members of the row's object, in the list's order and without the braces, so that a caller can
// add members of its own.
void metrics_json_members(struct metrics_json *j, struct buf *out, const struct metrics_row *row);

// The shortest decimal that reads back as the same double, and of those the nearest (of two that
// are equally near to a thousandth of their last digit, either); null where the value is not
// finite.
void metrics_json_double(struct buf *out, double d);
void metrics_json_int(struct buf *out, int64_t n);
// The same to where METRICS_JSON_NUMBER bytes have room, all of which may be written to; returns
// the end of the text.
#define METRICS_JSON_NUMBER 48
char *metrics_json_put_double(char *at, double d);
char *metrics_json_put_int(char *at, int64_t n);
// The instant as RFC 3339, without quotes.
void metrics_json_time(struct metrics_json *j, struct buf *out, int64_t t_us);

#endif
