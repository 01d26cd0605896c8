// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/ast.h"

#include "metrics-api/promql/literal.h"

#include <math.h>

const struct node *node_unwrap(const struct node *n)
{
    while (n->kind == NODE_PAREN)
        n = n->unary.expr;
    return n;
}

static void print_names(const struct node_names *names, struct buf *out)
{
    buf_addc(out, '(');
    for (size_t i = 0; i < names->n; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        label_name_print(names->v[i], out);
    }
    buf_addc(out, ')');
}

void node_print_duration(int64_t ms, struct buf *out)
{
    static const struct {
        const char *name;
        int64_t ms;
        bool exact; // only where nothing is left over, so that 90d is not 12w6d
    } units[] = {{"y", INT64_C(365) * 86400000, true},
                 {"w", INT64_C(7) * 86400000, true},
                 {"d", 86400000, false},
                 {"h", 3600000, false},
                 {"m", 60000, false},
                 {"s", 1000, false},
                 {"ms", 1, false}};
    if (ms == 0)
        buf_adds(out, "0s");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms < units[i].ms || (units[i].exact && ms % units[i].ms != 0))
            continue;
        buf_addf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
        ms %= units[i].ms;
    }
}

static void print_matchers(const struct node_selector *s, struct buf *out)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    size_t n = s->n - (s->name.n > 0 ? 1 : 0);
    buf_add(out, s->name.p, s->name.n);
    if (n == 0 && s->name.n > 0)
        return;
    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i > 0 ? "," : "");
        label_name_print(s->matchers[i].name, out);
        buf_adds(out, ops[s->matchers[i].op]);
        quoted_print(s->matchers[i].value, out);
    }
    buf_addc(out, '}');
}

static void print_selector(const struct node_selector *s, struct buf *out)
{
    print_matchers(s, out);
    if (s->range_ms > 0) {
        buf_addc(out, '[');
        node_print_duration(s->range_ms, out);
        buf_addc(out, ']');
    }
    if (s->offset_ms != 0) {
        buf_adds(out, s->offset_ms < 0 ? " offset -" : " offset ");
        node_print_duration(s->offset_ms < 0 ? -s->offset_ms : s->offset_ms, out);
    }
}

static void print_aggregation(const struct node_aggregation *a, struct buf *out)
{
    buf_adds(out, token_word(a->op));
    if (a->without || a->by.n > 0) {
        buf_adds(out, a->without ? " without " : " by ");
        print_names(&a->by, out);
        buf_addc(out, ' ');
    }
    buf_addc(out, '(');
    if (a->param) {
        node_print(a->param, out);
        buf_adds(out, ", ");
    }
    node_print(a->expr, out);
    buf_addc(out, ')');
}

static void print_binary(const struct node_binary *b, struct buf *out)
{
    node_print(b->left, out);
    buf_addf(out, " %s%s", token_word(b->op), b->return_bool ? " bool" : "");
    if (b->matching.n > 0 || b->on || b->card != CARD_ONE_TO_ONE) {
        buf_adds(out, b->on ? " on " : " ignoring ");
        print_names(&b->matching, out);
    }
    if (b->card != CARD_ONE_TO_ONE) {
        buf_adds(out, b->card == CARD_MANY_TO_ONE ? " group_left " : " group_right ");
        print_names(&b->include, out);
    }
    buf_addc(out, ' ');
    node_print(b->right, out);
}

static void print_number(const struct node *n, struct buf *out)
{
    double value = n->number.value;
    if (!n->number.duration) {
        if (isinf(value) && value > 0)
            buf_adds(out, "Inf"); // a sign would bind weaker than what follows
        else
            literal_print(value, out);
        return;
    }
    buf_adds(out, value < 0 ? "-" : "");
    node_print_duration((int64_t)llround(fabs(value) * 1000), out);
}

void node_print(const struct node *n, struct buf *out)
{
    switch (n->kind) {
    case NODE_NUMBER:
        print_number(n, out);
        break;
    case NODE_STRING:
        quoted_print(n->string, out);
        break;
    case NODE_SELECTOR:
        print_selector(&n->selector, out);
        break;
    case NODE_CALL:
        buf_addf(out, "%s(", n->call.function->name);
        for (size_t i = 0; i < n->call.n; i++) {
            buf_adds(out, i > 0 ? ", " : "");
            node_print(n->call.args[i], out);
        }
        buf_addc(out, ')');
        break;
    case NODE_AGGREGATION:
        print_aggregation(&n->aggregation, out);
        break;
    case NODE_BINARY:
        print_binary(&n->binary, out);
        break;
    case NODE_UNARY:
        buf_addc(out, n->unary.minus ? '-' : '+');
        node_print(n->unary.expr, out);
        break;
    case NODE_PAREN:
        buf_addc(out, '(');
        node_print(n->unary.expr, out);
        buf_addc(out, ')');
        break;
    }
}
