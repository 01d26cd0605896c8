// SPDX-License-Identifier: Apache-2.0
// Facts as PostgreSQL gives them. Rows come in packs, all of one series in one row of the result,
// each column an array: a row of forty columns costs both sides three times as much (16,800 rows
// of 60 filled buckets: 217 ms as rows, 94 as packs).
//
//     SELECT FACT_PACK_PG_COLUMNS("$8"), … FROM
//         llm_series s CROSS JOIN LATERAL (SELECT … FROM llm_minute m WHERE …) …
#ifndef STREAMLENS_FACT_ROW_PG_H
#define STREAMLENS_FACT_ROW_PG_H

#include "common/core/err.h"
#include "common/core/fact_row.h"
#include "common/io/pg_array.h"

// What is read beside the sums, as bits of an int4 parameter; the rest is not even fetched.
enum {
    FACT_WANT_COSTS = 1, // cost and reported_cost
    FACT_WANT_OBJECTS = 2,
    FACT_WANT_LATENCY_HDR = 4,
    FACT_WANT_TTFT_HDR = 8,
    FACT_WANT_QUANTILES = 16,
    FACT_WANT_PUBLISHED = 32, // publish_seq and late, of p (llm_publish), which may have NULLs
    FACT_WANT_SUMS = 64,      // FACT_SUMS, and updated_at
    FACT_WANT_CLASSES = 128,  // FACT_COSTS
};

// clang-format off

#define FACT_PACK_PG_NAME(name) "m." #name ", "
#define FACT_PACK_PG_COST(name) "m." #name "_pusd, "
#define FACT_PACK_PG_QUANTILES(h)                                                                  \
    "m." #h "_p50_us, m." #h "_p90_us, m." #h "_p95_us, m." #h "_p99_us"
#define FACT_PACK_PG_WHERE(wants, bit)                                                             \
    " FILTER (WHERE " wants " & " #bit " <> 0)"
// Aggregates over m, the rows; wants is an SQL expression. Then those over p (llm_publish), or the
// column without it.
#define FACT_PACK_PG_COLUMNS(wants)                                                                \
    "array_agg(m.window_start) AS f_start,"                                                        \
    " array_agg(ARRAY[m.latency_max_us, m.ttft_max_us, m.price_version, m.revision])"              \
    " AS f_greatest,"                                                                              \
    " array_agg(ARRAY[" FACT_SUMS(FACT_PACK_PG_NAME) "0])" FACT_PACK_PG_WHERE(wants, 64)           \
    " AS f_sums,"                                                                                  \
    " array_agg(m.updated_at)" FACT_PACK_PG_WHERE(wants, 64) " AS f_updated,"                      \
    " array_agg(m.cost_pusd)" FACT_PACK_PG_WHERE(wants, 1) " AS f_cost,"                           \
    " array_agg(m.reported_cost_pusd)" FACT_PACK_PG_WHERE(wants, 1) " AS f_reported,"              \
    " array_agg(ARRAY[" FACT_COSTS(FACT_PACK_PG_COST) "0])" FACT_PACK_PG_WHERE(wants, 128)         \
    " AS f_costs,"                                                                                 \
    " array_agg(m.error_classes)" FACT_PACK_PG_WHERE(wants, 2) " AS f_errors,"                     \
    " array_agg(m.finish_reasons)" FACT_PACK_PG_WHERE(wants, 2) " AS f_reasons,"                   \
    " array_agg(m.latency_hdr)" FACT_PACK_PG_WHERE(wants, 4) " AS f_latency,"                      \
    " array_agg(m.ttft_hdr)" FACT_PACK_PG_WHERE(wants, 8) " AS f_ttft,"                            \
    " array_agg(ARRAY[" FACT_PACK_PG_QUANTILES(latency) ", " FACT_PACK_PG_QUANTILES(ttft) "])"     \
    FACT_PACK_PG_WHERE(wants, 16) " AS f_quantiles"
#define FACT_PACK_PG_PUBLISHED(wants)                                                              \
    ", array_agg(ARRAY[coalesce(p.publish_seq, 0),"                                                \
    " coalesce(m.requests + m.responses - p.first_events, 0)])"                                    \
    FACT_PACK_PG_WHERE(wants, 32) " AS f_published"
#define FACT_PACK_PG_NO_PUBLISHED ", NULL::int8[] AS f_published"
// The columns' names, in order, for an outer SELECT.
#define FACT_PACK_PG_NAMES                                                                         \
    "f_start, f_greatest, f_sums, f_updated, f_cost, f_reported, f_costs, f_errors, f_reasons,"    \
    " f_latency, f_ttft, f_quantiles, f_published"
#define FACT_PACK_PG_NULLS                                                                         \
    "NULL::timestamptz[], NULL::int8[], NULL::int8[], NULL::timestamptz[], NULL::numeric[],"       \
    " NULL::numeric[], NULL::int8[], NULL::jsonb[], NULL::jsonb[], NULL::bytea[], NULL::bytea[],"  \
    " NULL::int8[], NULL::int8[]"

// clang-format on

enum { FACT_PACK_PG_COUNT = 13 }; // columns

// A pack being read: row `row` of a binary result, whose columns begin at `column`. NULL columns
// leave their members as "not read".
struct fact_pack {
    struct pg_array columns[FACT_PACK_PG_COUNT];
    int64_t window_us; // length of a window
};
// -1: not a pack.
int fact_pack_begin(struct fact_pack *p, const PGresult *r, int row, int column, int64_t window_us,
                    struct err *e) MUST_CHECK;
// 1 and the next row, but for its names, complete, lossy and closed, whose strings are good as long
// as the result; 0 after the last; -1 where a column has another form.
int fact_pack_next(struct fact_pack *p, struct fact_row *row, struct err *e) MUST_CHECK;

#endif
