// SPDX-License-Identifier: Apache-2.0
// Binary operations of two vectors: which series go together, step by step.
#include "metrics-api/promql/eval.h"

// Both sides' rows, numbered by the labels that must be the same.
static size_t *signatures(struct eval *ev, const struct node_binary *b,
                          const struct node_names *names, const struct vector *v,
                          struct keymap *map)
{
    size_t *numbers = arena_array(ev->arena, v->n, sizeof(*numbers));
    for (size_t i = 0; i < v->n && eval_check(ev) == 0; i++) {
        buf_clear(&ev->key);
        buf_reserve(&ev->key, 1);
        if (b->on)
            labels_key_with(v->rows[i].labels, names->v, names->n, &ev->key);
        else
            labels_key_without(v->rows[i].labels, names->v, names->n, &ev->key);
        numbers[i] = keymap_add(map, (struct str){ev->key.p, ev->key.n});
    }
    return numbers;
}

void eval_signatures(struct eval *ev, const struct node_binary *b, const struct vector *left,
                     const struct vector *right, size_t **left_of, size_t **right_of,
                     size_t *groups)
{
    struct keymap map;
    keymap_init(&map, ev->arena, ev->input->hash_key);
    struct str *names = arena_array(ev->arena, b->matching.n + 1, sizeof(*names));
    if (b->matching.n > 0)
        memcpy(names, b->matching.v, b->matching.n * sizeof(*names));
    names[b->matching.n] = LABELS_NAME;
    struct node_names all = {names, b->matching.n + (b->on ? 0 : 1)};
    *left_of = signatures(ev, b, &all, left, &map);
    *right_of = signatures(ev, b, &all, right, &map);
    *groups = map.n;
}

// --- and, or, unless -----------------------------------------------------------------------------

struct pass { // rows of one side into the output
    const struct vector *in;
    const size_t *group_of;
    size_t *out_row; // of each row; SIZE_MAX: none yet
};

static struct pass pass_of(struct eval *ev, const struct vector *in, const size_t *group_of)
{
    struct pass p = {in, group_of, arena_array(ev->arena, in->n, sizeof(size_t))};
    for (size_t i = 0; i < in->n; i++)
        p.out_row[i] = SIZE_MAX;
    return p;
}

// The rows that have a value, and whose group is, or is not, among those marked with this step.
static int let_through(struct eval *ev, struct pass *p, size_t step, const size_t *marks,
                       bool marked, struct outlet *outlet)
{
    for (size_t i = 0; i < p->in->n; i++) {
        const struct row *row = &p->in->rows[i];
        if (promql_is_stale(row->v[step]) || (marks[p->group_of[i]] == step + 1) != marked)
            continue;
        if (p->out_row[i] == SIZE_MAX)
            p->out_row[i] = outlet_row(ev, outlet, row->labels, row->drop_name);
        if (p->out_row[i] == SIZE_MAX ||
            outlet_put(ev, outlet, p->out_row[i], step, row->v[step]) != 0)
            return -1;
    }
    return 0;
}

static void mark(const struct pass *p, size_t step, size_t *marks)
{
    for (size_t i = 0; i < p->in->n; i++)
        if (!promql_is_stale(p->in->rows[i].v[step]))
            marks[p->group_of[i]] = step + 1;
}

int eval_set(struct eval *ev, const struct node_binary *b, const struct vector *left,
             const struct vector *right, struct vector *out)
{
    size_t *left_of, *right_of, groups;
    eval_signatures(ev, b, left, right, &left_of, &right_of, &groups);
    struct pass l = pass_of(ev, left, left_of), r = pass_of(ev, right, right_of);
    struct outlet outlet;
    outlet_init(ev, &outlet, out);
    // Which groups the other side has at a step: its number, from 1.
    size_t *marks = arena_array(ev->arena, groups, sizeof(*marks));
    size_t *no_marks = arena_array(ev->arena, groups, sizeof(*no_marks));
    for (size_t step = 0; step < ev->steps && eval_check(ev) == 0; step++) {
        mark(b->op == TOKEN_OR ? &l : &r, step, marks);
        int done = b->op == TOKEN_AND      ? let_through(ev, &l, step, marks, true, &outlet)
                   : b->op == TOKEN_UNLESS ? let_through(ev, &l, step, marks, false, &outlet)
                                           : let_through(ev, &l, step, no_marks, false, &outlet);
        if (done == 0 && b->op == TOKEN_OR)
            done = let_through(ev, &r, step, marks, false, &outlet);
        if (done != 0)
            return -1;
    }
    return ev->verdict == PROMQL_OK ? 0 : -1;
}

// --- arithmetic and comparisons ------------------------------------------------------------------

struct matching {
    struct eval *ev;
    const struct node_binary *b;
    const struct vector *many, *one; // one_to_one: left and right
    const size_t *many_of, *one_of;  // their groups
    struct outlet outlet;
    size_t *one_row;  // of each group, at this step
    size_t *one_mark; // the step it is of, from 1
    // What a row of `many` was last matched with, and what came of it.
    size_t *partner, *result;
    size_t *group_mark;      // of each group: the step where it was last matched, from 1
    struct buf result_marks; // of each result: a struct result_mark
};

// Where a result was last given out, and for which group.
struct result_mark {
    size_t step; // from 1
    size_t group;
};

static struct labels result_labels(const struct matching *m, struct labels many, struct labels one)
{
    const struct node_binary *b = m->b;
    struct arena *a = m->ev->arena;
    bool arithmetic = !token_is_comparison(b->op);
    if (arithmetic || (b->return_bool && !m->ev->when->delayed_name_removal))
        many = labels_drop_metadata(a, many);
    if (b->card == CARD_ONE_TO_ONE)
        many = b->on ? labels_keep(a, many, b->matching.v, b->matching.n)
                     : labels_drop(a, many, b->matching.v, b->matching.n);
    for (size_t i = 0; i < b->include.n; i++)
        many = labels_set(a, many, b->include.v[i], labels_get(one, b->include.v[i]));
    return many;
}

static int fail_many(struct matching *m, struct labels a, struct labels b)
{
    struct eval *ev = m->ev;
    struct buf group = {0}, first = {0}, second = {0};
    const struct node_names *names = &m->b->matching;
    struct str *all = arena_array(ev->arena, names->n + 1, sizeof(*all));
    if (names->n > 0)
        memcpy(all, names->v, names->n * sizeof(*all));
    all[names->n] = LABELS_NAME;
    labels_print(m->b->on ? labels_keep(ev->arena, a, all, names->n)
                          : labels_drop(ev->arena, a, all, names->n + 1),
                 &group);
    labels_print(a, &first);
    labels_print(b, &second);
    struct str x = {first.p, first.n}, y = {second.p, second.n};
    bool swap = str_compare(x, y) > 0;
    eval_fail(
        ev, PROMQL_EXECUTION,
        "found duplicate series for the match group %.*s on the %s hand-side of the operation: "
        "[%.*s, %.*s];many-to-many matching not allowed: matching labels must be unique on one "
        "side",
        (int)group.n, group.p, m->b->card == CARD_ONE_TO_MANY ? "left" : "right",
        (int)(swap ? y.n : x.n), swap ? y.p : x.p, (int)(swap ? x.n : y.n), swap ? x.p : y.p);
    buf_free(&group);
    buf_free(&first);
    buf_free(&second);
    return -1;
}

static int find_ones(struct matching *m, size_t step)
{
    for (size_t i = 0; i < m->one->n; i++) {
        size_t group = m->one_of[i];
        if (promql_is_stale(m->one->rows[i].v[step]))
            continue;
        if (m->one_mark[group] == step + 1)
            return fail_many(m, m->one->rows[i].labels, m->one->rows[m->one_row[group]].labels);
        m->one_mark[group] = step + 1;
        m->one_row[group] = i;
    }
    return 0;
}

// The output row of a pair. Labels of pairs hardly change from step to step.
static size_t result_row(struct matching *m, size_t i, size_t one)
{
    if (m->partner[i] == one)
        return m->result[i];
    struct labels l = result_labels(m, m->many->rows[i].labels, m->one->rows[one].labels);
    size_t row = outlet_row(m->ev, &m->outlet, l, m->b->return_bool);
    m->partner[i] = row == SIZE_MAX ? SIZE_MAX : one;
    m->result[i] = row;
    return row;
}

// A result must come of one pair only, whether the comparison holds or not.
static int mark_result(struct matching *m, size_t group, size_t row, size_t step)
{
    if (m->b->card == CARD_ONE_TO_ONE) {
        if (m->group_mark[group] == step + 1)
            return eval_fail(m->ev, PROMQL_EXECUTION,
                             "multiple matches for labels: many-to-one matching must be explicit "
                             "(group_left/group_right)");
        m->group_mark[group] = step + 1;
        return 0;
    }
    struct result_mark none = {0}, now = {step + 1, group};
    while (m->result_marks.n <= row * sizeof(none))
        buf_add(&m->result_marks, &none, sizeof(none));
    struct result_mark *marks = (struct result_mark *)(void *)m->result_marks.p;
    if (marks[row].step == now.step && marks[row].group == group)
        return eval_fail(m->ev, PROMQL_EXECUTION,
                         "multiple matches for labels: grouping labels must ensure unique matches");
    marks[row] = now;
    return 0;
}

static int match_pair(struct matching *m, size_t i, size_t step)
{
    size_t group = m->many_of[i], one = m->one_row[group];
    bool swapped = m->b->card == CARD_ONE_TO_MANY;
    double a = m->many->rows[i].v[step], b = m->one->rows[one].v[step], value;
    bool holds = eval_operate(m->b->op, swapped ? b : a, swapped ? a : b, &value);
    size_t row = result_row(m, i, one);
    if (row == SIZE_MAX || mark_result(m, group, row, step) != 0)
        return -1;
    if (m->b->return_bool)
        value = holds;
    else if (!holds)
        return 0;
    return outlet_put(m->ev, &m->outlet, row, step, value);
}

static bool has_any(const struct vector *v, size_t step)
{
    for (size_t i = 0; i < v->n; i++)
        if (!promql_is_stale(v->rows[i].v[step]))
            return true;
    return false;
}

static int match_steps(struct matching *m)
{
    for (size_t step = 0; step < m->ev->steps; step++) {
        if (eval_check(m->ev) != 0)
            return -1;
        // With nothing, nothing can match twice.
        if (!has_any(m->many, step) || !has_any(m->one, step))
            continue;
        if (find_ones(m, step) != 0)
            return -1;
        for (size_t i = 0; i < m->many->n; i++)
            if (!promql_is_stale(m->many->rows[i].v[step]) &&
                m->one_mark[m->many_of[i]] == step + 1 && match_pair(m, i, step) != 0)
                return -1;
    }
    return 0;
}

int eval_matched(struct eval *ev, const struct node_binary *b, const struct vector *left,
                 const struct vector *right, struct vector *out)
{
    size_t *left_of, *right_of, groups;
    bool swapped = b->card == CARD_ONE_TO_MANY;
    eval_signatures(ev, b, left, right, &left_of, &right_of, &groups);
    struct matching m = {.ev = ev,
                         .b = b,
                         .many = swapped ? right : left,
                         .one = swapped ? left : right,
                         .many_of = swapped ? right_of : left_of,
                         .one_of = swapped ? left_of : right_of,
                         .one_row = arena_array(ev->arena, groups, sizeof(size_t)),
                         .one_mark = arena_array(ev->arena, groups, sizeof(size_t)),
                         .group_mark = arena_array(ev->arena, groups, sizeof(size_t))};
    m.partner = arena_array(ev->arena, m.many->n, sizeof(size_t));
    m.result = arena_array(ev->arena, m.many->n, sizeof(size_t));
    for (size_t i = 0; i < m.many->n; i++)
        m.partner[i] = SIZE_MAX;
    outlet_init(ev, &m.outlet, out);
    int done = match_steps(&m);
    buf_free(&m.result_marks);
    return done;
}
