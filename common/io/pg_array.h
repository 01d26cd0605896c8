// SPDX-License-Identifier: Apache-2.0
// Reading arrays of a binary result, element by element, without copying.
#ifndef STREAMLENS_PG_ARRAY_H
#define STREAMLENS_PG_ARRAY_H

#include "common/core/base.h"

#include <libpq-fe.h>

struct pg_array {
    const char *at, *end; // NULL: SQL's NULL
    int32_t left;         // elements, of all dimensions
};
// false: the column is no array. NULL is an array of nothing.
bool pg_array_begin(struct pg_array *a, const PGresult *r, int row, int column) MUST_CHECK;

// The next element; false: there is none, or it has another form. A NULL element has p NULL.
bool pg_array_next(struct pg_array *a, struct str *out) MUST_CHECK;
bool pg_array_i64(struct pg_array *a, int64_t null, int64_t *out) MUST_CHECK;
bool pg_array_time(struct pg_array *a, int64_t *out_us) MUST_CHECK; // NULL is no instant

// An instant or int8 of a column; false where it is NULL or of another form. Infinities are
// INT64_MIN and INT64_MAX.
bool pg_column_i64(const PGresult *r, int row, int column, int64_t *out) MUST_CHECK;
bool pg_column_time(const PGresult *r, int row, int column, int64_t *out_us) MUST_CHECK;

#endif
