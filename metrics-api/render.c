// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/render.h"

#include <math.h>

#include "common/core/csv.h"

#define ADD_LIT(out, s) buf_add(out, s, sizeof(s) - 1)

const char *render_media_type(enum render_format f)
{
    static const char *const types[] = {
        [RENDER_JSON] = "application/json",
        [RENDER_NDJSON] = "application/x-ndjson",
        [RENDER_CSV] = "text/csv; charset=utf-8; header=present",
    };
    return types[f];
}

// ---- values ----

// A member of the row; that of the type is the one to read.
union member {
    const struct str *text;
    const int64_t *number;
    const double *real;
    const bool *truth;
};

static union member member_of(const void *row, const struct field_info *field)
{
    const char *at = (const char *)row + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_DECIMAL:
    case FIELD_OBJECT:
        return (union member){.text = (const void *)at};
    case FIELD_TIME:
    case FIELD_COUNT_OF:
        return (union member){.number = (const void *)at};
    case FIELD_NUMBER_OF:
    case FIELD_MAYBE:
        return (union member){.real = (const void *)at};
    case FIELD_BOOL:
        break;
    }
    return (union member){.truth = (const void *)at};
}

static bool is_null(const struct field_info *info, union member m)
{
    switch (info->type) {
    case FIELD_TEXT:
    case FIELD_DECIMAL:
        return !m.text->p;
    case FIELD_TIME:
        return *m.number == INT64_MIN || (info == &field_infos[FIELD_updated_at] && *m.number == 0);
    case FIELD_NUMBER_OF:
    case FIELD_MAYBE:
        return !isfinite(*m.real);
    default:
        return false;
    }
}

static void add_quoted(struct buf *out, struct str s)
{
    buf_addc(out, '"');
    buf_add(out, s.p, s.n);
    buf_addc(out, '"');
}

// A key, and a number or a word behind it: what most of an answer is. They are put where room is,
// with no call for each piece (60 rows: 1.71 million instructions without, 1.23 with).
#define MEMBER_ROOM (FIELD_KEY_MAX + METRICS_JSON_NUMBER)

static char *room_for_member(struct buf *out)
{
    if (out->cap - out->n < MEMBER_ROOM)
        buf_reserve(out, MEMBER_ROOM);
    return out->p + out->n;
}

static char *put_key(char *at, const struct field_info *field, bool first)
{
    memcpy(at, field->key + first, FIELD_KEY_MAX - 1);
    return at + field->key_n - first;
}

static char *put_word(char *at, const char *word, size_t n)
{
    memcpy(at, word, n);
    return at + n;
}

// NULL: the value is of a type that may be longer.
static char *put_short_value(char *at, const struct field_info *field, union member m)
{
    switch (field->type) {
    case FIELD_COUNT_OF:
        return metrics_json_put_int(at, *m.number);
    case FIELD_NUMBER_OF:
    case FIELD_MAYBE:
        return metrics_json_put_double(at, *m.real);
    case FIELD_BOOL:
        return *m.truth ? put_word(at, "true", 4) : put_word(at, "false", 5);
    default:
        return NULL;
    }
}

static void add_long_value(struct render *r, const struct field_info *field, union member m)
{
    if (field->type == FIELD_TEXT) {
        buf_add_json_str(r->out, *m.text);
    } else if (field->type == FIELD_DECIMAL) {
        add_quoted(r->out, *m.text); // digits, a sign and a point need no escapes
    } else if (field->type == FIELD_OBJECT) {
        buf_add(r->out, m.text->p, m.text->n);
    } else {
        buf_addc(r->out, '"');
        metrics_json_time(&r->times, r->out, *m.number);
        buf_addc(r->out, '"');
    }
}

static void add_json_member(struct render *r, const struct field_info *field, union member m,
                            bool null, bool first)
{
    char *behind_key = put_key(room_for_member(r->out), field, first);
    char *end = null ? put_word(behind_key, "null", 4) : put_short_value(behind_key, field, m);
    r->out->n = (size_t)((end ? end : behind_key) - r->out->p);
    if (!end)
        add_long_value(r, field, m);
}

// What a spreadsheet takes for a formula when it opens the file.
static bool is_formula(struct str text)
{
    static const char signs[] = {'=', '+', '-', '@', '\t', '\r'};
    return text.n > 0 && memchr(signs, text.p[0], sizeof(signs));
}

static void add_csv_text(struct buf *out, struct str text)
{
    if (!is_formula(text)) {
        csv_add_cell(out, text);
        return;
    }
    struct buf harmless = {0};
    buf_addc(&harmless, '\'');
    buf_add(&harmless, text.p, text.n);
    csv_add_cell(out, (struct str){harmless.p, harmless.n});
    buf_free(&harmless);
}

static void add_csv_value(struct render *r, const struct field_info *field, union member m)
{
    switch (field->type) {
    case FIELD_TEXT:
        add_csv_text(r->out, *m.text);
        break;
    case FIELD_TIME:
        metrics_json_time(&r->times, r->out, *m.number);
        break;
    case FIELD_DECIMAL:
        buf_add(r->out, m.text->p, m.text->n);
        break;
    case FIELD_OBJECT:
        csv_add_cell(r->out, *m.text);
        break;
    default:
        r->out->n = (size_t)(put_short_value(room_for_member(r->out), field, m) - r->out->p);
        break;
    }
}

// ---- rows ----

// The bits, lowest first, as numbers of the list.
static int take_field(uint64_t *bits)
{
    int field = __builtin_ctzll(*bits);
    *bits &= *bits - 1;
    return field;
}

// Fields of a row are told apart by commas; `first` knows whether one was there.
struct members {
    struct render *r;
    bool csv, first;
};

static void next_member(struct members *m)
{
    if (!m->first)
        buf_addc(m->r->out, ',');
    m->first = false;
}

static void add_fields(struct members *m, const void *row, uint64_t known)
{
    for (uint64_t bits = m->r->fields->bits; bits;) {
        int field = take_field(&bits);
        const struct field_info *info = &m->r->infos[field];
        union member value = member_of(row, info);
        bool null = !(known >> field & 1) || is_null(info, value);
        if (!m->csv) {
            add_json_member(m->r, info, value, null, m->first);
            m->first = false;
            continue;
        }
        next_member(m);
        if (!null)
            add_csv_value(m->r, info, value);
    }
}

// values NULL: none is known.
static void add_percentiles(struct members *m, bool ttft, const double *values)
{
    struct buf *out = m->r->out;
    const struct fields *fields = m->r->fields;
    for (size_t i = 0; i < fields->n; i++) {
        const struct percentile *p = &fields->percentiles[i];
        double value = values ? values[i] : NAN;
        if (!fields_shows(p, ttft))
            continue;
        next_member(m);
        if (!m->csv) {
            buf_addc(out, '"');
            fields_add_name(out, p, ttft);
            ADD_LIT(out, "\":");
        }
        if (!m->csv || isfinite(value))
            metrics_json_double(out, value);
    }
}

static void add_row(struct render *r, const void *row, uint64_t known, const double *latency_ms,
                    const double *ttft_ms)
{
    struct members m = {.r = r, .csv = r->format == RENDER_CSV, .first = true};
    if (r->format == RENDER_JSON && r->rows > 0)
        buf_addc(r->out, ',');
    if (!m.csv)
        buf_addc(r->out, '{');
    size_t begun = r->out->n;
    add_fields(&m, row, known);
    add_percentiles(&m, false, latency_ms);
    add_percentiles(&m, true, ttft_ms);
    // Most readers skip a line without anything.
    if (m.csv && r->out->n == begun)
        ADD_LIT(r->out, "\"\"");
    if (m.csv)
        ADD_LIT(r->out, "\r\n");
    else
        buf_addc(r->out, '}');
    if (r->format == RENDER_NDJSON)
        buf_addc(r->out, '\n');
    r->rows++;
}

void render_row(struct render *r, const void *row, const double *latency_ms, const double *ttft_ms)
{
    add_row(r, row, UINT64_MAX, latency_ms, ttft_ms);
}

void render_empty_row(struct render *r, const struct metrics_row *row)
{
    const uint64_t known = FIELD_BIT(tenant_id) | FIELD_BIT(route) | FIELD_BIT(model) |
                           FIELD_BIT(window_start) | FIELD_BIT(window_end);
    add_row(r, row, known, NULL, NULL);
}

void render_members(struct render *r, const void *row, uint64_t known)
{
    struct members m = {.r = r, .first = true};
    add_fields(&m, row, known);
}

// ---- around them ----

static void add_header_line(struct render *r)
{
    struct members m = {.r = r, .csv = true, .first = true};
    for (uint64_t bits = r->fields->bits; bits;) {
        next_member(&m);
        buf_adds(r->out, r->infos[take_field(&bits)].name);
    }
    for (int ttft = 0; ttft < 2; ttft++) {
        for (size_t i = 0; i < r->fields->n; i++) {
            const struct percentile *p = &r->fields->percentiles[i];
            if (!fields_shows(p, ttft))
                continue;
            next_member(&m);
            fields_add_name(r->out, p, ttft);
        }
    }
    ADD_LIT(r->out, "\r\n");
}

void render_begin(struct render *r, const char *name)
{
    r->rows = 0;
    if (r->format == RENDER_CSV)
        add_header_line(r);
    if (r->format != RENDER_JSON)
        return;
    ADD_LIT(r->out, "{\"");
    buf_adds(r->out, name);
    ADD_LIT(r->out, "\":[");
}

void render_end(struct render *r)
{
    if (r->format != RENDER_JSON)
        return;
    ADD_LIT(r->out, "],\"count\":");
    metrics_json_int(r->out, (int64_t)r->rows);
}
