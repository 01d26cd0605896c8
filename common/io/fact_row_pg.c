// SPDX-License-Identifier: Apache-2.0
#include "common/io/fact_row_pg.h"

#define JSONB_VERSION 1 // what its binary form begins with, before the text

enum {
    AT_START,
    AT_GREATEST,
    AT_SUMS,
    AT_UPDATED,
    AT_COST,
    AT_REPORTED,
    AT_COSTS,
    AT_ERRORS,
    AT_REASONS,
    AT_LATENCY,
    AT_TTFT,
    AT_QUANTILES,
    AT_PUBLISHED,
};
static const char *const column_names[FACT_PACK_PG_COUNT] = {
    "window_start",       "maxima",    "sums",          "updated_at",     "cost_pusd",
    "reported_cost_pusd", "costs",     "error_classes", "finish_reasons", "latency_hdr",
    "ttft_hdr",           "quantiles", "publish_seq"};

static bool take_i64s(struct pg_array *a, int64_t null, int64_t *out, int n)
{
    for (int i = 0; i < n; i++)
        if (!pg_array_i64(a, null, &out[i]))
            return false;
    return true;
}

static bool take_money(struct pg_array *a, money *out)
{
    struct str s;
    struct err e;
    return pg_array_next(a, &s) && s.p && money_read_numeric(s, out, &e) == 0;
}

static bool take_object(struct pg_array *a, struct str *out)
{
    if (!pg_array_next(a, out) || out->n < 1 || out->p[0] != JSONB_VERSION)
        return false;
    *out = (struct str){out->p + 1, out->n - 1};
    return true;
}

int fact_pack_begin(struct fact_pack *p, const PGresult *r, int row, int column, int64_t window_us,
                    struct err *e)
{
    p->window_us = window_us;
    for (int i = 0; i < FACT_PACK_PG_COUNT; i++)
        if (!pg_array_begin(&p->columns[i], r, row, column + i))
            return err_field(e, column_names[i], -1, "the column of row %d is no array", row);
    return 0;
}

#define TAKE(name) &&pg_array_i64(a, 0, &row->name)
static bool take_greatest(struct pg_array *a, struct fact_row *row)
{
    return true TAKE(latency_max_us) TAKE(ttft_max_us) TAKE(price_version) TAKE(revision);
}

// In the order of FACT_PACK_PG_COLUMNS, with a 0 behind; costs likewise.
static bool take_sums(struct pg_array *a, struct fact_row *row)
{
    int64_t end;
    return true FACT_SUMS(TAKE) && pg_array_i64(a, 0, &end);
}
#undef TAKE

static bool take_cost(struct pg_array *a, money *out)
{
    int64_t pusd;
    if (!pg_array_i64(a, 0, &pusd))
        return false;
    *out = pusd;
    return true;
}

static bool take_costs(struct pg_array *a, struct fact_row *row)
{
    int64_t end;
#define TAKE(name) &&take_cost(a, &row->name)
    return true FACT_COSTS(TAKE) && pg_array_i64(a, 0, &end);
#undef TAKE
}

static bool take_quantiles(struct pg_array *a, struct fact_row *row)
{
    return take_i64s(a, -1, row->latency_us, FACT_QUANTILE_COUNT) &&
           take_i64s(a, -1, row->ttft_us, FACT_QUANTILE_COUNT);
}

static bool take_published(struct pg_array *a, struct fact_row *row)
{
    return pg_array_i64(a, 0, &row->publish_seq) && pg_array_i64(a, 0, &row->late);
}

int fact_pack_next(struct fact_pack *p, struct fact_row *row, struct err *e)
{
    if (p->columns[AT_START].left <= 0)
        return 0;
    *row = (struct fact_row){0};
    for (int i = 0; i < FACT_QUANTILE_COUNT; i++)
        row->latency_us[i] = row->ttft_us[i] = -1;
#define READ(column, get, ...)                                                                     \
    if (p->columns[column].at && !get(&p->columns[column], __VA_ARGS__))                           \
        return err_field(e, column_names[column], -1, "the column has another form");
    READ(AT_START, pg_array_time, &row->window_start_us)
    READ(AT_GREATEST, take_greatest, row)
    READ(AT_SUMS, take_sums, row)
    READ(AT_UPDATED, pg_array_time, &row->updated_at_us)
    READ(AT_COST, take_money, &row->cost)
    READ(AT_REPORTED, take_money, &row->reported_cost)
    READ(AT_COSTS, take_costs, row)
    READ(AT_ERRORS, take_object, &row->error_classes)
    READ(AT_REASONS, take_object, &row->finish_reasons)
    READ(AT_LATENCY, pg_array_next, &row->latency_hdr)
    READ(AT_TTFT, pg_array_next, &row->ttft_hdr)
    READ(AT_QUANTILES, take_quantiles, row)
    READ(AT_PUBLISHED, take_published, row)
#undef READ
    row->window_end_us = row->window_start_us + p->window_us;
    return 1;
}
