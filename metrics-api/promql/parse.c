// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/parse.h"

#include <stdarg.h>
#include <stdio.h>

const struct promql_limits promql_limits_default = {.query_bytes = 64 << 10,
                                                    .depth = 250,
                                                    .selectors = 1000,
                                                    .names = 200,
                                                    .regexes = 64,
                                                    .steps = 11000,
                                                    .series = 50000,
                                                    .samples = 50000000};

enum {
    PRECEDENCE_OR = 1,
    PRECEDENCE_AND,
    PRECEDENCE_COMPARISON,
    PRECEDENCE_ADD,
    PRECEDENCE_MUL,
    PRECEDENCE_POW,
};

void parse_advance(struct parser *p)
{
    p->token = lex_next(&p->lexer);
    if (p->token.kind == TOKEN_ERROR)
        parse_fail(p, p->token.at, "%.*s", (int)p->token.text.n, p->token.text.p);
}

bool parse_take(struct parser *p, enum token_kind kind)
{
    if (p->token.kind != kind)
        return false;
    parse_advance(p);
    return true;
}

void query_print_position(struct str text, size_t at, struct buf *out)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.n; i++) {
        line += text.p[i] == '\n';
        column = text.p[i] == '\n' ? 1 : column + 1;
    }
    buf_addf(out, "%zu:%zu", line, column);
}

void *parse_fail(struct parser *p, size_t at, const char *fmt, ...)
{
    if (p->verdict != PROMQL_OK)
        return NULL;
    struct buf position = {0};
    query_print_position(p->query->text, at, &position);
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    text_clean(text);
    err_field(p->e, "", (int64_t)at, "%.*s: parse error: %s", (int)position.n, position.p, text);
    buf_free(&position);
    p->verdict = PROMQL_BAD_DATA;
    return NULL;
}

void *parse_unexpected(struct parser *p, const char *context, const char *expected)
{
    struct buf word = {0};
    token_describe(&p->token, &word);
    parse_fail(p, p->token.at, "unexpected %.*s%s%s%s%s", (int)word.n, word.p,
               context ? " in " : "", context ? context : "", expected ? ", expected " : "",
               expected ? expected : "");
    buf_free(&word);
    return NULL;
}

void parse_missing(struct parser *p, size_t at, const char *name, size_t n)
{
    if (p->missing[0] != '\0')
        return;
    snprintf(p->missing, sizeof(p->missing), "%.*s", (int)n, name);
    p->missing_at = at;
}

struct node *parse_node(struct parser *p, enum node_kind kind, enum promql_type type, size_t at)
{
    struct node *n = arena_alloc(&p->query->arena, sizeof(*n));
    n->kind = kind;
    n->type = type;
    n->at = at;
    n->depth = 1;
    return n;
}

static bool too_deep(struct parser *p, size_t at)
{
    parse_fail(p, at, "expression is nested deeper than %zu levels", p->limits->depth);
    return true;
}

bool parse_adopt(struct parser *p, struct node *parent, const struct node *child)
{
    if (child->depth >= parent->depth)
        parent->depth = child->depth + 1;
    return parent->depth <= p->limits->depth || !too_deep(p, parent->at);
}

static int precedence_of(enum token_kind op)
{
    switch (op) {
    case TOKEN_OR:
        return PRECEDENCE_OR;
    case TOKEN_AND:
    case TOKEN_UNLESS:
        return PRECEDENCE_AND;
    case TOKEN_EQUAL:
    case TOKEN_NOT_EQUAL:
    case TOKEN_LESS_EQUAL:
    case TOKEN_LESS:
    case TOKEN_GREATER_EQUAL:
    case TOKEN_GREATER:
    case TOKEN_TRIM_UPPER:
    case TOKEN_TRIM_LOWER:
        return PRECEDENCE_COMPARISON;
    case TOKEN_ADD:
    case TOKEN_SUB:
        return PRECEDENCE_ADD;
    case TOKEN_MUL:
    case TOKEN_DIV:
    case TOKEN_MOD:
    case TOKEN_ATAN2:
        return PRECEDENCE_MUL;
    case TOKEN_POW:
        return PRECEDENCE_POW;
    default:
        return 0;
    }
}

int parse_names(struct parser *p, struct node_names *names)
{
    static const char context[] = "grouping opts";
    if (!parse_take(p, TOKEN_LEFT_PAREN)) {
        parse_unexpected(p, context, "\"(\"");
        return -1;
    }
    size_t cap = 0;
    while (p->token.kind != TOKEN_RIGHT_PAREN) {
        enum token_kind k = p->token.kind;
        struct str name = p->token.text;
        if (k == TOKEN_STRING) {
            const struct node *string = parse_string(p);
            if (!string)
                return -1;
            name = string->string;
        } else if (k == TOKEN_IDENTIFIER || k == TOKEN_METRIC || k >= TOKEN_AND) {
            parse_advance(p);
        } else {
            parse_unexpected(p, context, "label");
            return -1;
        }
        if (names->n >= p->limits->names) {
            parse_fail(p, p->token.at, "more than %zu labels in a list", p->limits->names);
            return -1;
        }
        if (!label_name_valid(name)) {
            parse_fail(p, p->token.at, "invalid label name for grouping: \"%.*s\"", (int)name.n,
                       name.p);
            return -1;
        }
        if (names->n == cap) {
            struct str *more =
                arena_array(&p->query->arena, cap = cap ? cap * 2 : 8, sizeof(*more));
            if (names->n > 0)
                memcpy(more, names->v, names->n * sizeof(*more));
            names->v = more;
        }
        names->v[names->n++] = name;
        if (!parse_take(p, TOKEN_COMMA) && p->token.kind != TOKEN_RIGHT_PAREN) {
            parse_unexpected(p, context, "\",\" or \")\"");
            return -1;
        }
    }
    parse_advance(p);
    return p->verdict == PROMQL_OK ? 0 : -1;
}

// (a, b, …) of a call or an aggregation; at most one more than any function takes is of use, but
// label_join's.
static int parse_arguments(struct parser *p, struct node ***args, size_t *count)
{
    size_t cap = 0;
    *count = 0;
    if (!parse_take(p, TOKEN_LEFT_PAREN)) {
        parse_unexpected(p, NULL, NULL);
        return -1;
    }
    while (p->token.kind != TOKEN_RIGHT_PAREN) {
        struct node *arg = parse_expression(p, PRECEDENCE_OR);
        if (!arg)
            return -1;
        if (*count == cap) {
            struct node **more =
                arena_array(&p->query->arena, cap = cap ? cap * 2 : 4, sizeof(*more));
            if (*count > 0)
                memcpy(more, *args, *count * sizeof(*more));
            *args = more;
        }
        (*args)[(*count)++] = arg;
        size_t comma = p->token.at;
        if (parse_take(p, TOKEN_COMMA)) {
            if (p->token.kind == TOKEN_RIGHT_PAREN)
                parse_fail(p, comma, "trailing commas not allowed in function call args");
        } else if (p->token.kind != TOKEN_RIGHT_PAREN) {
            parse_unexpected(p, NULL, NULL);
        }
        if (p->verdict != PROMQL_OK)
            return -1;
    }
    parse_advance(p);
    return p->verdict == PROMQL_OK ? 0 : -1;
}

static int parse_by(struct parser *p, struct node_aggregation *a)
{
    a->without = p->token.kind == TOKEN_WITHOUT;
    parse_advance(p);
    return parse_names(p, &a->by);
}

static bool is_by(const struct parser *p)
{
    return p->token.kind == TOKEN_BY || p->token.kind == TOKEN_WITHOUT;
}

static struct node *parse_aggregation(struct parser *p, struct token op)
{
    struct node *n = parse_node(p, NODE_AGGREGATION, PROMQL_VECTOR, op.at);
    struct node_aggregation *a = &n->aggregation;
    a->op = op.kind;
    bool first = is_by(p);
    if (first && parse_by(p, a) != 0)
        return NULL;
    if (p->token.kind != TOKEN_LEFT_PAREN)
        return parse_unexpected(p, "aggregation", NULL);
    struct node **args = NULL;
    size_t count;
    if (parse_arguments(p, &args, &count) != 0 || (!first && is_by(p) && parse_by(p, a) != 0))
        return NULL;
    bool limits = op.kind == TOKEN_LIMITK || op.kind == TOKEN_LIMIT_RATIO;
    if (limits)
        parse_missing(p, op.at, token_word(op.kind), strlen(token_word(op.kind)));
    size_t wanted = op.kind >= TOKEN_TOPK ? 2 : 1;
    if (count == 0)
        return parse_fail(p, op.at, "no arguments for aggregate expression provided");
    if (count != wanted)
        return parse_fail(
            p, op.at,
            "wrong number of arguments for aggregate expression provided, expected %zu, "
            "got %zu",
            wanted, count);
    a->param = wanted == 2 ? args[0] : NULL;
    a->expr = args[wanted - 1];
    if ((a->param && !parse_adopt(p, n, a->param)) || !parse_adopt(p, n, a->expr))
        return NULL;
    return n;
}

static struct node *parse_call(struct parser *p, struct token name)
{
    const struct function *f = function_find(name.text);
    struct node *n = parse_node(p, NODE_CALL, f ? f->returns : PROMQL_NONE_TYPE, name.at);
    n->call.quantile = SIZE_MAX;
    n->call.function = f;
    if (parse_arguments(p, &n->call.args, &n->call.n) != 0)
        return NULL;
    if (!f)
        return parse_fail(p, name.at, "unknown function with name \"%.*s\"",
                          (int)(name.text.n < 100 ? name.text.n : 100), name.text.p);
    if (f->id == FUNCTION_UNSUPPORTED)
        parse_missing(p, name.at, f->name, strlen(f->name));
    for (size_t i = 0; i < n->call.n; i++)
        if (!parse_adopt(p, n, n->call.args[i]))
            return NULL;
    return n;
}

// A word: a function's name, an aggregation, or a metric's name, which may be like a keyword.
static struct node *parse_word(struct parser *p)
{
    struct token word = p->token;
    bool preprocessor = word.kind >= TOKEN_START;
    // What follows decides, so look before the word is taken for a selector.
    struct lexer ahead = p->lexer;
    enum token_kind next = lex_next(&ahead).kind;
    if (next == TOKEN_LEFT_PAREN && (word.kind == TOKEN_IDENTIFIER || preprocessor)) {
        parse_advance(p);
        return parse_call(p, word);
    }
    if (token_is_aggregation(word.kind) &&
        (next == TOKEN_LEFT_PAREN || next == TOKEN_BY || next == TOKEN_WITHOUT)) {
        parse_advance(p);
        return parse_aggregation(p, word);
    }
    return parse_selector(p);
}

static struct node *parse_primary(struct parser *p)
{
    size_t at = p->token.at;
    switch (p->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
        return parse_literal(p);
    case TOKEN_STRING:
        return parse_string(p);
    case TOKEN_LEFT_PAREN: {
        parse_advance(p);
        struct node *inner = parse_expression(p, PRECEDENCE_OR);
        if (!inner)
            return NULL;
        if (!parse_take(p, TOKEN_RIGHT_PAREN))
            return parse_unexpected(p, NULL, NULL);
        struct node *n = parse_node(p, NODE_PAREN, inner->type, at);
        n->unary.expr = inner;
        return parse_adopt(p, n, inner) ? n : NULL;
    }
    case TOKEN_ATAN2:
    case TOKEN_BOOL:
    case TOKEN_ON:
    case TOKEN_IGNORING:
    case TOKEN_GROUP_LEFT:
    case TOKEN_GROUP_RIGHT:
        return parse_unexpected(p, NULL, NULL);
    case TOKEN_IDENTIFIER:
    case TOKEN_METRIC:
    case TOKEN_LEFT_BRACE:
        return parse_word(p);
    default:
        return p->token.kind >= TOKEN_AND ? parse_word(p) : parse_unexpected(p, NULL, NULL);
    }
}

// A sign binds as multiplication does: -1^2 is -(1^2).
static struct node *parse_unary(struct parser *p)
{
    struct token sign = p->token;
    if (sign.kind != TOKEN_ADD && sign.kind != TOKEN_SUB) {
        struct node *n = parse_primary(p);
        return n ? parse_modifiers(p, n) : NULL;
    }
    parse_advance(p);
    struct node *inner = parse_expression(p, PRECEDENCE_POW);
    if (!inner)
        return NULL;
    if (inner->kind == NODE_NUMBER) {
        inner->number.value *= sign.kind == TOKEN_SUB ? -1 : 1;
        inner->at = sign.at;
        return inner;
    }
    struct node *n = parse_node(p, NODE_UNARY, inner->type, sign.at);
    n->unary.minus = sign.kind == TOKEN_SUB;
    n->unary.expr = inner;
    return parse_adopt(p, n, inner) ? n : NULL;
}

// What may stand behind an operator: bool, on() or ignoring(), group_left() or group_right().
static int parse_matching(struct parser *p, struct node_binary *b)
{
    b->return_bool = parse_take(p, TOKEN_BOOL);
    b->on = p->token.kind == TOKEN_ON;
    if (b->on || p->token.kind == TOKEN_IGNORING) {
        parse_advance(p);
        if (parse_names(p, &b->matching) != 0)
            return -1;
        if (p->token.kind == TOKEN_GROUP_LEFT || p->token.kind == TOKEN_GROUP_RIGHT) {
            b->card = p->token.kind == TOKEN_GROUP_LEFT ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
            parse_advance(p);
            if (p->token.kind == TOKEN_LEFT_PAREN && parse_names(p, &b->include) != 0)
                return -1;
        }
    }
    while (p->token.kind >= TOKEN_FILL && p->token.kind <= TOKEN_FILL_RIGHT)
        if (parse_fill(p) != 0)
            return -1;
    return p->verdict == PROMQL_OK ? 0 : -1;
}

static struct node *parse_binary(struct parser *p, struct node *left)
{
    struct node *n = parse_node(p, NODE_BINARY, PROMQL_VECTOR, left->at);
    struct node_binary *b = &n->binary;
    int precedence = precedence_of(p->token.kind);
    b->op = p->token.kind;
    b->op_at = p->token.at;
    b->left = left;
    if (b->op == TOKEN_TRIM_UPPER || b->op == TOKEN_TRIM_LOWER)
        parse_missing(p, b->op_at, token_word(b->op), 2);
    parse_advance(p);
    if (parse_matching(p, b) != 0)
        return NULL;
    // Only powers go from right to left.
    b->right = parse_expression(p, b->op == TOKEN_POW ? precedence : precedence + 1);
    if (!b->right)
        return NULL;
    if (left->type == PROMQL_SCALAR && b->right->type == PROMQL_SCALAR)
        n->type = PROMQL_SCALAR;
    return parse_adopt(p, n, left) && parse_adopt(p, n, b->right) ? n : NULL;
}

struct node *parse_expression(struct parser *p, int precedence)
{
    if (p->depth >= p->limits->depth) {
        too_deep(p, p->token.at);
        return NULL;
    }
    p->depth++;
    struct node *n = parse_unary(p);
    while (n && precedence_of(p->token.kind) >= precedence)
        n = parse_binary(p, n);
    p->depth--;
    return p->verdict == PROMQL_OK ? n : NULL;
}

static void parse_text(struct parser *p)
{
    parse_advance(p);
    if (p->token.kind == TOKEN_END) {
        parse_fail(p, 0, "no expression found in input");
        return;
    }
    struct node *n = parse_expression(p, PRECEDENCE_OR);
    if (!n)
        return;
    if (p->token.kind != TOKEN_END) {
        parse_unexpected(p, NULL, NULL);
        return;
    }
    if (p->missing[0] != '\0') {
        struct buf position = {0};
        query_print_position(p->query->text, p->missing_at, &position);
        err_field(p->e, p->missing, (int64_t)p->missing_at, "%.*s: not supported: %s",
                  (int)position.n, position.p, p->missing);
        buf_free(&position);
        p->verdict = PROMQL_UNSUPPORTED;
        return;
    }
    p->query->root = n;
    parse_check(p, n);
}

enum promql_verdict promql_parse(struct str text, const struct promql_limits *limits,
                                 struct promql_query **query, struct err *e)
{
    *query = NULL;
    if (text.n > limits->query_bytes) {
        err_field(e, "", -1, "the query has %zu bytes; at most %zu are taken", text.n,
                  limits->query_bytes);
        return PROMQL_BAD_DATA;
    }
    struct promql_query *q = xcalloc(1, sizeof(*q));
    q->text = arena_str(&q->arena, text);
    struct parser p = {.lexer = {.input = q->text}, .query = q, .limits = limits, .e = e};
    parse_text(&p);
    if (p.verdict != PROMQL_OK) {
        promql_free(q);
        return p.verdict;
    }
    query_bind(q);
    *query = q;
    return PROMQL_OK;
}
