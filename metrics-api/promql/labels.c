// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/labels.h"

#include "common/core/utf8.h"

int str_compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

bool str_has(const struct str *list, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

struct str labels_get(struct labels l, struct str name)
{
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(l.v[i].name, name))
            return l.v[i].value;
    return STR_LIT("");
}

int labels_compare(struct labels a, struct labels b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int order = str_compare(a.v[i].name, b.v[i].name);
        if (order == 0)
            order = str_compare(a.v[i].value, b.v[i].value);
        if (order != 0)
            return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

struct labels labels_set(struct arena *a, struct labels l, struct str name, struct str value)
{
    if (value.n == 0 && labels_get(l, name).n == 0)
        return l;
    struct label *v = arena_array(a, l.n + 1, sizeof(*v));
    size_t n = 0, i = 0;
    while (i < l.n && str_compare(l.v[i].name, name) < 0)
        v[n++] = l.v[i++];
    if (i < l.n && str_eq(l.v[i].name, name))
        i++;
    if (value.n > 0)
        v[n++] = (struct label){arena_str(a, name), arena_str(a, value)};
    while (i < l.n)
        v[n++] = l.v[i++];
    return (struct labels){v, n};
}

static struct labels filtered(struct arena *a, struct labels l, const struct str *names, size_t n,
                              bool keep)
{
    struct label *v = arena_array(a, l.n, sizeof(*v));
    size_t kept = 0;
    for (size_t i = 0; i < l.n; i++)
        if (str_has(names, n, l.v[i].name) == keep)
            v[kept++] = l.v[i];
    return (struct labels){v, kept};
}

struct labels labels_keep(struct arena *a, struct labels l, const struct str *names, size_t n)
{
    return filtered(a, l, names, n, true);
}

struct labels labels_drop(struct arena *a, struct labels l, const struct str *names, size_t n)
{
    return filtered(a, l, names, n, false);
}

struct labels labels_drop_metadata(struct arena *a, struct labels l)
{
    const struct str names[] = {LABELS_NAME, STR_LIT("__type__"), STR_LIT("__unit__")};
    for (size_t i = 0; i < l.n; i++)
        if (str_has(names, ARRAY_LEN(names), l.v[i].name))
            return labels_drop(a, l, names, ARRAY_LEN(names));
    return l;
}

// With its length, so that no two lists of labels read the same.
static void key_add(struct buf *key, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_add(key, &n, sizeof(n));
    buf_add(key, s.p, s.n);
}

void labels_key(struct labels l, struct buf *key)
{
    labels_key_without(l, NULL, 0, key);
}

void labels_key_with(struct labels l, const struct str *names, size_t n, struct buf *key)
{
    for (size_t i = 0; i < l.n; i++) {
        if (str_has(names, n, l.v[i].name)) {
            key_add(key, l.v[i].name);
            key_add(key, l.v[i].value);
        }
    }
}

void labels_key_without(struct labels l, const struct str *names, size_t n, struct buf *key)
{
    for (size_t i = 0; i < l.n; i++) {
        if (!str_has(names, n, l.v[i].name)) {
            key_add(key, l.v[i].name);
            key_add(key, l.v[i].value);
        }
    }
}

void quoted_print(struct str s, struct buf *out)
{
    static const char escapes[] = "abtnvfr"; // 7 to 13
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t rune = c < 0x80 ? 1 : utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c >= 7 && c <= 13)
            buf_addf(out, "\\%c", escapes[c - 7]);
        else if (c < 0x20 || c == 0x7f || rune == 0)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add(out, s.p + i, rune);
        i += rune ? rune : 1;
    }
    buf_addc(out, '"');
}

void label_name_print(struct str name, struct buf *out)
{
    bool plain = name.n > 0 && !(name.p[0] >= '0' && name.p[0] <= '9');
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                          (c >= '0' && c <= '9'));
    }
    if (plain)
        buf_add(out, name.p, name.n);
    else
        quoted_print(name, out);
}

void labels_print(struct labels l, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < l.n; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        label_name_print(l.v[i].name, out);
        buf_addc(out, '=');
        quoted_print(l.v[i].value, out);
    }
    buf_addc(out, '}');
}

void text_clean(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t step = utf8_sequence((const unsigned char *)text + i, n - i);
        if (step == 0)
            text[i] = '?';
        i += step ? step : 1;
    }
}

bool label_name_valid(struct str name)
{
    size_t i = 0, step = 1;
    while (i < name.n && step > 0) {
        step = utf8_sequence((const unsigned char *)name.p + i, name.n - i);
        i += step;
    }
    return name.n > 0 && step > 0;
}
