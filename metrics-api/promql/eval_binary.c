// SPDX-License-Identifier: Apache-2.0
// Binary operations of scalars, and of a vector with a scalar; and what all of them compute.
#include "metrics-api/promql/eval.h"

#include <math.h>

bool eval_operate(enum token_kind op, double left, double right, double *value)
{
    *value = left;
    switch (op) {
    case TOKEN_ADD:
        *value = left + right;
        return true;
    case TOKEN_SUB:
        *value = left - right;
        return true;
    case TOKEN_MUL:
        *value = left * right;
        return true;
    case TOKEN_DIV:
        *value = left / right;
        return true;
    case TOKEN_POW:
        *value = pow(left, right);
        return true;
    case TOKEN_MOD:
        *value = fmod(left, right);
        return true;
    case TOKEN_ATAN2:
        *value = atan2(left, right);
        return true;
    case TOKEN_EQUAL:
        return left == right;
    case TOKEN_NOT_EQUAL:
        return left != right;
    case TOKEN_GREATER:
        return left > right;
    case TOKEN_LESS:
        return left < right;
    case TOKEN_GREATER_EQUAL:
        return left >= right;
    default:
        return left <= right;
    }
}

static int eval_scalars(struct eval *ev, const struct node_binary *b, struct vector *out)
{
    struct vector right = {0};
    if (eval_node(ev, b->left, out) != 0 || eval_node(ev, b->right, &right) != 0)
        return -1;
    double *v = out->rows[0].v;
    for (size_t step = 0; step < ev->steps; step++) {
        double value;
        bool holds = eval_operate(b->op, v[step], right.rows[0].v[step], &value);
        v[step] = token_is_comparison(b->op) ? holds : value;
    }
    vector_free(ev, &right);
    return 0;
}

// A comparison lets the vector's value through, on whichever side it stands.
static int eval_with_scalar(struct eval *ev, const struct node_binary *b, struct vector *out)
{
    bool swapped = b->left->type == PROMQL_SCALAR, compares = token_is_comparison(b->op);
    struct vector scalar = {0};
    if (eval_node(ev, swapped ? b->right : b->left, out) != 0 ||
        eval_node(ev, swapped ? b->left : b->right, &scalar) != 0)
        return -1;
    const double *other = scalar.rows[0].v;
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        double *v = out->rows[i].v;
        for (size_t step = 0; step < ev->steps; step++) {
            if (promql_is_stale(v[step]))
                continue;
            double value;
            bool holds = swapped ? eval_operate(b->op, other[step], v[step], &value)
                                 : eval_operate(b->op, v[step], other[step], &value);
            if (b->return_bool)
                v[step] = holds;
            else if (!compares)
                v[step] = value;
            else if (!holds)
                v[step] = promql_stale();
        }
    }
    vector_free(ev, &scalar);
    if (ev->verdict != PROMQL_OK)
        return -1;
    return compares && !b->return_bool ? 0 : vector_drop_names(ev, out);
}

int eval_binary(struct eval *ev, const struct node *n, struct vector *out)
{
    const struct node_binary *b = &n->binary;
    if (n->type == PROMQL_SCALAR)
        return eval_scalars(ev, b, out);
    if (b->left->type == PROMQL_SCALAR || b->right->type == PROMQL_SCALAR)
        return eval_with_scalar(ev, b, out);
    struct vector left = {0}, right = {0};
    if (eval_node(ev, b->left, &left) != 0 || eval_node(ev, b->right, &right) != 0)
        return -1;
    int done = token_is_set_operator(b->op) ? eval_set(ev, b, &left, &right, out)
                                            : eval_matched(ev, b, &left, &right, out);
    vector_free(ev, &left);
    vector_free(ev, &right);
    return done;
}
