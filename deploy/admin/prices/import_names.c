// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/import_names.h"

#include <strings.h>

struct name {
    const char *name, *tenant, *model;
};

struct import_names {
    struct name *v;
    size_t n;
};

static bool is_wanted(const struct catalogue *c, const struct price_card *card,
                      enum import_names_kind kind, int64_t at_us)
{
    if (card->withdrawn)
        return false;
    switch (kind) {
    case IMPORT_NAMES_EVER:
        return true;
    case IMPORT_NAMES_OF_TENANTS:
        return card->tenant[0] != '\0' &&
               catalogue_in_force(c, INT64_MAX, at_us, str_of(card->tenant), str_of(card->model)) ==
                   card;
    case IMPORT_NAMES_LATER:
        return card->effective_from_us > at_us;
    }
    return false;
}

static int compare_name(const char *a, struct str b)
{
    size_t n = strlen(a), less = n < b.n ? n : b.n;
    int order = less == 0 ? 0 : strncasecmp(a, b.p, less);
    return order != 0 ? order : (n > b.n) - (n < b.n);
}

static int compare(const void *one, const void *other)
{
    const struct name *a = one, *b = other;
    int order = compare_name(a->name, str_of(b->name));
    return order != 0 ? order : strcmp(a->tenant, b->tenant);
}

struct import_names *import_names_make(const struct catalogue *c, enum import_names_kind kind,
                                       int64_t at_us)
{
    struct import_names *out = xcalloc(1, sizeof(*out));
    size_t room = 0;
    for (size_t i = 0; i < catalogue_count(c); i++)
        room += 1 + catalogue_at(c, i)->alias_count;
    out->v = xcalloc(room + 1, sizeof(*out->v));
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i);
        if (!is_wanted(c, card, kind, at_us))
            continue;
        out->v[out->n++] = (struct name){card->model, card->tenant, card->model};
        for (size_t k = 0; k < card->alias_count; k++)
            out->v[out->n++] = (struct name){card->aliases[k], card->tenant, card->model};
    }
    qsort(out->v, out->n, sizeof(*out->v), compare);
    return out;
}

void import_names_free(struct import_names *n)
{
    free(n->v);
    free(n);
}

// Where the name's begin.
static size_t first_of(const struct import_names *n, struct str name)
{
    size_t low = 0, high = n->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_name(n->v[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_at(const struct import_names *n, size_t i, struct str name)
{
    return i < n->n && compare_name(n->v[i].name, name) == 0;
}

bool import_names_has(const struct import_names *n, const char *tenant, struct str name)
{
    for (size_t i = first_of(n, name); is_at(n, i, name); i++)
        if (strcmp(n->v[i].tenant, tenant) == 0)
            return true;
    return false;
}

bool import_names_has_other(const struct import_names *n, const char *tenant, struct str name,
                            const char *model)
{
    for (size_t i = first_of(n, name); is_at(n, i, name); i++)
        if (strcmp(n->v[i].tenant, tenant) == 0 && strcasecmp(n->v[i].model, model) != 0)
            return true;
    return false;
}

size_t import_names_tenants(const struct import_names *n, struct str name)
{
    size_t count = 0;
    const char *last = NULL;
    for (size_t i = first_of(n, name); is_at(n, i, name); i++) {
        count += !last || strcmp(n->v[i].tenant, last) != 0;
        last = n->v[i].tenant;
    }
    return count;
}
