// SPDX-License-Identifier: Apache-2.0
#include "common/core/name_counts.h"

#include <jansson.h>

#include "common/core/metrics_json.h"

#define OTHER_NAME "__other__"

static size_t class_length(struct str name)
{
    size_t n = 0;
    while (n < name.n && n < NAME_COUNTS_NAME_MAX && (unsigned char)name.p[n] >= 0x20 &&
           name.p[n] != 0x7f)
        n++;
    // Do not cut a UTF-8 sequence in two: step back over continuation bytes to its lead byte.
    if (n < name.n && ((unsigned char)name.p[n] & 0xc0) == 0x80) {
        while (n > 0 && ((unsigned char)name.p[n - 1] & 0xc0) == 0x80)
            n--;
        if (n > 0)
            n--;
    }
    return n;
}

// Where the name stands, or where it would be inserted.
static size_t position_of(const struct name_counts *c, const char *name, bool *found)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(c->v[mid].name, name);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

// Room for two, then twice as many each time: most rows have a name or two.
static void make_room(struct name_counts *c)
{
    if (c->n == 0 || (c->n > 1 && (c->n & (c->n - 1)) == 0))
        c->v = xrealloc(c->v, (c->n ? 2 * c->n : 2) * sizeof(*c->v));
}

static void add_class(struct name_counts *c, const char *name, int64_t count)
{
    bool found;
    size_t at = position_of(c, name, &found);
    if (found) {
        c->v[at].count = add_sat_i64(c->v[at].count, count);
        return;
    }
    if (at == NAME_COUNTS_MAX) {
        c->other = add_sat_i64(c->other, count);
        return;
    }
    if (c->n == NAME_COUNTS_MAX) {
        c->n--;
        c->other = add_sat_i64(c->other, c->v[c->n].count);
    } else {
        make_room(c);
    }
    memmove(c->v + at + 1, c->v + at, (c->n - at) * sizeof(*c->v));
    c->n++;
    memcpy(c->v[at].name, name, strlen(name) + 1); // at most NAME_COUNTS_NAME_MAX long
    c->v[at].count = count;
}

void name_counts_add(struct name_counts *c, struct str name, int64_t count)
{
    char class[NAME_COUNTS_NAME_MAX + 1];
    size_t n = class_length(name);
    if (n == 0) {
        name = STR_LIT("unknown");
        n = name.n;
    }
    memcpy(class, name.p, n);
    class[n] = '\0';
    if (strcmp(class, OTHER_NAME) == 0)
        c->other = add_sat_i64(c->other, count);
    else
        add_class(c, class, count);
}

void name_counts_merge(struct name_counts *into, const struct name_counts *from)
{
    for (size_t i = 0; i < from->n; i++)
        add_class(into, from->v[i].name, from->v[i].count);
    into->other = add_sat_i64(into->other, from->other);
}

void name_counts_clear(struct name_counts *c)
{
    free(c->v);
    *c = (struct name_counts){0};
}

void name_counts_to_json(const struct name_counts *c, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < c->n; i++) {
        if (i)
            buf_addc(out, ',');
        buf_add_json_str(out, str_of(c->v[i].name));
        buf_addc(out, ':');
        metrics_json_int(out, c->v[i].count);
    }
    if (c->other)
        buf_addf(out, "%s\"" OTHER_NAME "\":%lld", c->n ? "," : "", (long long)c->other);
    buf_addc(out, '}');
}

// ---- from JSON ----

// What PostgreSQL writes of a jsonb that is ours needs no general reader, which would take most of
// the time that a row costs: few names without escapes, whole numbers.
#define PLAIN_MAX 8
struct plain {
    struct str names[PLAIN_MAX];
    int64_t counts[PLAIN_MAX];
    size_t n;
};

static bool take(struct str *text, char c)
{
    if (text->n == 0 || *text->p != c)
        return false;
    text->p++;
    text->n--;
    return true;
}

static bool take_plain_name(struct str *text, struct str *name)
{
    if (!take(text, '"'))
        return false;
    size_t n = 0;
    while (n < text->n && (unsigned char)text->p[n] >= 0x20 && (unsigned char)text->p[n] < 0x80 &&
           text->p[n] != '"' && text->p[n] != '\\')
        n++;
    *name = (struct str){text->p, n};
    *text = (struct str){text->p + n, text->n - n};
    return take(text, '"');
}

static bool take_plain_count(struct str *text, int64_t *count)
{
    size_t n = 0;
    *count = 0;
    for (; n < text->n && n < 18 && text->p[n] >= '0' && text->p[n] <= '9'; n++)
        *count = *count * 10 + (text->p[n] - '0');
    if (n == 0 || (n > 1 && text->p[0] == '0'))
        return false;
    *text = (struct str){text->p + n, text->n - n};
    return true;
}

static bool is_named(const struct plain *p, struct str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->names[i], name))
            return true;
    return false;
}

// False says nothing about the text: it is another reader's.
static bool read_plain(struct str text, struct plain *p)
{
    p->n = 0;
    if (!take(&text, '{'))
        return false;
    if (take(&text, '}'))
        return text.n == 0;
    do {
        struct str name;
        take(&text, ' ');
        if (p->n == PLAIN_MAX || !take_plain_name(&text, &name) || is_named(p, name) ||
            !take(&text, ':'))
            return false;
        take(&text, ' ');
        p->names[p->n] = name;
        if (!take_plain_count(&text, &p->counts[p->n++]))
            return false;
    } while (take(&text, ','));
    return take(&text, '}') && text.n == 0;
}

static int read_any(struct name_counts *c, struct str json, struct err *e)
{
    json_error_t at;
    json_t *root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, "counts by name: not a JSON object");
    }
    int rc = 0;
    const char *name;
    json_t *count;
    json_object_foreach(root, name, count)
    {
        if (!json_is_integer(count) || json_integer_value(count) < 0) {
            rc = err_set(
                e, "counts by name: the count of '%.64s' is not a whole number of 0 or more", name);
            break;
        }
    }
    if (rc == 0)
        json_object_foreach(root, name, count)
            name_counts_add(c, str_of(name), json_integer_value(count));
    json_decref(root);
    return rc;
}

int name_counts_from_json(struct name_counts *c, struct str json, struct err *e)
{
    struct plain plain;
    if (!read_plain(json, &plain))
        return read_any(c, json, e);
    for (size_t i = 0; i < plain.n; i++)
        name_counts_add(c, plain.names[i], plain.counts[i]);
    return 0;
}
