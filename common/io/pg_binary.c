// SPDX-License-Identifier: Apache-2.0
#include "common/io/pg_binary.h"

#define PG_EPOCH_US INT64_C(946684800000000) // 2000-01-01, where PostgreSQL's timestamps begin

#define OID_INT8 20
#define OID_TEXT 25
#define OID_TIMESTAMPTZ 1184
#define OID_INT8_ARRAY 1016
#define OID_TEXT_ARRAY 1009
#define OID_TIMESTAMPTZ_ARRAY 1185
#define OID_NUMERIC 1700
#define OID_NUMERIC_ARRAY 1231

#define NUMERIC_BASE 10000
#define NUMERIC_DIGITS 10 // of 38 decimals, the most that money has
#define NUMERIC_NEGATIVE 0x4000

static void store_be(char *out, uint64_t v, int bytes)
{
    v = htobe64(v << (64 - 8 * bytes));
    memcpy(out, &v, (size_t)bytes);
}

void db_put_be(struct buf *b, uint64_t v, int bytes)
{
    buf_reserve(b, 8);
    store_be(b->p + b->n, v, bytes);
    b->n += (size_t)bytes;
}

struct str db_take_field(struct db_cursor *c)
{
    uint64_t n = db_take_be(c, 4); // of NULL 2^32 - 1
    if (c->failed || c->left.n < n) {
        c->failed = true;
        return (struct str){0};
    }
    struct str field = {c->left.p, n};
    c->left = (struct str){c->left.p + n, c->left.n - n};
    return field;
}

// ---- parameters ----

void db_params_free(struct db_params *p)
{
    for (int i = 0; i < p->n; i++)
        buf_free(&p->values[i]);
    *p = (struct db_params){0};
}

static struct buf *add_param(struct db_params *p, Oid type)
{
    assert(p->n < DB_PARAMS_MAX);
    p->types[p->n] = type;
    return &p->values[p->n++];
}

void db_param_i64(struct db_params *p, int64_t value)
{
    db_put_be(add_param(p, OID_INT8), (uint64_t)value, 8);
    p->null[p->n - 1] = value == INT64_MIN;
}

void db_param_time(struct db_params *p, int64_t wall_us)
{
    bool null = wall_us == INT64_MIN;
    db_put_be(add_param(p, OID_TIMESTAMPTZ), null ? 0 : (uint64_t)(wall_us - PG_EPOCH_US), 8);
    p->null[p->n - 1] = null;
}

static struct buf *add_array(struct db_params *p, Oid array, Oid element, size_t n)
{
    struct buf *b = add_param(p, array);
    db_put_be(b, n > 0, 4); // dimensions
    db_put_be(b, 1, 4);     // there may be NULLs
    db_put_be(b, element, 4);
    if (n > 0) {
        db_put_be(b, n, 4);
        db_put_be(b, 1, 4); // of the first index
    }
    return b;
}

static void add_integers(struct db_params *p, Oid array, Oid element, const int64_t *first,
                         size_t n, size_t stride, int64_t offset)
{
    struct buf *b = add_array(p, array, element, n);
    buf_reserve(b, n * 12);
    for (size_t i = 0; i < n; i++) {
        int64_t v = *(const int64_t *)(const void *)((const char *)first + i * stride);
        if (v == INT64_MIN) {
            db_put_be(b, UINT32_MAX, 4);
            continue;
        }
        db_put_be(b, 8, 4);
        db_put_be(b, (uint64_t)(v - offset), 8);
    }
}

void db_param_i64s(struct db_params *p, const int64_t *first, size_t n, size_t stride)
{
    add_integers(p, OID_INT8_ARRAY, OID_INT8, first, n, stride, 0);
}

void db_param_times(struct db_params *p, const int64_t *first_wall_us, size_t n, size_t stride)
{
    add_integers(p, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, first_wall_us, n, stride, PG_EPOCH_US);
}

void db_param_texts(struct db_params *p, const struct str *first, size_t n, size_t stride)
{
    struct buf *b = add_array(p, OID_TEXT_ARRAY, OID_TEXT, n);
    for (size_t i = 0; i < n; i++) {
        const struct str *s = (const struct str *)(const void *)((const char *)first + i * stride);
        db_put_be(b, s->n, 4);
        buf_add(b, s->p, s->n);
    }
}

void db_param_numerics(struct db_params *p, const money *first, size_t n, size_t stride)
{
    struct buf *b = add_array(p, OID_NUMERIC_ARRAY, OID_NUMERIC, n);
    for (size_t i = 0; i < n; i++)
        db_copy_numeric(b, *(const money *)(const void *)((const char *)first + i * stride));
}

// ---- results ----

int64_t db_i64(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return INT64_MIN;
    if (PQgetlength(r, row, column) == 4)
        return (int32_t)db_load_be(PQgetvalue(r, row, column), 4);
    assert(PQgetlength(r, row, column) == 8);
    return (int64_t)db_load_be(PQgetvalue(r, row, column), 8);
}

int64_t db_time_us(const PGresult *r, int row, int column)
{
    int64_t us = db_i64(r, row, column);
    return us == INT64_MIN ? us : us + PG_EPOCH_US;
}

struct str db_bytes(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return (struct str){0};
    return (struct str){PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)};
}

int db_numeric(const PGresult *r, int row, int column, money *out, struct err *e)
{
    return money_read_numeric(db_bytes(r, row, column), out, e);
}

// ---- COPY ----

void db_copy_header(struct buf *b)
{
    buf_add(b, "PGCOPY\n\377\r\n\0", 11);
    db_put_be(b, 0, 4); // flags
    db_put_be(b, 0, 4); // no extension
}

void db_copy_row(struct buf *b, int columns)
{
    db_put_be(b, (uint64_t)columns, 2);
}

void db_copy_i64(struct buf *b, int64_t value)
{
    buf_reserve(b, 12);
    store_be(b->p + b->n, 8, 4);
    store_be(b->p + b->n + 4, (uint64_t)value, 8);
    b->n += 12;
}

void db_copy_time(struct buf *b, int64_t wall_us)
{
    db_copy_i64(b, wall_us - PG_EPOCH_US);
}

void db_copy_null(struct buf *b)
{
    db_put_be(b, UINT32_MAX, 4);
}

size_t db_copy_open(struct buf *b)
{
    db_put_be(b, 0, 4);
    return b->n;
}

void db_copy_close(struct buf *b, size_t opened)
{
    size_t n = b->n;
    b->n = opened - 4;
    db_put_be(b, n - opened, 4);
    b->n = n;
}

void db_copy_text(struct buf *b, struct str text)
{
    db_put_be(b, text.n, 4);
    buf_add(b, text.p, text.n);
}

void db_copy_numeric(struct buf *b, money m)
{
    unsigned __int128 rest = m < 0 ? -(unsigned __int128)m : (unsigned __int128)m;
    int digit[NUMERIC_DIGITS], n = 0, skip = 0;
    for (; rest != 0; rest /= NUMERIC_BASE)
        digit[n++] = (int)(rest % NUMERIC_BASE);
    while (skip < n && digit[skip] == 0)
        skip++;
    size_t field = db_copy_open(b);
    db_put_be(b, (uint64_t)(n - skip), 2);
    db_put_be(b, n ? (uint64_t)(n - 1) : 0, 2);
    db_put_be(b, m < 0 ? NUMERIC_NEGATIVE : 0, 2);
    db_put_be(b, 0, 2);
    for (int i = n - 1; i >= skip; i--)
        db_put_be(b, (uint64_t)digit[i], 2);
    db_copy_close(b, field);
}
