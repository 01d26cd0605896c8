// SPDX-License-Identifier: Apache-2.0
#include "common/io/fact_row_pg.h"

#include <endian.h>

#include "common/core/timeunit.h"

// The binary form of an array: dimensions, whether it has NULLs, the elements' type, of each
// dimension its length and lower bound; then the elements, each its length (-1: NULL) and bytes.
// Instants are µs since 2000, jsonb a version byte and the text.
#define US_2000 (INT64_C(946684800) * US_PER_S)
#define JSONB_VERSION 1

enum {
    AT_START,
    AT_SUMS,
    AT_UPDATED,
    AT_COST,
    AT_REPORTED,
    AT_ERRORS,
    AT_REASONS,
    AT_LATENCY,
    AT_TTFT,
    AT_QUANTILES,
    AT_PUBLISHED,
};
static const char *const column_names[FACT_PACK_PG_COUNT] = {
    "window_start",       "sums",          "updated_at",     "cost_pusd",
    "reported_cost_pusd", "error_classes", "finish_reasons", "latency_hdr",
    "ttft_hdr",           "quantiles",     "publish_seq"};

static int32_t take_i32(struct fact_pack_column *c)
{
    uint32_t n;
    if (c->end - c->at < 4)
        return INT32_MIN;
    memcpy(&n, c->at, sizeof(n));
    c->at += 4;
    return (int32_t)be32toh(n);
}

// false: not of this form. NULL elements have p NULL.
static bool take(struct fact_pack_column *c, struct str *out)
{
    int32_t n = c->left > 0 ? take_i32(c) : INT32_MIN;
    if (n < -1 || n > c->end - c->at)
        return false;
    *out = (struct str){n < 0 ? NULL : c->at, n < 0 ? 0 : (size_t)n};
    c->at += out->n;
    c->left--;
    return true;
}

static bool take_i64(struct fact_pack_column *c, int64_t null, int64_t *out)
{
    struct str s;
    uint64_t n;
    if (!take(c, &s) || (s.p && s.n != sizeof(n)))
        return false;
    *out = null;
    if (s.p) {
        memcpy(&n, s.p, sizeof(n));
        *out = (int64_t)be64toh(n);
    }
    return true;
}

static bool take_i64s(struct fact_pack_column *c, int64_t null, int64_t *out, int n)
{
    for (int i = 0; i < n; i++)
        if (!take_i64(c, null, &out[i]))
            return false;
    return true;
}

static bool take_time(struct fact_pack_column *c, int64_t *out)
{
    return take_i64(c, 0, out) && !__builtin_add_overflow(*out, US_2000, out);
}

static bool take_money(struct fact_pack_column *c, money *out)
{
    struct str s;
    struct err e;
    return take(c, &s) && s.p && money_read_numeric(s, out, &e) == 0;
}

static bool take_object(struct fact_pack_column *c, struct str *out)
{
    if (!take(c, out) || out->n < 1 || out->p[0] != JSONB_VERSION)
        return false;
    *out = (struct str){out->p + 1, out->n - 1};
    return true;
}

static bool column_begin(struct fact_pack_column *c, const PGresult *r, int row, int column)
{
    *c = (struct fact_pack_column){0};
    if (PQgetisnull(r, row, column))
        return true;
    c->at = PQgetvalue(r, row, column);
    c->end = c->at + PQgetlength(r, row, column);
    int32_t dimensions = take_i32(c);
    (void)take_i32(c);
    (void)take_i32(c);
    if (dimensions < 0 || dimensions > 2)
        return false;
    int64_t n = dimensions > 0;
    for (int i = 0; i < dimensions; i++) {
        n *= max_i64(take_i32(c), 0);
        (void)take_i32(c);
    }
    c->left = (int32_t)min_i64(n, INT32_MAX);
    return true;
}

int fact_pack_begin(struct fact_pack *p, const PGresult *r, int row, int column, int64_t window_us,
                    struct err *e)
{
    p->window_us = window_us;
    for (int i = 0; i < FACT_PACK_PG_COUNT; i++)
        if (!column_begin(&p->columns[i], r, row, column + i))
            return err_field(e, column_names[i], -1, "the column of row %d is no array", row);
    return 0;
}

// The sums stand in the order of FACT_PACK_PG_COLUMNS.
static bool take_sums(struct fact_pack_column *c, struct fact_row *row)
{
#define TAKE(name) &&take_i64(c, 0, &row->name)
    return true FACT_SUMS(TAKE) TAKE(latency_max_us) TAKE(ttft_max_us) TAKE(price_version)
        TAKE(revision);
#undef TAKE
}

static bool take_quantiles(struct fact_pack_column *c, struct fact_row *row)
{
    return take_i64s(c, -1, row->latency_us, FACT_QUANTILE_COUNT) &&
           take_i64s(c, -1, row->ttft_us, FACT_QUANTILE_COUNT);
}

static bool take_published(struct fact_pack_column *c, struct fact_row *row)
{
    return take_i64(c, 0, &row->publish_seq) && take_i64(c, 0, &row->late);
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
    READ(AT_START, take_time, &row->window_start_us)
    READ(AT_SUMS, take_sums, row)
    READ(AT_UPDATED, take_time, &row->updated_at_us)
    READ(AT_COST, take_money, &row->cost)
    READ(AT_REPORTED, take_money, &row->reported_cost)
    READ(AT_ERRORS, take_object, &row->error_classes)
    READ(AT_REASONS, take_object, &row->finish_reasons)
    READ(AT_LATENCY, take, &row->latency_hdr)
    READ(AT_TTFT, take, &row->ttft_hdr)
    READ(AT_QUANTILES, take_quantiles, row)
    READ(AT_PUBLISHED, take_published, row)
#undef READ
    row->window_end_us = row->window_start_us + p->window_us;
    return 1;
}
