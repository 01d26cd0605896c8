// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/heatmap.h"

// 0, 1, 2, 3, 5, 7, 11, 15, 23 …
static int64_t border_us(int i)
{
    if (i < 2)
        return i;
    return (i % 2 ? INT64_C(2) << i / 2 : INT64_C(3) << (i / 2 - 1)) - 1;
}

// The first bucket whose border is not below the value: up to HEATMAP_BORDERS_MAX, +Inf.
static int bucket_of(int64_t value_us)
{
    int i = 0;
    while (i < HEATMAP_BORDERS_MAX && border_us(i) < value_us)
        i++;
    return i;
}

void heatmap_borders(const struct hist *all, struct heatmap *out)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hist_filled(all, filled);
    out->n = 0;
    if (n == 0)
        return;
    int last = bucket_of(hist_lowest(filled[n - 1].index));
    for (int i = bucket_of(hist_lowest(filled[0].index)); i <= last && i < HEATMAP_BORDERS_MAX; i++)
        out->le_us[out->n++] = border_us(i);
}

void heatmap_count(const struct heatmap *m, const struct hist *h,
                   int64_t counts[HEATMAP_BORDERS_MAX + 1])
{
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hist_filled(h, filled);
    memset(counts, 0, (m->n + 1) * sizeof(counts[0]));
    size_t bucket = 0;
    for (int i = 0; i < n; i++) {
        while (bucket < m->n && m->le_us[bucket] < hist_lowest(filled[i].index))
            bucket++;
        counts[bucket] = add_sat_i64(counts[bucket], filled[i].count);
    }
}
