// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's binary forms of parameters, of results and of COPY.
#ifndef STREAMLENS_PG_BINARY_H
#define STREAMLENS_PG_BINARY_H

#include <endian.h>
#include <libpq-fe.h>

#include "common/core/buf.h"
#include "common/core/money.h"

#define DB_PARAMS_MAX 20

// Parameters in binary form. Zero-initialise; db_params_free() at the end. INT64_MIN is NULL.
struct db_params {
    int n;
    Oid types[DB_PARAMS_MAX];
    struct buf values[DB_PARAMS_MAX]; // owned
    bool null[DB_PARAMS_MAX];
};
void db_params_free(struct db_params *p);
void db_param_i64(struct db_params *p, int64_t value);
void db_param_time(struct db_params *p, int64_t wall_us); // timestamptz
// n elements, each stride bytes after the one before.
void db_param_i64s(struct db_params *p, const int64_t *first, size_t n, size_t stride);
void db_param_times(struct db_params *p, const int64_t *first_wall_us, size_t n, size_t stride);
void db_param_texts(struct db_params *p, const struct str *first, size_t n, size_t stride);
void db_param_numerics(struct db_params *p, const money *first, size_t n, size_t stride);

// Fields of a binary result.
int64_t db_i64(const PGresult *r, int row, int column);      // int4 and int8; INT64_MIN where NULL
int64_t db_time_us(const PGresult *r, int row, int column);  // timestamptz, since 1970
struct str db_bytes(const PGresult *r, int row, int column); // absent where NULL; into r
// numeric: a whole number within ±MONEY_MAX.
int db_numeric(const PGresult *r, int row, int column, money *out, struct err *e) MUST_CHECK;

// An integer of 1 to 8 bytes, the greatest first, as all are here.
static inline uint64_t db_load_be(const char *p, int bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, (size_t)bytes);
    return be64toh(v) >> (64 - 8 * bytes);
}

// What is inside a field of bytes, taken from its front. Taking more than is left yields 0 or what
// is absent, from then on, and sets `failed`.
struct db_cursor {
    struct str left; // borrowed
    bool failed;
};
static inline uint64_t db_take_be(struct db_cursor *c, int bytes)
{
    if (c->failed || c->left.n < (size_t)bytes) {
        c->failed = true;
        return 0;
    }
    uint64_t v = db_load_be(c->left.p, bytes);
    c->left = (struct str){c->left.p + bytes, c->left.n - (size_t)bytes};
    return v;
}
struct str db_take_field(struct db_cursor *c); // a length of 4 bytes and the bytes; never NULL

// Fields of COPY BINARY.
void db_copy_header(struct buf *b);
void db_copy_row(struct buf *b, int columns);
void db_copy_i64(struct buf *b, int64_t value);
void db_copy_time(struct buf *b, int64_t wall_us);
void db_copy_text(struct buf *b, struct str text);
void db_copy_numeric(struct buf *b, money m); // within ±MONEY_MAX
void db_copy_null(struct buf *b);
// A field of bytes that are appended between the two calls.
size_t db_copy_open(struct buf *b);
void db_copy_close(struct buf *b, size_t opened);
void db_put_be(struct buf *b, uint64_t v, int bytes);

#endif
