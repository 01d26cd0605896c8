// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/reprice/reprice_scope.h"

#include "common/core/price_name.h"
#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_cuts.h"

// ---- instants ----

size_t reprice_hour_cuts(const int64_t *cuts_us, size_t n, int64_t **out)
{
    size_t k = 0;
    int64_t *v = xcalloc(2 * n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[k++] = time_floor_us(cuts_us[i], US_PER_HOUR);
        v[k++] = time_floor_us(cuts_us[i] + US_PER_HOUR - 1, US_PER_HOUR);
    }
    *out = v;
    return price_cuts_sort(v, k);
}

// ---- names ----

static int compare_names(const char *a, struct str b)
{
    size_t n = strlen(a), least = n < b.n ? n : b.n;
    int order = least ? memcmp(a, b.p, least) : 0;
    return order ? order : (n > b.n) - (n < b.n);
}

static size_t place_of(const struct reprice_names *s, struct str name, bool *found)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = compare_names(s->v[mid], name);
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

static void add_name(struct reprice_names *s, struct str name)
{
    bool found;
    size_t at = place_of(s, name, &found);
    if (found)
        return;
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 16;
        s->v = xrealloc(s->v, s->room * sizeof(*s->v));
    }
    memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof(*s->v));
    s->n++;
    s->v[at] = xcalloc(name.n + 1, 1);
    memcpy(s->v[at], name.p, name.n);
}

void reprice_names_free(struct reprice_names *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct reprice_names){0};
}

bool reprice_names_has(const struct reprice_names *s, struct str name)
{
    bool found;
    place_of(s, name, &found);
    return found;
}

// Form 0 of a name is the whole of it in lower case.
static void add_lower(struct reprice_names *s, struct str name)
{
    struct price_name_forms forms;
    price_name_forms(name, &forms);
    if (forms.n > 0)
        add_name(s, forms.form[0]);
}

void reprice_names_want(struct reprice_names *s, const struct catalogue *c, struct str name)
{
    struct price_name_forms wanted, own;
    price_name_forms(name, &wanted);
    if (wanted.n == 0)
        return;
    add_name(s, wanted.form[0]);
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i);
        price_name_forms(str_of(card->model), &own);
        if (own.n == 0 || !str_eq(own.form[0], wanted.form[0]))
            continue;
        for (size_t k = 0; k < card->alias_count; k++)
            add_lower(s, str_of(card->aliases[k]));
    }
}

void reprice_names_take(struct reprice_names *s, const struct reprice_names *wanted,
                        struct str name)
{
    struct price_name_forms forms;
    price_name_forms(name, &forms);
    for (size_t i = 0; i < forms.n; i++)
        if (reprice_names_has(wanted, forms.form[i])) {
            add_name(s, name);
            return;
        }
}

// ---- a row ----

bool reprice_concerns(const struct reprice_scope *s, int64_t price_version,
                      const struct usage_lines *l)
{
    bool named = !s->names;
    for (size_t i = 0; !named && i < l->n; i++)
        named = reprice_names_has(s->names, l->v[i].key.model) ||
                reprice_names_has(s->names, l->v[i].key.asked);
    return named && price_version <= s->version;
}

struct cost reprice_price(const struct reprice_scope *s, int64_t at_us, struct str tenant,
                          const struct usage_lines *l)
{
    struct cost cost = cost_of_lines(s->catalogue, s->version, at_us, tenant, l);
    cost_bound(&cost);
    return cost;
}

static struct cost cost_of_line(const struct reprice_scope *s, int64_t at_us, struct str tenant,
                                const struct usage_line *line)
{
    struct cost cost = {0};
    cost_add_usage(&cost, s->catalogue, s->version, at_us, tenant, &line->key, &line->sum);
    return cost;
}

// Where the first cut behind the instant stands.
static size_t first_cut(const struct reprice_scope *s, int64_t at_us)
{
    size_t low = 0, high = s->cut_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->cuts_us[mid] <= at_us)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool reprice_moves(const struct reprice_scope *s, int64_t at_us, int64_t until_us,
                   struct str tenant, const struct usage_lines *l)
{
    for (size_t i = first_cut(s, at_us); i < s->cut_count && s->cuts_us[i] < until_us; i++)
        // Line by line: what two of them change by may cancel out.
        for (size_t k = 0; k < l->n; k++) {
            struct cost begin = cost_of_line(s, at_us, tenant, &l->v[k]);
            struct cost later = cost_of_line(s, s->cuts_us[i], tenant, &l->v[k]);
            if (!cost_eq(&begin, &later))
                return true;
        }
    return false;
}
