// SPDX-License-Identifier: Apache-2.0
// The deltas of an instance: facts per (series, one-minute window) that its tasks have counted
// since the last flush. One table for all of them: a series has records in every partition, and a
// row of each would be made, merged and freed (a backlog over 10,000 series and 12 partitions:
// 70,000 cells a flush where 20,000 rows come of it). Windows are never open or closed here; that
// is a predicate over the stored times (DESIGN 4, rule 7).
#ifndef STREAMLENS_WINDOW_H
#define STREAMLENS_WINDOW_H

#include "processor/facts.h"
#include "processor/series.h"

#define WINDOW_US INT64_C(60000000)

struct window_table;
struct window_cell {
    struct series *series;            // one reference held
    const struct window_table *table; // the series knows one cell, of any table
    int64_t window_start_us;          // a whole minute
    struct facts facts;
};

struct window_table *window_table_new(struct series_table *series); // borrowed
void window_table_free(struct window_table *t);
// The facts of the window that t_us lies in, empty when first touched.
struct facts *window_facts(struct window_table *t, struct series *series, int64_t t_us);
size_t window_count(const struct window_table *t);
struct window_cell *window_at(struct window_table *t, size_t i); // i < window_count, in no order
void window_clear(struct window_table *t);                       // after a flush

#endif
