// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_cuts.h"

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

size_t price_cuts_sort(int64_t *v, size_t n)
{
    size_t kept = 0;
    qsort(v, n, sizeof(*v), by_time);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[kept - 1] != v[i])
            v[kept++] = v[i];
    return kept;
}

size_t price_cuts(const struct catalogue *c, int64_t from_us, int64_t to_us, const int64_t *more_us,
                  size_t more, int64_t **out)
{
    size_t cards = catalogue_count(c), n = 0;
    int64_t *v = xcalloc(cards + more + 1, sizeof(*v));
    for (size_t i = 0; i < cards + more; i++) {
        int64_t at_us = i < cards ? catalogue_at(c, i)->effective_from_us : more_us[i - cards];
        if (at_us > from_us && at_us < to_us)
            v[n++] = at_us;
    }
    *out = v;
    return price_cuts_sort(v, n);
}
