// SPDX-License-Identifier: Apache-2.0
// Shared by samples*.c alone. Times are in ms.
#ifndef STREAMLENS_PROMETHEUS_SAMPLES_INTERNAL_H
#define STREAMLENS_PROMETHEUS_SAMPLES_INTERNAL_H

#include "common/core/money.h"
#include "common/core/timeunit.h"
#include "metrics-api/prometheus/samples.h"

#define MINUTE MS_PER_MIN
#define DAY (24 * 60 * MINUTE)

static inline int64_t floor_to(int64_t t, int64_t unit)
{
    int64_t over = t % unit;
    return t - over - (over < 0 ? unit : 0);
}

// A row of the facts that samples are made of: an hour or a minute.
struct fact {
    const struct facts_block *block;
    uint32_t row;
    bool looked_at; // it tells which variants there are
    int64_t start;
};

// Those of a metric and series, ascending: hours, and then minutes.
struct fact_list {
    struct fact *v;
    size_t hours, n;
};

// The variants of a counter, counted up fact by fact. Exact: no sum of a day overflows a money.
struct counted {
    const struct metric *metric;
    size_t n;
    struct str *labels; // NULL: there is one, without a label
    int64_t *first;     // no sample comes before: the start of the first fact that counts it
    money *sum;         // of what was added
    int *limits;        // of buckets: the greatest index of the histogram's that each has
    // Of names: what fact k counts is counts[named[k].at] and those behind.
    struct named_count {
        uint32_t variant;
        int64_t count;
    } * counts;
    struct {
        size_t at, n;
    } * named;
};
// What there is to count; in `a`, but for labels, which are in `kept`.
void counted_begin(struct counted *c, const struct metric *m, const struct fact_list *facts,
                   struct arena *a, struct arena *kept);
void counted_add(struct counted *c, const struct fact_list *facts, size_t k);
// A fact's value of METRIC_COLUMNS.
money fact_value(const struct metric *m, const struct fact *f);

#endif
