// SPDX-License-Identifier: Apache-2.0
#include "common/io/pg_array.h"

#include <endian.h>

#include "common/core/timeunit.h"

// An array is: how many dimensions, whether it has NULLs, the elements' type, of each dimension its
// length and lower bound; then the elements, each its length (-1: NULL) and bytes. Instants are µs
// since 2000.
#define US_2000 (INT64_C(946684800) * US_PER_S)

static int32_t take_i32(struct pg_array *a)
{
    uint32_t n;
    if (a->end - a->at < 4)
        return INT32_MIN;
    memcpy(&n, a->at, sizeof(n));
    a->at += 4;
    return (int32_t)be32toh(n);
}

bool pg_array_begin(struct pg_array *a, const PGresult *r, int row, int column)
{
    *a = (struct pg_array){0};
    if (PQgetisnull(r, row, column))
        return true;
    a->at = PQgetvalue(r, row, column);
    a->end = a->at + PQgetlength(r, row, column);
    int32_t dimensions = take_i32(a);
    (void)take_i32(a);
    (void)take_i32(a);
    if (dimensions < 0 || dimensions > 2)
        return false;
    int64_t n = dimensions > 0;
    for (int i = 0; i < dimensions; i++) {
        n *= max_i64(take_i32(a), 0);
        (void)take_i32(a);
    }
    a->left = (int32_t)min_i64(n, INT32_MAX);
    return true;
}

bool pg_array_next(struct pg_array *a, struct str *out)
{
    int32_t n = a->left > 0 ? take_i32(a) : INT32_MIN;
    if (n < -1 || n > a->end - a->at)
        return false;
    *out = (struct str){n < 0 ? NULL : a->at, n < 0 ? 0 : (size_t)n};
    a->at += out->n;
    a->left--;
    return true;
}

static bool read_i64(struct str s, int64_t *out)
{
    uint64_t n;
    if (s.n != sizeof(n))
        return false;
    memcpy(&n, s.p, sizeof(n));
    *out = (int64_t)be64toh(n);
    return true;
}

static bool read_time(struct str s, int64_t *out_us)
{
    if (!read_i64(s, out_us))
        return false;
    bool infinite = *out_us == INT64_MIN || *out_us == INT64_MAX;
    return infinite || !__builtin_add_overflow(*out_us, US_2000, out_us);
}

// Nearly all of a pack are numbers that are there: these take no call (a sixth of what reading 60
// rows takes).
static bool take_i64_there(struct pg_array *a, int64_t *out)
{
    uint32_t length;
    uint64_t n;
    if (a->left <= 0 || a->end - a->at < (ptrdiff_t)(sizeof(length) + sizeof(n)))
        return false;
    memcpy(&length, a->at, sizeof(length));
    if (length != htobe32(sizeof(n)))
        return false;
    memcpy(&n, a->at + sizeof(length), sizeof(n));
    *out = (int64_t)be64toh(n);
    a->at += sizeof(length) + sizeof(n);
    a->left--;
    return true;
}

bool pg_array_i64(struct pg_array *a, int64_t null, int64_t *out)
{
    struct str s;
    if (take_i64_there(a, out))
        return true;
    *out = null;
    return pg_array_next(a, &s) && (!s.p || read_i64(s, out));
}

bool pg_array_time(struct pg_array *a, int64_t *out_us)
{
    struct str s;
    return pg_array_next(a, &s) && s.p && read_time(s, out_us);
}

static struct str column_of(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return (struct str){NULL, 0};
    return (struct str){PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)};
}

bool pg_column_i64(const PGresult *r, int row, int column, int64_t *out)
{
    struct str s = column_of(r, row, column);
    return s.p && read_i64(s, out);
}

bool pg_column_time(const PGresult *r, int row, int column, int64_t *out_us)
{
    struct str s = column_of(r, row, column);
    return s.p && read_time(s, out_us);
}
