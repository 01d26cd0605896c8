// SPDX-License-Identifier: Apache-2.0
// What a parsed query asks for: its selects, and its percentiles of histograms.
#include "metrics-api/promql/query.h"

static bool same_matchers(const struct node_selector *a, const struct node_selector *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct matcher *x = &a->matchers[i], *y = &b->matchers[i];
        if (x->op != y->op || !str_eq(x->name, y->name) || !str_eq(x->value, y->value))
            return false;
    }
    return true;
}

static void number_selects(struct promql_query *q)
{
    for (size_t i = 0; i < q->selector_count; i++) {
        struct node_selector *s = q->selectors[i];
        s->select = q->select_count;
        for (size_t j = 0; j < i && s->select == q->select_count; j++)
            if (same_matchers(q->selectors[j], s))
                s->select = q->selectors[j]->select;
        q->select_count += s->select == q->select_count;
    }
    q->selects = arena_array(&q->arena, q->select_count, sizeof(*q->selects));
}

static bool is_aggregation_of_sum(const struct node *n)
{
    return n->kind == NODE_AGGREGATION && n->aggregation.op == TOKEN_SUM;
}

static const struct node_selector *counted_selector(const struct node *n)
{
    if (n->kind != NODE_CALL || n->call.function->id != FUNCTION_OVER_TIME)
        return NULL;
    const char *name = n->call.function->name;
    if (strcmp(name, "rate") != 0 && strcmp(name, "increase") != 0)
        return NULL;
    return &node_unwrap(n->call.args[0])->selector;
}

static struct str without_suffix(struct str name)
{
    static const struct str suffix = {"_bucket", 7};
    if (name.n <= suffix.n || memcmp(name.p + name.n - suffix.n, suffix.p, suffix.n) != 0)
        return (struct str){NULL, 0};
    return (struct str){name.p, name.n - suffix.n};
}

// Fills in what histogram_quantile()'s argument asks for, if it has the shape of promql_quantile.
static bool shape_of(struct promql_query *q, const struct node *arg, struct promql_quantile *out)
{
    const struct str le = STR_LIT("le");
    arg = node_unwrap(arg);
    *out = (struct promql_quantile){.grouping = PROMQL_EACH};
    if (is_aggregation_of_sum(arg)) {
        const struct node_aggregation *a = &arg->aggregation;
        // A sum over the buckets themselves is no histogram.
        if (str_has(a->by.v, a->by.n, le) == a->without)
            return false;
        struct str *labels = arena_array(&q->arena, a->by.n, sizeof(*labels));
        for (size_t i = 0; i < a->by.n; i++)
            if (!str_eq(a->by.v[i], le))
                labels[out->label_count++] = a->by.v[i];
        out->labels = labels;
        out->grouping = a->without ? PROMQL_WITHOUT : PROMQL_BY;
        arg = node_unwrap(a->expr);
    }
    const struct node_selector *s = counted_selector(arg);
    if (!s)
        return false;
    out->matchers = s->matchers;
    out->matcher_count = s->n;
    out->range_ms = s->range_ms;
    out->offset_ms = s->offset_ms;
    out->select = s->select;
    for (size_t i = 0; i < s->n; i++) {
        const struct matcher *m = &s->matchers[i];
        // Some buckets of a histogram are not the histogram.
        if (str_eq(m->name, le))
            return false;
        if (str_eq(m->name, LABELS_NAME) && m->op == MATCHER_EQUAL)
            out->metric = without_suffix(m->value);
    }
    return true;
}

static void add_quantile(struct promql_query *q, struct node_call *call)
{
    struct promql_quantile found;
    if (!shape_of(q, call->args[1], &found))
        return;
    if (!q->quantiles) // each has a selector of its own
        q->quantiles = arena_array(&q->arena, q->selector_count, sizeof(*q->quantiles));
    call->quantile = q->quantile_count;
    q->quantiles[q->quantile_count++] = found;
}

static void find_quantiles(struct promql_query *q, struct node *n)
{
    switch (n->kind) {
    case NODE_CALL:
        if (n->call.function->id == FUNCTION_HISTOGRAM_QUANTILE)
            add_quantile(q, &n->call);
        for (size_t i = 0; i < n->call.n; i++)
            find_quantiles(q, n->call.args[i]);
        break;
    case NODE_AGGREGATION:
        if (n->aggregation.param)
            find_quantiles(q, n->aggregation.param);
        find_quantiles(q, n->aggregation.expr);
        break;
    case NODE_BINARY:
        find_quantiles(q, n->binary.left);
        find_quantiles(q, n->binary.right);
        break;
    case NODE_UNARY:
    case NODE_PAREN:
        find_quantiles(q, n->unary.expr);
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_SELECTOR:
        break;
    }
}

void query_bind(struct promql_query *q)
{
    number_selects(q);
    find_quantiles(q, q->root);
}

void promql_free(struct promql_query *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->regex_count; i++)
        regex_free(q->regexes[i]);
    free(q->regexes);
    struct arena arena = q->arena;
    free(q);
    arena_free(&arena);
}

enum promql_type promql_type_of(const struct promql_query *q)
{
    return q->root->type;
}

void promql_print(const struct promql_query *q, struct buf *out)
{
    node_print(q->root, out);
}

bool promql_is_selector(const struct promql_query *q)
{
    const struct node *n = q->root;
    return n->kind == NODE_SELECTOR && n->selector.range_ms == 0 && !n->selector.has_offset;
}

const struct promql_quantile *promql_quantiles(const struct promql_query *q, size_t *n)
{
    *n = q->quantile_count;
    return q->quantiles;
}

// Times of people's are within it; no sum of a few of them overflows.
static int64_t far_ms(int64_t t_ms)
{
    return max_i64(min_i64(t_ms, INT64_MAX / 8), INT64_MIN / 8);
}

// The only quantile that reads the selector; SIZE_MAX: there is none.
static size_t quantile_of(const struct promql_query *q, const struct node_selector *s)
{
    for (size_t i = 0; i < q->quantile_count; i++)
        if (q->quantiles[i].matchers == s->matchers)
            return i;
    return SIZE_MAX;
}

const struct promql_select *promql_selects(struct promql_query *q, const struct promql_when *when,
                                           size_t *n)
{
    int64_t lookback_ms = when->lookback_ms ? when->lookback_ms : PROMQL_LOOKBACK_MS;
    for (size_t i = 0; i < q->select_count; i++)
        q->selects[i] = (struct promql_select){.from_ms = INT64_MAX, .to_ms = INT64_MIN};
    for (size_t i = 0; i < q->selector_count; i++) {
        const struct node_selector *s = q->selectors[i];
        struct promql_select *select = &q->selects[s->select];
        bool first = !select->matchers;
        // A range does not include where it begins.
        int64_t back_ms = s->range_ms > 0 ? s->range_ms : lookback_ms;
        int64_t from_ms = far_ms(when->start_ms) - s->offset_ms - back_ms + 1;
        select->from_ms = min_i64(select->from_ms, from_ms);
        select->to_ms = max_i64(select->to_ms, far_ms(when->end_ms) - s->offset_ms);
        select->quantile = first ? quantile_of(q, s) : SIZE_MAX;
        select->matchers = s->matchers;
        select->matcher_count = s->n;
    }
    *n = q->select_count;
    return q->selects;
}
