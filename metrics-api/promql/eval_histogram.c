// SPDX-License-Identifier: Apache-2.0
// histogram_quantile, from merged histograms where somebody has them, else from buckets; and
// histogram_fraction.
#include "metrics-api/promql/buckets.h"
#include "metrics-api/promql/eval.h"
#include "metrics-api/promql/literal.h"

#include <math.h>

#define LE STR_LIT("le")

struct histograms {
    struct vector in;
    size_t *group_of; // of each row of `in`; SIZE_MAX: it is no bucket
    double *upper;    // its bound
    size_t *rows;     // of `in`, by their groups
    size_t *starts;   // where each group's rows begin; one more than groups
    size_t groups;
    // The scalars at each step: φ, or of a fraction the lower bound and the upper one.
    const double *first, *second;
};

// φ beyond 0 to 1 is no question to those who have the histogram, but whether there is one.
static double answer_of(const struct promql_quantile_answer *answer, size_t group, size_t step,
                        double phi)
{
    double v = answer->value(answer->arg, group, step, phi >= 0 && phi <= 1 ? phi : 0);
    if (promql_is_stale(v) || (phi >= 0 && phi <= 1))
        return v;
    return isnan(phi) ? NAN : phi < 0 ? -INFINITY : INFINITY;
}

static int answered(struct eval *ev, const struct promql_quantile_answer *answer, const double *phi,
                    struct vector *out)
{
    for (size_t i = 0; i < answer->group_count; i++) {
        double *row = vector_add(ev, out, answer->groups[i], false);
        if (!row)
            return -1;
        for (size_t step = 0; step < ev->steps; step++)
            row[step] = answer_of(answer, i, step, phi[step]);
    }
    return 0;
}

static void note_bound(struct eval *ev, struct labels l, struct str le, size_t at)
{
    struct buf text = {0};
    quoted_print(le, &text);
    struct str name = labels_get(l, LABELS_NAME);
    if (name.n > 0 && ev->when->delayed_name_removal) {
        buf_adds(&text, " for metric name ");
        quoted_print(name, &text);
    }
    notes_warn(&ev->notes, at, "bucket label \"le\" is missing or has a malformed value of %.*s",
               (int)(text.n < 250 ? text.n : 250), text.p);
    buf_free(&text);
}

static bool has_value(const struct eval *ev, const double *row)
{
    for (size_t step = 0; step < ev->steps; step++)
        if (!promql_is_stale(row[step]))
            return true;
    return false;
}

// Numbers the histograms by their labels without le, and makes an output row for each.
static int group(struct eval *ev, struct histograms *h, size_t at, struct vector *out)
{
    const struct str le[] = {LE};
    struct keymap map;
    keymap_init(&map, ev->arena, ev->input->hash_key);
    h->group_of = arena_array(ev->arena, h->in.n, sizeof(*h->group_of));
    h->upper = arena_array(ev->arena, h->in.n, sizeof(*h->upper));
    for (size_t i = 0; i < h->in.n; i++) {
        struct labels l = h->in.rows[i].labels;
        struct str bound = labels_get(l, LE);
        h->group_of[i] = SIZE_MAX;
        if (!literal_float(bound, &h->upper[i]) || h->upper[i] != h->upper[i]) {
            if (has_value(ev, h->in.rows[i].v))
                note_bound(ev, l, bound, at);
            continue;
        }
        buf_clear(&ev->key);
        buf_reserve(&ev->key, 1);
        labels_key_without(l, le, 1, &ev->key);
        h->group_of[i] = keymap_add(&map, (struct str){ev->key.p, ev->key.n});
        l = eval_without_name(ev, labels_drop(ev->arena, l, le, 1));
        if (h->group_of[i] == out->n && !vector_add(ev, out, l, true))
            return -1;
    }
    h->groups = out->n;
    return 0;
}

static void sort_by_group(struct eval *ev, struct histograms *h)
{
    h->rows = arena_array(ev->arena, h->in.n, sizeof(*h->rows));
    h->starts = arena_array(ev->arena, h->groups + 2, sizeof(*h->starts));
    for (size_t i = 0; i < h->in.n; i++)
        if (h->group_of[i] != SIZE_MAX)
            h->starts[h->group_of[i] + 2]++;
    for (size_t g = 2; g < h->groups + 2; g++)
        h->starts[g] += h->starts[g - 1];
    for (size_t i = 0; i < h->in.n; i++)
        if (h->group_of[i] != SIZE_MAX)
            h->rows[h->starts[h->group_of[i] + 1]++] = i;
}

static int one_group(struct eval *ev, const struct histograms *h, size_t g, size_t at,
                     struct row *out, struct bucket *buckets)
{
    struct str name = labels_get(out->labels, LABELS_NAME);
    for (size_t step = 0; step < ev->steps; step++) {
        size_t n = 0;
        if (step % 64 == 0 && eval_check(ev) != 0)
            return -1;
        for (size_t i = h->starts[g]; i < h->starts[g + 1]; i++) {
            double count = h->in.rows[h->rows[i]].v[step];
            if (!promql_is_stale(count))
                buckets[n++] = (struct bucket){h->upper[h->rows[i]], count};
        }
        if (n == 0)
            continue;
        double first = h->first[step];
        if (h->second) {
            out->v[step] = buckets_fraction(first, h->second[step], buckets, n);
            continue;
        }
        struct buckets_forced forced;
        out->v[step] = buckets_quantile(first, buckets, n, &forced);
        if (forced.any)
            notes_monotonic(&ev->notes, at, name, eval_time_ms(ev, step), forced.min_upper,
                            forced.max_upper, forced.max_difference);
    }
    return 0;
}

static int from_buckets(struct eval *ev, const struct node *arg, struct histograms *h,
                        struct vector *out)
{
    size_t at = arg->at;
    if (eval_node(ev, arg, &h->in) != 0 || group(ev, h, at, out) != 0)
        return -1;
    sort_by_group(ev, h);
    struct bucket *buckets = xmalloc((h->in.n + 1) * sizeof(*buckets));
    for (size_t g = 0; g < h->groups; g++)
        if (one_group(ev, h, g, at, &out->rows[g], buckets) != 0)
            break;
    free(buckets);
    vector_free(ev, &h->in);
    if (ev->verdict != PROMQL_OK)
        return -1;
    return ev->when->delayed_name_removal ? 0 : vector_merge(ev, out);
}

int eval_histogram_quantile(struct eval *ev, const struct node *call, struct vector *out)
{
    struct vector phi = {0};
    if (eval_node(ev, call->call.args[0], &phi) != 0)
        return -1;
    for (size_t step = 0; step < ev->steps; step++)
        eval_note_quantile(ev, phi.rows[0].v[step], call->call.args[0]->at);
    struct histograms h = {.first = phi.rows[0].v};
    const struct promql_quantile_answer *answer =
        ev->input->quantiles && call->call.quantile != SIZE_MAX
            ? &ev->input->quantiles[call->call.quantile]
            : NULL;
    int done = answer && answer->groups ? answered(ev, answer, h.first, out)
                                        : from_buckets(ev, call->call.args[1], &h, out);
    vector_free(ev, &phi);
    return done;
}

int eval_histogram_fraction(struct eval *ev, const struct node *call, struct vector *out)
{
    struct vector lower = {0}, upper = {0};
    if (eval_node(ev, call->call.args[0], &lower) != 0 ||
        eval_node(ev, call->call.args[1], &upper) != 0)
        return -1;
    struct histograms h = {.first = lower.rows[0].v, .second = upper.rows[0].v};
    int done = from_buckets(ev, call->call.args[2], &h, out);
    vector_free(ev, &lower);
    vector_free(ev, &upper);
    return done;
}
