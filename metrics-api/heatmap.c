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

static int64_t count_at(const struct hist *h, int index)
{
    const uint64_t *chunk = h->chunk[index / HIST_CHUNK];
    return chunk ? (int64_t)chunk[index % HIST_CHUNK] : 0;
}

void heatmap_borders(const struct hist *all, struct heatmap *out)
{
    int low = 0, high = HIST_COUNTS - 1;
    out->n = 0;
    while (low < HIST_COUNTS && count_at(all, low) == 0)
        low++;
    if (low == HIST_COUNTS)
        return;
    while (count_at(all, high) == 0)
        high--;
    for (int i = bucket_of(hist_lowest(low));
         i <= bucket_of(hist_lowest(high)) && i < HEATMAP_BORDERS_MAX; i++)
        out->le_us[out->n++] = border_us(i);
}

void heatmap_count(const struct heatmap *m, const struct hist *h,
                   int64_t counts[HEATMAP_BORDERS_MAX + 1])
{
    memset(counts, 0, (m->n + 1) * sizeof(counts[0]));
    size_t bucket = 0;
    for (int index = 0; index < HIST_COUNTS; index++) {
        if (!h->chunk[index / HIST_CHUNK]) {
            index += HIST_CHUNK - 1; // the loop's own step is the chunk's last one
            continue;
        }
        while (bucket < m->n && m->le_us[bucket] < hist_lowest(index))
            bucket++;
        counts[bucket] = add_sat_i64(counts[bucket], count_at(h, index));
    }
}
