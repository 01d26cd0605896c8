// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/top.h"

static money measure(const struct fact_row *row, enum question_by by)
{
    switch (by) {
    case BY_COST:
        return row->cost;
    case BY_REQUESTS:
        return row->requests;
    case BY_ERRORS:
        return row->errors;
    case BY_P95:
        return row->latency_us[FACT_p95];
    case BY_TOKENS:
        break;
    }
    // Wider than any sum of five.
    return (money)row->uncached_prompt_tokens + row->cached_prompt_tokens +
           row->cache_write_5m_tokens + row->cache_write_1h_tokens + row->completion_tokens;
}

struct ranked {
    money measure;
    struct fold_place place;
    size_t index;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->measure != y->measure)
        return x->measure > y->measure ? -1 : 1;
    return fold_place_compare(&x->place, &y->place, true);
}

size_t top_find(const struct cell *cells, size_t count, enum question_by by, size_t limit,
                size_t *out)
{
    struct ranked *all = xcalloc(count + 1, sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        const struct fact_row *row = &cells[i].row;
        all[i].measure = measure(row, by);
        all[i].place =
            (struct fold_place){row->window_start_us, row->tenant_id, row->route, row->model};
        all[i].index = i;
    }
    qsort(all, count, sizeof(*all), compare);
    size_t n = count < limit ? count : limit;
    for (size_t i = 0; i < n; i++)
        out[i] = all[i].index;
    free(all);
    return n;
}
