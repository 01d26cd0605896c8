// SPDX-License-Identifier: Apache-2.0
#include "common/core/usage_lines.h"

static int compare_str(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_keys(const struct usage_key *a, const struct usage_key *b)
{
    int order = compare_str(a->model, b->model);
    if (order == 0)
        order = compare_str(a->asked, b->asked);
    if (order == 0)
        order = compare_str(a->tier, b->tier);
    return order ? order
                 : (a->context_above > b->context_above) - (a->context_above < b->context_above);
}

// Where the key stands, or where it would be inserted.
static size_t position_of(const struct usage_lines *l, const struct usage_key *key, bool *found)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = compare_keys(&l->v[mid].key, key);
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

static struct str keep(char **at, struct str s)
{
    struct str kept = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static struct usage_line line_of(const struct usage_key *key)
{
    char *names = xmalloc(key->model.n + key->asked.n + key->tier.n + 1), *at = names;
    struct usage_line line = {.names = names, .key.context_above = key->context_above};
    line.key.model = keep(&at, key->model);
    line.key.asked = keep(&at, key->asked);
    line.key.tier = keep(&at, key->tier);
    return line;
}

static void insert(struct usage_lines *l, size_t at, const struct usage_key *key)
{
    if (l->n == USAGE_LINES) {
        l->n--;
        usage_add(&l->other, &l->v[l->n].sum);
        free(l->v[l->n].names);
    } else if ((l->n & (l->n - 1)) == 0) { // twice as many each time: most rows have a line or two
        l->v = xrealloc(l->v, (l->n ? 2 * l->n : 1) * sizeof(*l->v));
    }
    memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof(*l->v));
    l->n++;
    l->v[at] = line_of(key);
}

void usage_lines_add(struct usage_lines *l, const struct usage_key *key, const struct usage *u)
{
    if (str_eq(key->model, STR_LIT(USAGE_OTHER))) {
        usage_add(&l->other, u);
        return;
    }
    bool found;
    size_t at = position_of(l, key, &found);
    if (!found && at == USAGE_LINES) {
        usage_add(&l->other, u);
        return;
    }
    if (!found)
        insert(l, at, key);
    usage_add(&l->v[at].sum, u);
}

void usage_lines_merge(struct usage_lines *into, const struct usage_lines *from)
{
    for (size_t i = 0; i < from->n; i++)
        usage_lines_add(into, &from->v[i].key, &from->v[i].sum);
    usage_add(&into->other, &from->other);
}

struct usage usage_lines_total(const struct usage_lines *l)
{
    struct usage total = l->other;
    for (size_t i = 0; i < l->n; i++)
        usage_add(&total, &l->v[i].sum);
    return total;
}

void usage_lines_clear(struct usage_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].names);
    free(l->v);
    *l = (struct usage_lines){0};
}
