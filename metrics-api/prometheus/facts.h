// SPDX-License-Identifier: Apache-2.0
// Facts of a series in memory: what was read of its rows, in blocks. A block holds one group of
// columns, of ten minutes or of a day's hours. Pure.
#ifndef STREAMLENS_PROMETHEUS_FACTS_H
#define STREAMLENS_PROMETHEUS_FACTS_H

#include "common/core/fact_row.h"

// What is read together (common/io/fact_row_pg.h).
enum facts_group {
    FACTS_SUMS,    // FACT_SUMS, and the greatest latency and time to first token
    FACTS_COSTS,   // FACT_COSTS, cost, reported_cost
    FACTS_OBJECTS, // error_classes, finish_reasons
    FACTS_LATENCY, // histograms
    FACTS_TTFT,
    FACTS_GROUPS,
};

// Columns of FACTS_SUMS and of FACTS_COSTS; money is in picodollars, a row's ends at an int64.
#define FACTS_COLUMN(name) FACTS_##name,
enum { FACT_SUMS(FACTS_COLUMN) FACTS_latency_max_us, FACTS_ttft_max_us, FACTS_SUM_COLUMNS };
enum { FACT_COSTS(FACTS_COLUMN) FACTS_cost, FACTS_reported_cost, FACTS_COST_COLUMNS };
#undef FACTS_COLUMN

enum facts_unit { FACTS_MINUTES, FACTS_HOURS };
#define FACTS_BLOCK_MINUTES 10 // of FACTS_MINUTES
#define FACTS_BLOCK_HOURS 24   // of FACTS_HOURS: a UTC day
#define FACTS_BLOCK_ROWS 24    // at most, of either

// A histogram's filled buckets (common/core/hist.h), ascending.
struct facts_hist {
    size_t n;
    const uint16_t *index;
    const int64_t *count;
};

// Rows of a block, ascending; of the arrays that of the group is there. Borrowed from whoever keeps
// it.
struct facts_block {
    int64_t start_us; // a multiple of the block's length
    enum facts_unit unit;
    enum facts_group group;
    uint64_t serial;           // no other block has ever had it; 0: it has none
    int64_t closed_through_us; // windows that end up to there were closed when it was read
    size_t n;
    uint8_t place[FACTS_BLOCK_ROWS]; // of row i: so many units behind start_us its window begins
    const int64_t *columns;          // SUMS, COSTS: n times FACTS_…_COLUMNS
    const struct str *objects;       // OBJECTS: n times error_classes, finish_reasons; JSON
    const struct facts_hist *hists;  // LATENCY, TTFT: n
};

static inline int64_t facts_unit_us(enum facts_unit unit)
{
    return unit == FACTS_HOURS ? INT64_C(3600000000) : INT64_C(60000000);
}
static inline int64_t facts_block_us(enum facts_unit unit)
{
    return facts_unit_us(unit) * (unit == FACTS_HOURS ? FACTS_BLOCK_HOURS : FACTS_BLOCK_MINUTES);
}

// What there is of one series and group: whole hours up to minutes_from_us (a whole hour), minutes
// from there on. Blocks ascend; those without rows may be missing. Rows outside do no harm: hours
// at or behind minutes_from_us and minutes before it are not looked at.
struct facts_rows {
    const struct facts_block *const *hours, *const *minutes;
    size_t hour_count, minute_count;
    int64_t minutes_from_us;
};

#endif
