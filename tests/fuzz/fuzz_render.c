// SPDX-License-Identifier: Apache-2.0
// The input as names, numbers and a choice of fields of a few rows: what is written as JSON is read
// by jansson as the same, line by line too, and as CSV it has as many cells in each line as in the
// first, none of which begins like a formula.
#include "tests/fuzz/fuzz.h"

#include "common/core/utf8.h"
#include "metrics-api/render.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define ROWS_MAX 4

struct input {
    const uint8_t *p;
    size_t n;
};

static uint64_t take_number(struct input *in)
{
    uint64_t bits = 0;
    size_t n = in->n < sizeof(bits) ? in->n : sizeof(bits);
    memcpy(&bits, in->p, n);
    in->p += n;
    in->n -= n;
    return bits;
}

// Names are valid UTF-8, whatever else they hold.
static struct str take_name(struct input *in)
{
    size_t n = in->n > 0 ? in->p[0] % 16 : 0;
    n = n < in->n ? n : in->n;
    struct str name = {(const char *)in->p, 0};
    for (size_t length; name.n < n; name.n += length)
        if ((length = utf8_sequence(in->p + name.n, n - name.n)) == 0)
            break;
    in->p += n;
    in->n -= n;
    return name;
}

static void make_row(struct input *in, struct metrics_row *row)
{
#define TEXT(name) row->name = take_name(in);
#define TIME(name) row->name##_us = (int64_t)(take_number(in) % INT64_C(253402300800000000));
#define COUNT(name) row->name = (int64_t)take_number(in);
#define NUMBER(name)                                                                               \
    do {                                                                                           \
        uint64_t bits = take_number(in);                                                           \
        memcpy(&row->name, &bits, sizeof(bits));                                                   \
    } while (0);
#define DECIMAL(name) row->name = take_number(in) % 2 ? STR_LIT("-0.5") : (struct str){NULL, 0};
#define OBJECT(name) row->name = STR_LIT("{\"a\": 1, \"b\\\"\": 2}");
#define BOOL(name) row->name = take_number(in) % 2;
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, NUMBER, DECIMAL, OBJECT, BOOL)
#undef TEXT
#undef TIME
#undef COUNT
#undef NUMBER
#undef DECIMAL
#undef OBJECT
#undef BOOL
}

static void check_text(json_t *got, struct str want)
{
    if (want.p)
        FUZZ_CHECK(json_is_string(got) && json_string_length(got) == want.n &&
                   memcmp(json_string_value(got), want.p, want.n) == 0);
    else
        FUZZ_CHECK(json_is_null(got));
}

static void check_number(json_t *got, double want)
{
    if (isfinite(want))
        FUZZ_CHECK(json_number_value(got) == want);
    else
        FUZZ_CHECK(json_is_null(got));
}

static void check_object(json_t *o, const struct fields *fields, const struct metrics_row *row)
{
    size_t members = (size_t)__builtin_popcountll(fields->bits);
    FUZZ_CHECK(json_object_size(o) == members + fields->n);
#define HAS(name) if (fields->bits & FIELD_BIT(name))
#define GOT(name) json_object_get(o, #name)
#define TEXT(name) HAS(name) check_text(GOT(name), row->name);
#define TIME(name)
#define COUNT(name) HAS(name) FUZZ_CHECK(json_integer_value(GOT(name)) == row->name);
#define NUMBER(name) HAS(name) check_number(GOT(name), row->name);
#define DECIMAL(name) HAS(name) check_text(GOT(name), row->name);
#define OBJECT(name) HAS(name) FUZZ_CHECK(json_object_size(GOT(name)) == 2);
#define BOOL(name) HAS(name) FUZZ_CHECK(json_is_true(GOT(name)) == row->name);
    METRICS_ROW_FIELDS(TEXT, TIME, COUNT, NUMBER, NUMBER, DECIMAL, OBJECT, BOOL)
}

static void write_rows(enum render_format format, const struct fields *fields,
                       const struct metrics_row *rows, size_t n, struct buf *out)
{
    static const double values[PERCENTILES_MAX];
    struct render r = {format, field_infos, fields, .out = out};
    buf_clear(out);
    render_begin(&r, "metrics");
    for (size_t i = 0; i < n; i++)
        render_row(&r, &rows[i], values, values);
    render_end(&r);
}

static void check_json(const struct fields *fields, const struct metrics_row *rows, size_t n,
                       struct buf *out)
{
    write_rows(RENDER_JSON, fields, rows, n, out);
    buf_addc(out, '}');
    // Integers beyond a double's are read as such; a name may hold U+0000.
    json_t *root = json_loadb(out->p, out->n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK(root);
    FUZZ_CHECK(json_integer_value(json_object_get(root, "count")) == (json_int_t)n);
    json_t *list = json_object_get(root, "metrics");
    FUZZ_CHECK(json_array_size(list) == n);
    for (size_t i = 0; i < n; i++)
        check_object(json_array_get(list, i), fields, &rows[i]);
    json_decref(root);
}

static void check_ndjson(const struct fields *fields, const struct metrics_row *rows, size_t n,
                         struct buf *out)
{
    write_rows(RENDER_NDJSON, fields, rows, n, out);
    const char *at = out->p, *end = out->p + out->n;
    for (size_t i = 0; i < n; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        FUZZ_CHECK(newline);
        json_t *o = json_loadb(at, (size_t)(newline - at), JSON_ALLOW_NUL, NULL);
        FUZZ_CHECK(o);
        check_object(o, fields, &rows[i]);
        json_decref(o);
        at = newline + 1;
    }
    FUZZ_CHECK(at == end);
}

// A cell of RFC 4180 from `at`; returns what follows it, a comma or a line's end.
static const char *skip_cell(const char *at, const char *end)
{
    const char *first = at < end && *at == '"' ? at + 1 : at;
    // Numbers begin with - as well.
    FUZZ_CHECK(first == end || !memchr("=+@\t", *first, 4));
    if (first == at) {
        while (at < end && *at != ',' && *at != '\r')
            FUZZ_CHECK(*at++ != '"');
        return at;
    }
    for (at++; at < end; at++)
        if (*at == '"' && *++at != '"')
            return at;
    FUZZ_CHECK(at < end); // a quoted cell ends
    return end;
}

static void check_csv(const struct fields *fields, const struct metrics_row *rows, size_t n,
                      struct buf *out)
{
    size_t columns = (size_t)__builtin_popcountll(fields->bits) + fields->n;
    if (columns == 0)
        return; // no question shows nothing
    write_rows(RENDER_CSV, fields, rows, n, out);
    buf_addc(out, '\0'); // so that one behind the end can be looked at
    const char *at = out->p, *end = out->p + out->n - 1;
    for (size_t line = 0; line <= n; line++) {
        for (size_t i = 0; i < columns; i++) {
            at = skip_cell(at, end);
            if (i + 1 < columns)
                FUZZ_CHECK(at < end && *at++ == ',');
        }
        FUZZ_CHECK(end - at >= 2 && at[0] == '\r' && at[1] == '\n');
        at += 2;
    }
    FUZZ_CHECK(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct buf out = {0};
    struct metrics_row rows[ROWS_MAX];
    uint64_t choice = take_number(&in);
    struct fields fields = {.bits = (choice ? choice : UINT64_MAX) &
                                    ((UINT64_C(1) << FIELD_COUNT) - 1)};
    size_t n = take_number(&in) % (ROWS_MAX + 1);
    if (choice % 2)
        fields.percentiles[fields.n++] = (struct percentile){.digits = "99.9", .latency = true};
    for (size_t i = 0; i < n; i++)
        make_row(&in, &rows[i]);
    check_json(&fields, rows, n, &out);
    check_ndjson(&fields, rows, n, &out);
    check_csv(&fields, rows, n, &out);
    buf_free(&out);
    return 0;
}
