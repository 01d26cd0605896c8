// SPDX-License-Identifier: Apache-2.0
// What a selector has at each step: its last sample that is not too old.
#include "metrics-api/promql/eval.h"

// The value, or the sample's time in seconds, at each step.
static void look_back(const struct eval *ev, const struct promql_series *s, int64_t offset_ms,
                      bool times, double *row)
{
    size_t next = 0; // the first sample behind the instant
    for (size_t step = 0; step < ev->steps; step++) {
        int64_t t_ms = eval_time_ms(ev, step) - offset_ms;
        while (next < s->n && s->t_ms[next] <= t_ms)
            next++;
        if (next == 0 || s->t_ms[next - 1] <= t_ms - ev->lookback_ms ||
            promql_is_stale(s->v[next - 1]))
            continue;
        row[step] = times ? (double)s->t_ms[next - 1] / 1000 : s->v[next - 1];
    }
}

int eval_selector(struct eval *ev, const struct node_selector *s, bool times, struct vector *out)
{
    const struct promql_series_set *set = &ev->input->sets[s->select];
    for (size_t i = 0; i < set->n; i++) {
        double *row = vector_add(ev, out, set->v[i].labels, false);
        if (!row)
            return -1;
        look_back(ev, &set->v[i], s->offset_ms, times, row);
    }
    vector_compact(ev, out);
    return 0;
}

static struct promql_series without_markers(struct eval *ev, const struct promql_series *s)
{
    size_t markers = 0;
    for (size_t i = 0; i < s->n; i++)
        markers += promql_is_stale(s->v[i]);
    if (markers == 0)
        return *s;
    int64_t *t_ms = arena_array(ev->arena, s->n - markers, sizeof(*t_ms));
    double *v = arena_array(ev->arena, s->n - markers, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (promql_is_stale(s->v[i]))
            continue;
        t_ms[n] = s->t_ms[i];
        v[n++] = s->v[i];
    }
    return (struct promql_series){s->labels, t_ms, v, n};
}

const struct promql_series_set *eval_windows(struct eval *ev, size_t select)
{
    struct promql_series_set *windows = &ev->windows[select];
    const struct promql_series_set *set = &ev->input->sets[select];
    if (!windows->v) {
        struct promql_series *v = arena_array(ev->arena, set->n, sizeof(*v));
        for (size_t i = 0; i < set->n; i++)
            v[i] = without_markers(ev, &set->v[i]);
        *windows = (struct promql_series_set){v, set->n};
    }
    return windows;
}
