// SPDX-License-Identifier: Apache-2.0
// Types: what may be an argument of what.
#include "metrics-api/promql/parse.h"

static bool expect(struct parser *p, const struct node *n, enum promql_type wanted,
                   const char *context)
{
    if (!parse_check(p, n))
        return false;
    if (n->type == wanted)
        return true;
    parse_fail(p, n->at, "expected type %s in %s, got %s", promql_type_name(wanted), context,
               promql_type_name(n->type));
    return false;
}

static bool check_aggregation(struct parser *p, const struct node_aggregation *a)
{
    if (!expect(p, a->expr, PROMQL_VECTOR, "aggregation expression"))
        return false;
    if (!a->param)
        return true;
    return expect(p, a->param, a->op == TOKEN_COUNT_VALUES ? PROMQL_STRING : PROMQL_SCALAR,
                  "aggregation parameter");
}

static bool is_operand(const struct node *n)
{
    return n->type == PROMQL_SCALAR || n->type == PROMQL_VECTOR;
}

static bool check_vectors(struct parser *p, const struct node *n)
{
    const struct node_binary *b = &n->binary;
    bool set = token_is_set_operator(b->op);
    bool vectors = b->left->type == PROMQL_VECTOR && b->right->type == PROMQL_VECTOR;
    if (!vectors && b->matching.n > 0)
        parse_fail(p, n->at, "vector matching only allowed between instant vectors");
    else if (!vectors && set)
        parse_fail(p, n->at, "set operator \"%s\" not allowed in binary scalar expression",
                   token_word(b->op));
    else if (set && b->card != CARD_ONE_TO_ONE)
        parse_fail(p, n->at, "no grouping allowed for \"%s\" operation", token_word(b->op));
    else
        return true;
    return false;
}

static bool check_binary(struct parser *p, const struct node *n)
{
    const struct node_binary *b = &n->binary;
    bool scalars = b->left->type == PROMQL_SCALAR && b->right->type == PROMQL_SCALAR;
    if (!parse_check(p, b->left) || !parse_check(p, b->right))
        return false;
    if (b->return_bool && !token_is_comparison(b->op)) {
        parse_fail(p, b->op_at, "bool modifier can only be used on comparison operators");
        return false;
    }
    if (token_is_comparison(b->op) && !b->return_bool && scalars) {
        parse_fail(p, b->op_at, "comparisons between scalars must use BOOL modifier");
        return false;
    }
    for (size_t i = 0; b->on && i < b->matching.n; i++) {
        struct str name = b->matching.v[i];
        if (str_has(b->include.v, b->include.n, name)) {
            parse_fail(p, b->op_at, "label \"%.*s\" must not occur in ON and GROUP clause at once",
                       (int)(name.n < 100 ? name.n : 100), name.p);
            return false;
        }
    }
    if (!is_operand(b->left) || !is_operand(b->right)) {
        parse_fail(p, is_operand(b->left) ? b->right->at : b->left->at,
                   "binary expression must contain only scalar and instant vector types");
        return false;
    }
    return check_vectors(p, n);
}

static bool check_count(struct parser *p, const struct node *n)
{
    const struct function *f = n->call.function;
    size_t least = f->variadic == 0 ? f->arg_count : f->arg_count - 1u, got = n->call.n;
    size_t most = f->variadic < 0 ? SIZE_MAX : least + (size_t)f->variadic;
    if (f->variadic == 0 && got != least)
        parse_fail(p, n->at, "expected %zu argument(s) in call to \"%s\", got %zu", least, f->name,
                   got);
    else if (got < least)
        parse_fail(p, n->at, "expected at least %zu argument(s) in call to \"%s\", got %zu", least,
                   f->name, got);
    else if (got > most)
        parse_fail(p, n->at, "expected at most %zu argument(s) in call to \"%s\", got %zu", most,
                   f->name, got);
    else
        return true;
    return false;
}

static bool check_call(struct parser *p, const struct node *n)
{
    const struct function *f = n->call.function;
    if (!check_count(p, n))
        return false;
    for (size_t i = 0; i < n->call.n; i++) {
        const struct node *arg = n->call.args[i];
        enum promql_type wanted = f->args[i < f->arg_count ? i : f->arg_count - 1u];
        if (!parse_check(p, arg))
            return false;
        if (arg->type != wanted) {
            parse_fail(p, arg->at, "expected type %s in call to function \"%s\", got %s",
                       promql_type_name(wanted), f->name, promql_type_name(arg->type));
            return false;
        }
    }
    return true;
}

static bool check_selector(struct parser *p, const struct node *n)
{
    const struct node_selector *s = &n->selector;
    if (s->name.n > 0) {
        for (size_t i = 0; i + 1 < s->n; i++) {
            if (str_eq(s->matchers[i].name, LABELS_NAME)) {
                struct str other = s->matchers[i].value;
                parse_fail(p, n->at, "metric name must not be set twice: \"%.*s\" or \"%.*s\"",
                           (int)(s->name.n < 100 ? s->name.n : 100), s->name.p,
                           (int)(other.n < 100 ? other.n : 100), other.p);
                return false;
            }
        }
        return true;
    }
    for (size_t i = 0; i < s->n; i++)
        if (!matcher_matches(&s->matchers[i], STR_LIT("")))
            return true;
    parse_fail(p, n->at, "vector selector must contain at least one non-empty matcher");
    return false;
}

bool parse_check(struct parser *p, const struct node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING:
        return true;
    case NODE_SELECTOR:
        return check_selector(p, n);
    case NODE_CALL:
        return check_call(p, n);
    case NODE_AGGREGATION:
        return check_aggregation(p, &n->aggregation);
    case NODE_BINARY:
        return check_binary(p, n);
    case NODE_PAREN:
        return parse_check(p, n->unary.expr);
    case NODE_UNARY:
        break;
    }
    if (!parse_check(p, n->unary.expr))
        return false;
    if (is_operand(n->unary.expr))
        return true;
    parse_fail(p, n->at,
               "unary expression only allowed on expressions of type scalar or instant vector, got "
               "\"%s\"",
               promql_type_name(n->unary.expr->type));
    return false;
}
