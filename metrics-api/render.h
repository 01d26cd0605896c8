// SPDX-License-Identifier: Apache-2.0
// Rows to JSON. Pure; appends to a buffer. Written by hand, since a general JSON library took most
// of the time of an answer.
#ifndef STREAMLENS_RENDER_H
#define STREAMLENS_RENDER_H

#include "common/core/buf.h"
#include "metrics-api/row.h"

// {"metrics":[…],"count":n}: begin, each row, end.
struct render_metrics {
    struct buf *out; // borrowed
    int64_t count;
    int64_t day_us; // of day: most rows of an answer lie in one
    char day[16];   // "2026-11-21T"
};
void render_metrics_begin(struct render_metrics *r, struct buf *out);
void render_metrics_row(struct render_metrics *r, const struct row *row);
void render_metrics_end(struct render_metrics *r);

// The shortest decimal that reads back as the same double, and of those the nearest; null where the
// value is not finite.
void render_double(struct buf *out, double d);
void render_int(struct buf *out, int64_t n);

#endif
