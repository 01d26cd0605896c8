// SPDX-License-Identifier: Apache-2.0
// Functions of windows at every step, and the absence of series.
#include "metrics-api/promql/eval.h"
#include "metrics-api/promql/over_time.h"

#include "metrics-api/promql/literal.h"

#include <math.h>

#define WORK_MAX ((size_t)64 << 10)

struct windows {
    struct eval *ev;
    const struct over_time *function;
    const struct node_selector *selector;
    const double *argument; // one a step; NULL: the function has none
    double *scratch;
};

// Of the samples low to high, those that are less than the one before.
struct slide {
    size_t low, high, resets;
};

static bool is_reset(const struct promql_series *s, size_t i)
{
    return s->v[i] < s->v[i - 1];
}

// Both borders only move forward.
static void slide_on(struct slide *at, const struct promql_series *s, const struct window *w)
{
    for (; at->high < s->n && s->t_ms[at->high] <= w->to_ms; at->high++)
        at->resets += at->high > at->low && is_reset(s, at->high);
    for (; at->low < at->high && s->t_ms[at->low] <= w->from_ms; at->low++)
        at->resets -= at->low + 1 < at->high && is_reset(s, at->low + 1);
}

// Over one series.
static bool evaluate(const struct windows *ws, const struct promql_series *s, double *row)
{
    const struct node_selector *selector = ws->selector;
    struct window w = {.scratch = ws->scratch, .range_s = (double)selector->range_ms / 1000};
    struct slide at = {0};
    size_t work = 0;
    bool any = false;
    for (size_t step = 0; step < ws->ev->steps; step++) {
        w.now_ms = eval_time_ms(ws->ev, step);
        w.to_ms = w.now_ms - selector->offset_ms;
        w.from_ms = w.to_ms - selector->range_ms;
        slide_on(&at, s, &w);
        if (at.low == at.high)
            continue;
        w.t_ms = s->t_ms + at.low;
        w.v = s->v + at.low;
        w.n = at.high - at.low;
        w.resets = at.resets;
        w.argument = ws->argument ? ws->argument[step] : 0;
        row[step] = ws->function->f(&w);
        any = any || !promql_is_stale(row[step]);
        // Long windows take their time: whether there is still some is asked for so many samples.
        work += w.n;
        if (work > WORK_MAX && eval_check(ws->ev) != 0)
            break;
        work = work > WORK_MAX ? 0 : work;
    }
    return any;
}

static bool ends_with(struct str s, struct str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

static void note_counter(struct eval *ev, struct str name, size_t at)
{
    static const struct str endings[] = {{"_total", 6}, {"_sum", 4}, {"_count", 6}, {"_bucket", 7}};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (name.n == 0 || ends_with(name, endings[i]))
            return;
    struct buf quoted = {0};
    quoted_print(name, &quoted);
    notes_inform(
        &ev->notes, at,
        "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: %.*s",
        (int)(quoted.n < 200 ? quoted.n : 200), quoted.p);
    buf_free(&quoted);
}

void eval_note_quantile(struct eval *ev, double phi, size_t at)
{
    if (phi >= 0 && phi <= 1)
        return;
    struct buf text = {0};
    literal_print_g(phi, &text);
    notes_warn(&ev->notes, at, "quantile value should be between 0 and 1, got %.*s", (int)text.n,
               text.p);
    buf_free(&text);
}

static size_t longest(const struct promql_series_set *set)
{
    size_t n = 1;
    for (size_t i = 0; i < set->n; i++)
        n = set->v[i].n > n ? set->v[i].n : n;
    return n;
}

static int over_series(const struct windows *ws, const struct node *call, struct vector *out)
{
    struct eval *ev = ws->ev;
    const struct promql_series_set *set = eval_windows(ev, ws->selector->select);
    bool drop = !ws->function->keeps_name;
    for (size_t i = 0; i < set->n; i++) {
        const struct promql_series *s = &set->v[i];
        struct labels labels = drop ? eval_without_name(ev, s->labels) : s->labels;
        double *row = vector_add(ev, out, labels, drop);
        if (!row)
            return -1;
        bool any = evaluate(ws, s, row);
        if (ev->verdict != PROMQL_OK)
            return -1;
        if (!any) {
            vector_drop_last(ev, out);
            continue;
        }
        if (ws->function->of_counter)
            note_counter(ev, labels_get(s->labels, LABELS_NAME), call->call.args[0]->at);
        const double *phi = ws->function->of_quantile ? ws->argument : NULL;
        for (size_t step = 0; phi && step < ev->steps; step++)
            if (!promql_is_stale(row[step]))
                eval_note_quantile(ev, phi[step], call->call.args[0]->at);
    }
    return ev->when->delayed_name_removal ? 0 : vector_merge(ev, out);
}

int eval_over_time(struct eval *ev, const struct node *call, struct vector *out)
{
    struct windows ws = {.ev = ev, .function = over_time_find(call->call.function->name)};
    struct vector argument = {0};
    for (size_t i = 0; i < call->call.n; i++) {
        const struct node *arg = node_unwrap(call->call.args[i]);
        if (arg->type == PROMQL_MATRIX)
            ws.selector = &arg->selector;
        else if (eval_node(ev, arg, &argument) != 0)
            return -1;
    }
    ws.argument = argument.n > 0 ? argument.rows[0].v : NULL;
    assert(ws.selector);
    size_t room = longest(eval_windows(ev, ws.selector->select));
    ws.scratch = xmalloc(room * sizeof(*ws.scratch));
    int done = over_series(&ws, call, out);
    free(ws.scratch);
    vector_free(ev, &argument);
    return done;
}

// --- absent, absent_over_time --------------------------------------------------------------------

// The labels that the selector asks to be equal to something, once each.
static struct labels absent_labels(struct eval *ev, const struct node *n)
{
    struct labels l = {NULL, 0};
    if (n->kind != NODE_SELECTOR)
        return l;
    const struct node_selector *s = &n->selector;
    for (size_t i = 0; i < s->n; i++) {
        const struct matcher *m = &s->matchers[i];
        bool before = false, twice = false;
        for (size_t j = 0; j < s->n; j++) {
            bool same = str_eq(s->matchers[j].name, m->name);
            before = before || (same && j < i && s->matchers[j].op == MATCHER_EQUAL);
            twice = twice || (same && j > i);
        }
        if (m->op == MATCHER_EQUAL && !before && !twice && !str_eq(m->name, LABELS_NAME))
            l = labels_set(ev->arena, l, m->name, m->value);
    }
    return l;
}

int eval_absent(struct eval *ev, const struct node *call, struct vector *out)
{
    const struct node *arg = node_unwrap(call->call.args[0]);
    struct vector in = {0};
    if (arg->type == PROMQL_MATRIX) {
        struct windows ws = {.ev = ev, .selector = &arg->selector};
        ws.function = over_time_find("present_over_time");
        const struct promql_series_set *set = eval_windows(ev, arg->selector.select);
        for (size_t i = 0; i < set->n; i++) {
            double *row = vector_add(ev, &in, set->v[i].labels, true);
            if (!row)
                return -1;
            evaluate(&ws, &set->v[i], row);
            if (ev->verdict != PROMQL_OK)
                return -1;
        }
    } else if (eval_node(ev, arg, &in) != 0) {
        return -1;
    }
    double *row = vector_add(ev, out, absent_labels(ev, arg), false);
    if (!row)
        return -1;
    for (size_t step = 0; step < ev->steps; step++) {
        bool present = false;
        for (size_t i = 0; i < in.n && !present; i++)
            present = !promql_is_stale(in.rows[i].v[step]);
        if (!present)
            row[step] = 1;
    }
    vector_free(ev, &in);
    return 0;
}
