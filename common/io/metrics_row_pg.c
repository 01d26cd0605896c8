// SPDX-License-Identifier: Apache-2.0
#include "common/io/metrics_row_pg.h"

#include <endian.h>
#include <math.h>

#include "common/core/timeunit.h"

// The result's columns in the list's order, each with the type that is read below.
#define TEXT(name) ", v." #name "::text"
#define TIME(name) ", v." #name "::timestamptz"
#define COUNT(name) ", v." #name "::int8"
#define NUMBER(name) ", coalesce(v." #name ", 0)::float8"
#define MAYBE(name) ", v." #name "::float8"
#define BOOL(name) ", v." #name "::bool"
static const char columns[] =
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, MAYBE, TEXT, TEXT, BOOL);
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef MAYBE
#undef BOOL

const char *metrics_row_pg_columns(void)
{
    return columns + 2;
}

struct cell {
    const char *p; // NULL: SQL's NULL
    int n;
};

static struct cell cell_at(const PGresult *r, int row, int col)
{
    if (PQgetisnull(r, row, col))
        return (struct cell){NULL, 0};
    return (struct cell){PQgetvalue(r, row, col), PQgetlength(r, row, col)};
}

static uint64_t cell_u64(struct cell c)
{
    uint64_t n;
    memcpy(&n, c.p, sizeof(n));
    return be64toh(n);
}

// The binary forms: text as it is, integers and doubles in network order, instants in µs since
// 2000.
#define US_2000 (INT64_C(946684800) * US_PER_S)

static bool get_text(struct cell c, struct str *out)
{
    *out = (struct str){c.p, (size_t)c.n};
    return c.p != NULL;
}

static bool get_decimal(struct cell c, struct str *out)
{
    *out = (struct str){c.p, (size_t)c.n};
    return true;
}

static bool get_count(struct cell c, int64_t *out)
{
    if (!c.p || c.n != 8)
        return false;
    *out = (int64_t)cell_u64(c);
    return true;
}

static bool get_time(struct cell c, int64_t *out)
{
    return get_count(c, out) && !__builtin_add_overflow(*out, US_2000, out);
}

static bool get_bool(struct cell c, bool *out)
{
    *out = c.p && c.p[0] != 0;
    return c.p && c.n == 1;
}

static bool get_maybe(struct cell c, double *out)
{
    *out = NAN;
    if (!c.p)
        return true;
    uint64_t bits = c.n == 8 ? cell_u64(c) : 0;
    memcpy(out, &bits, sizeof(bits));
    return c.n == 8;
}

int metrics_row_pg_get(const PGresult *r, int i, struct metrics_row *row, struct err *e)
{
    int col = 0;
#define READ(name, get, member)                                                                    \
    if (!get(cell_at(r, i, col++), &row->member))                                                  \
        return err_field(e, #name, -1, "column %s of row %d has another form", #name, i);
#define TEXT(name) READ(name, get_text, name)
#define TIME(name) READ(name, get_time, name##_us)
#define COUNT(name) READ(name, get_count, name)
#define NUMBER(name) READ(name, get_maybe, name)
#define DECIMAL(name) READ(name, get_decimal, name)
#define BOOL(name) READ(name, get_bool, name)
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, NUMBER, DECIMAL, TEXT, BOOL)
#undef READ
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef DECIMAL
#undef BOOL
    return 0;
}
