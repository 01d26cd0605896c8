// SPDX-License-Identifier: Apache-2.0
// Aggregations: series into groups, and what becomes of each at each step.
#include "metrics-api/promql/eval.h"
#include "metrics-api/promql/kahan.h"
#include "metrics-api/promql/literal.h"

#include <math.h>

struct groups {
    const struct vector *in;
    size_t *of; // the group of each row
    size_t n;
};

static struct str group_key(struct eval *ev, const struct node_aggregation *a, struct labels l)
{
    buf_clear(&ev->key);
    buf_reserve(&ev->key, 1);
    if (a->without)
        labels_key_without(l, a->by.v, a->by.n, &ev->key);
    else
        labels_key_with(l, a->by.v, a->by.n, &ev->key);
    return (struct str){ev->key.p, ev->key.n};
}

// without (…) never keeps the name.
static struct node_names with_name(struct eval *ev, const struct node_aggregation *a)
{
    struct str *v = arena_array(ev->arena, a->by.n + 1, sizeof(*v));
    if (a->by.n > 0)
        memcpy(v, a->by.v, a->by.n * sizeof(*v));
    v[a->by.n] = LABELS_NAME;
    return (struct node_names){v, a->by.n + (a->without ? 1 : 0)};
}

static struct labels group_labels(struct eval *ev, const struct node_aggregation *a,
                                  struct labels l)
{
    return a->without ? labels_drop(ev->arena, l, a->by.v, a->by.n)
                      : labels_keep(ev->arena, l, a->by.v, a->by.n);
}

// Numbers the groups in the order of their first row. With `out`, each gets a row there.
static int group(struct eval *ev, const struct node_aggregation *a, struct groups *g,
                 struct vector *out)
{
    struct keymap map;
    keymap_init(&map, ev->arena, ev->input->hash_key);
    g->of = arena_array(ev->arena, g->in->n, sizeof(*g->of));
    for (size_t i = 0; i < g->in->n; i++) {
        const struct row *row = &g->in->rows[i];
        if (eval_check(ev) != 0)
            return -1;
        g->of[i] = keymap_add(&map, group_key(ev, a, row->labels));
        bool fresh = out && g->of[i] == out->n;
        if (fresh && !vector_add(ev, out, group_labels(ev, a, row->labels), false))
            return -1;
        if (out && row->drop_name)
            out->rows[g->of[i]].drop_name = true;
    }
    g->n = map.n;
    return 0;
}

// --- one number a group and step, series by series -----------------------------------------------

struct state {
    struct kahan_mean mean; // sums are its k
    double squares;
};

static void begin(enum token_kind op, struct state *s, double v)
{
    *s = (struct state){.mean = {.k = {v, 0}, .count = 1}};
    if (op == TOKEN_STDDEV || op == TOKEN_STDVAR)
        s->squares = isfinite(v) ? 0 : NAN;
}

static void add(enum token_kind op, struct state *s, double v)
{
    double *value = &s->mean.k.sum;
    switch (op) {
    case TOKEN_SUM:
        kahan_add(&s->mean.k, v);
        break;
    case TOKEN_AVG:
        kahan_mean_add(&s->mean, v);
        break;
    case TOKEN_MIN:
        *value = *value > v || isnan(*value) ? v : *value;
        break;
    case TOKEN_MAX:
        *value = *value < v || isnan(*value) ? v : *value;
        break;
    case TOKEN_STDDEV:
    case TOKEN_STDVAR: {
        double distance = v - *value;
        s->mean.count++;
        *value += distance / s->mean.count;
        s->squares += distance * (v - *value);
        break;
    }
    default: // count and group
        s->mean.count++;
    }
}

static double finish(enum token_kind op, const struct state *s)
{
    switch (op) {
    case TOKEN_SUM:
        return s->mean.k.sum + s->mean.k.c;
    case TOKEN_AVG:
        return kahan_mean_value(&s->mean);
    case TOKEN_COUNT:
        return s->mean.count;
    case TOKEN_GROUP:
        return 1;
    case TOKEN_STDVAR:
        return s->squares / s->mean.count;
    case TOKEN_STDDEV:
        return sqrt(s->squares / s->mean.count);
    default: // min and max
        return s->mean.k.sum;
    }
}

// Some steps at a time, so that the states stay few and near.
#define STATES_MAX ((size_t)64 << 10)
#define BLOCK_STEPS_MAX ((size_t)64)

static size_t block_steps(size_t groups)
{
    size_t n = STATES_MAX / (groups + 1);
    return n == 0 ? 1 : n < BLOCK_STEPS_MAX ? n : BLOCK_STEPS_MAX;
}

static int fold(struct eval *ev, enum token_kind op, const struct groups *g, struct vector *out)
{
    size_t block = block_steps(g->n);
    struct state *states = xmalloc((g->n + 1) * block * sizeof(*states));
    for (size_t from = 0; from < ev->steps && eval_check(ev) == 0; from += block) {
        size_t n = ev->steps - from < block ? ev->steps - from : block;
        for (size_t i = 0; i < g->n * block; i++)
            states[i].mean.count = 0;
        for (size_t i = 0; i < g->in->n; i++) {
            struct state *s = states + g->of[i] * block;
            const double *v = g->in->rows[i].v + from;
            for (size_t step = 0; step < n; step++) {
                if (promql_is_stale(v[step]))
                    continue;
                if (s[step].mean.count == 0)
                    begin(op, &s[step], v[step]);
                else
                    add(op, &s[step], v[step]);
            }
        }
        for (size_t i = 0; i < g->n; i++)
            for (size_t step = 0; step < n; step++)
                if (states[i * block + step].mean.count > 0)
                    out->rows[i].v[from + step] = finish(op, &states[i * block + step]);
    }
    free(states);
    return ev->verdict == PROMQL_OK ? 0 : -1;
}

// --- quantile ------------------------------------------------------------------------------------

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x > y) - (x < y);
}

double eval_quantile(double phi, double *values, size_t n)
{
    if (n == 0 || isnan(phi))
        return NAN;
    if (phi < 0 || phi > 1)
        return phi < 0 ? -INFINITY : INFINITY;
    qsort(values, n, sizeof(*values), compare_values);
    double last = (double)(n - 1), rank = phi * last;
    double lower = fmax(0, floor(rank)), upper = fmin(last, lower + 1), weight = rank - floor(rank);
    return values[(size_t)lower] * (1 - weight) + values[(size_t)upper] * weight;
}

static int quantiles(struct eval *ev, const struct groups *g, const double *phi, struct vector *out)
{
    double *values = xmalloc((g->in->n + 1) * sizeof(*values));
    size_t *n = xcalloc(g->n + 1, sizeof(*n)), *starts = xcalloc(g->n + 2, sizeof(*starts));
    for (size_t i = 0; i < g->in->n; i++)
        starts[g->of[i] + 1]++;
    for (size_t i = 1; i <= g->n; i++)
        starts[i] += starts[i - 1];
    for (size_t step = 0; step < ev->steps && eval_check(ev) == 0; step++) {
        memset(n, 0, g->n * sizeof(*n));
        for (size_t i = 0; i < g->in->n; i++) {
            double v = g->in->rows[i].v[step];
            if (!promql_is_stale(v))
                values[starts[g->of[i]] + n[g->of[i]]++] = v;
        }
        for (size_t i = 0; i < g->n; i++)
            if (n[i] > 0)
                out->rows[i].v[step] = eval_quantile(phi[step], values + starts[i], n[i]);
    }
    free(values);
    free(n);
    free(starts);
    return ev->verdict == PROMQL_OK ? 0 : -1;
}

// --- count_values --------------------------------------------------------------------------------

int eval_count_values(struct eval *ev, const struct node_aggregation *a, const struct vector *in,
                      struct vector *out)
{
    struct str label = node_unwrap(a->param)->string;
    struct outlet outlet;
    struct buf text = {0};
    struct node_aggregation by = *a;
    if (!label_name_valid(label)) {
        quoted_print(label, &text);
        eval_fail(ev, PROMQL_EXECUTION, "invalid label name %.*s",
                  (int)(text.n < 100 ? text.n : 100), text.p);
        buf_free(&text);
        return -1;
    }
    struct str *names = arena_array(ev->arena, a->by.n + 1, sizeof(*names));
    if (a->by.n > 0)
        memcpy(names, a->by.v, a->by.n * sizeof(*names));
    names[a->by.n] = label;
    by.by = (struct node_names){names, a->by.n + (a->without ? 0 : 1)};
    outlet_init(ev, &outlet, out);
    for (size_t i = 0; i < in->n && eval_check(ev) == 0; i++) {
        for (size_t step = 0; step < ev->steps; step++) {
            double v = in->rows[i].v[step];
            if (promql_is_stale(v))
                continue;
            buf_clear(&text);
            literal_print(v, &text);
            struct labels l =
                labels_set(ev->arena, in->rows[i].labels, label, (struct str){text.p, text.n});
            size_t row = outlet_row(ev, &outlet, group_labels(ev, &by, l), false);
            if (row == SIZE_MAX)
                break;
            double *count = &out->rows[row].v[step];
            *count = promql_is_stale(*count) ? 1 : *count + 1;
        }
    }
    buf_free(&text);
    return ev->verdict == PROMQL_OK ? 0 : -1;
}

static int aggregate(struct eval *ev, const struct node_aggregation *a, const struct vector *in,
                     const double *param, struct vector *out)
{
    struct groups g = {.in = in};
    bool top = a->op == TOKEN_TOPK || a->op == TOKEN_BOTTOMK;
    if (a->op == TOKEN_COUNT_VALUES)
        return eval_count_values(ev, a, in, out);
    if (group(ev, a, &g, top ? NULL : out) != 0)
        return -1;
    if (top)
        return eval_top(ev, a, in, g.of, g.n, param, out);
    if (a->op != TOKEN_QUANTILE)
        return fold(ev, a->op, &g, out);
    assert(param);
    for (size_t step = 0; step < ev->steps; step++)
        eval_note_quantile(ev, param[step], a->param->at);
    return quantiles(ev, &g, param, out);
}

int eval_aggregation(struct eval *ev, const struct node *n, struct vector *out)
{
    struct node_aggregation a = n->aggregation;
    struct vector param = {0}, in = {0};
    a.by = with_name(ev, &a);
    if (a.param && a.param->type == PROMQL_SCALAR && eval_node(ev, a.param, &param) != 0)
        return -1;
    if (eval_node(ev, a.expr, &in) != 0)
        return -1;
    int done = aggregate(ev, &a, &in, param.n > 0 ? param.rows[0].v : NULL, out);
    vector_free(ev, &param);
    vector_free(ev, &in);
    return done;
}
