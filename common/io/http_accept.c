// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_accept.h"

#include <strings.h>

#define WEIGHT_MAX 1000

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

// Cuts off what stands before the separator, trimmed; a separator in a quoted string is none.
static struct str take_until(struct str *rest, char separator)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->n && (quoted || rest->p[i] != separator); i++) {
        if (rest->p[i] == '"')
            quoted = !quoted;
        else if (rest->p[i] == '\\' && quoted && i + 1 < rest->n)
            i++;
    }
    struct str taken = {rest->p, i};
    size_t skip = i < rest->n ? i + 1 : i;
    *rest = (struct str){rest->p + skip, rest->n - skip};
    return trim(taken);
}

static bool is_same(struct str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

// In thousandths; -1 where it is none. Digits beyond the third are not looked at.
static int parse_weight(struct str s)
{
    size_t i = 0, digits = 0;
    int weight = 0, place = WEIGHT_MAX;
    if (i < s.n && (s.p[i] == '0' || s.p[i] == '1')) {
        weight = (s.p[i++] - '0') * WEIGHT_MAX;
        digits++;
    }
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, digits++)
            weight += (s.p[i] - '0') * (place /= 10);
    }
    return i == s.n && digits > 0 && weight <= WEIGHT_MAX ? weight : -1;
}

struct choice {
    struct str name;
    int weight; // in thousandths
};

// The next element that can be understood; false at the end.
static bool next_choice(struct str *rest, struct choice *out)
{
    while (rest->n > 0) {
        struct str parameters = take_until(rest, ',');
        *out = (struct choice){take_until(&parameters, ';'), -1};
        bool weighed = false;
        while (parameters.n > 0 && !weighed) {
            struct str p = take_until(&parameters, ';');
            weighed = p.n >= 2 && (p.p[0] | 0x20) == 'q' && p.p[1] == '=';
            if (weighed)
                out->weight = parse_weight((struct str){p.p + 2, p.n - 2});
        }
        if (!weighed)
            out->weight = WEIGHT_MAX;
        if (out->name.n > 0 && out->weight >= 0)
            return true;
    }
    return false;
}

bool http_accept_gzip(struct str accept_encoding)
{
    int gzip = -1, identity = -1, any = -1;
    struct choice c;
    while (next_choice(&accept_encoding, &c)) {
        int *of = is_same(c.name, "gzip") || is_same(c.name, "x-gzip") ? &gzip
                  : is_same(c.name, "identity")                        ? &identity
                  : is_same(c.name, "*")                               ? &any
                                                                       : NULL;
        if (of && *of < 0)
            *of = c.weight;
    }
    gzip = gzip < 0 ? any : gzip;
    identity = identity < 0 ? any : identity;
    return gzip > 0 && gzip >= identity;
}

enum { FITS_NOT, FITS_ANY, FITS_KIND, FITS_EXACTLY };

static int fit(struct str range, const char *type)
{
    size_t kind = (size_t)(strchr(type, '/') - type) + 1; // with the slash
    if (is_same(range, type))
        return FITS_EXACTLY;
    if (is_same(range, "*") || is_same(range, "*/*"))
        return FITS_ANY;
    if (range.n == kind + 1 && strncasecmp(range.p, type, kind) == 0 && range.p[kind] == '*')
        return FITS_KIND;
    return FITS_NOT;
}

static bool is_range(struct str s)
{
    return is_same(s, "*") || (memchr(s.p, '/', s.n) && s.p[0] != '/' && s.p[s.n - 1] != '/');
}

int http_accept_best(struct str accept, const char *const types[], size_t n)
{
    int fits[HTTP_ACCEPT_TYPES_MAX] = {FITS_NOT}, weights[HTTP_ACCEPT_TYPES_MAX] = {0};
    bool understood = false;
    struct choice c;
    assert(n > 0 && n <= HTTP_ACCEPT_TYPES_MAX);
    while (next_choice(&accept, &c)) {
        if (!is_range(c.name))
            continue;
        understood = true;
        for (size_t i = 0; i < n; i++) {
            int closer = fit(c.name, types[i]);
            if (closer > fits[i]) {
                fits[i] = closer;
                weights[i] = c.weight;
            }
        }
    }
    if (!understood)
        return 0;
    int best = -1, weight = 0;
    for (size_t i = 0; i < n; i++) {
        if (weights[i] > weight) {
            weight = weights[i];
            best = (int)i;
        }
    }
    return best;
}

// Cuts an entity tag off and returns what stands between its quotes; absent where there is none.
static struct str take_etag(struct str *rest)
{
    const char *p = rest->p, *end = rest->p + rest->n;
    if (rest->n >= 2 && p[0] == 'W' && p[1] == '/')
        p += 2;
    const char *close = p < end && *p == '"' ? memchr(p + 1, '"', (size_t)(end - p - 1)) : NULL;
    if (!close)
        return (struct str){NULL, 0};
    *rest = trim((struct str){close + 1, (size_t)(end - close - 1)});
    return (struct str){p + 1, (size_t)(close - p - 1)};
}

bool http_etag_is_listed(struct str if_none_match, const char *etag)
{
    struct str rest = trim(if_none_match), mine = str_of(etag);
    mine = take_etag(&mine);
    assert(mine.p);
    if (is_same(rest, "*"))
        return true;
    while (rest.n > 0) {
        if (rest.p[0] == ',') {
            rest = trim((struct str){rest.p + 1, rest.n - 1});
            continue;
        }
        struct str theirs = take_etag(&rest);
        if (!theirs.p || (rest.n > 0 && rest.p[0] != ','))
            return false; // where the next one would begin is anybody's guess
        if (str_eq(theirs, mine))
            return true;
    }
    return false;
}
