// SPDX-License-Identifier: Apache-2.0
// Literals, selectors and what may stand behind them.
#include "metrics-api/promql/parse.h"

#include "metrics-api/promql/literal.h"

#include <math.h>

struct node *parse_literal(struct parser *p)
{
    struct node *n = parse_node(p, NODE_NUMBER, PROMQL_SCALAR, p->token.at);
    struct err why;
    if (p->token.kind == TOKEN_DURATION) {
        int64_t ms = 0;
        if (literal_duration_ms(p->token.text, &ms, &why) != 0)
            return parse_fail(p, p->token.at, "%s", why.detail);
        n->number.value = (double)ms / 1000;
        n->number.duration = true;
    } else if (literal_number(p->token.text, &n->number.value, &why) != 0) {
        return parse_fail(p, p->token.at, "%s", why.detail);
    }
    parse_advance(p);
    return n;
}

struct node *parse_string(struct parser *p)
{
    struct node *n = parse_node(p, NODE_STRING, PROMQL_STRING, p->token.at);
    struct err why;
    if (literal_string(&p->query->arena, p->token.text, &n->string, &why) != 0)
        return parse_fail(p, p->token.at, "%s", why.detail);
    parse_advance(p);
    return n;
}

static int add_matcher(struct parser *p, struct node_selector *s, size_t *cap, struct matcher m,
                       size_t at)
{
    struct promql_query *q = p->query;
    if (s->n >= p->limits->names) {
        parse_fail(p, at, "more than %zu matchers in a selector", p->limits->names);
        return -1;
    }
    if (m.op == MATCHER_REGEX || m.op == MATCHER_NOT_REGEX) {
        char why[200];
        if (q->regex_count >= p->limits->regexes) {
            parse_fail(p, at, "more than %zu regular expressions", p->limits->regexes);
            return -1;
        }
        m.regex = regex_new(m.value.p, m.value.n, why, sizeof(why));
        if (!m.regex) {
            parse_fail(p, at, "%s", why);
            return -1;
        }
        if (q->regex_count == q->regex_cap) {
            q->regex_cap = q->regex_cap ? q->regex_cap * 2 : 8;
            q->regexes = xrealloc(q->regexes, q->regex_cap * sizeof(struct regex *));
        }
        q->regexes[q->regex_count++] = m.regex;
    }
    if (s->n == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        struct matcher *more = arena_array(&q->arena, *cap, sizeof(*more));
        if (s->n > 0)
            memcpy(more, s->matchers, s->n * sizeof(*more));
        s->matchers = more;
    }
    s->matchers[s->n++] = m;
    return 0;
}

static int matcher_op_of(enum token_kind k)
{
    switch (k) {
    case TOKEN_ASSIGN:
        return MATCHER_EQUAL;
    case TOKEN_NOT_EQUAL:
        return MATCHER_NOT_EQUAL;
    case TOKEN_EQUAL_REGEX:
        return MATCHER_REGEX;
    case TOKEN_NOT_REGEX:
        return MATCHER_NOT_REGEX;
    default:
        return -1;
    }
}

// name op "value", or "metric".
static int parse_matcher(struct parser *p, struct node_selector *s, size_t *cap)
{
    static const char context[] = "label matching";
    size_t at = p->token.at;
    struct matcher m = {.name = p->token.text};
    bool quoted = p->token.kind == TOKEN_STRING;
    if (quoted) {
        const struct node *string = parse_string(p);
        if (!string)
            return -1;
        m.name = string->string;
    } else if (!parse_take(p, TOKEN_IDENTIFIER)) {
        parse_unexpected(p, context, "identifier or \"}\"");
        return -1;
    }
    int op = matcher_op_of(p->token.kind);
    if (op < 0 && quoted) {
        m.value = m.name;
        m.name = LABELS_NAME;
        return add_matcher(p, s, cap, m, at);
    }
    if (op < 0) {
        parse_unexpected(p, context, "label matching operator");
        return -1;
    }
    m.op = (enum matcher_op)op;
    parse_advance(p);
    if (p->token.kind != TOKEN_STRING) {
        parse_unexpected(p, context, "string");
        return -1;
    }
    const struct node *string = parse_string(p);
    if (!string)
        return -1;
    m.value = string->string;
    return add_matcher(p, s, cap, m, at);
}

static int register_selector(struct parser *p, struct node_selector *s, size_t at)
{
    struct promql_query *q = p->query;
    if (q->selector_count >= p->limits->selectors) {
        parse_fail(p, at, "more than %zu selectors", p->limits->selectors);
        return -1;
    }
    if (q->selector_count == q->selector_cap) {
        q->selector_cap = q->selector_cap ? q->selector_cap * 2 : 8;
        struct node_selector **more =
            arena_array(&q->arena, q->selector_cap, sizeof(struct node_selector *));
        if (q->selector_count > 0)
            memcpy(more, q->selectors, q->selector_count * sizeof(struct node_selector *));
        q->selectors = more;
    }
    q->selectors[q->selector_count++] = s;
    return 0;
}

struct node *parse_selector(struct parser *p)
{
    struct node *n = parse_node(p, NODE_SELECTOR, PROMQL_VECTOR, p->token.at);
    struct node_selector *s = &n->selector;
    size_t cap = 0;
    if (p->token.kind != TOKEN_LEFT_BRACE) {
        s->name = p->token.text;
        parse_advance(p);
    }
    if (parse_take(p, TOKEN_LEFT_BRACE)) {
        while (p->token.kind != TOKEN_RIGHT_BRACE) {
            if (parse_matcher(p, s, &cap) != 0)
                return NULL;
            if (!parse_take(p, TOKEN_COMMA) && p->token.kind != TOKEN_RIGHT_BRACE)
                return parse_unexpected(p, "label matching", "\",\" or \"}\"");
        }
        parse_advance(p);
    }
    struct matcher name = {.op = MATCHER_EQUAL, .name = LABELS_NAME, .value = s->name};
    if (s->name.n > 0 && add_matcher(p, s, &cap, name, n->at) != 0)
        return NULL;
    if (register_selector(p, s, n->at) != 0)
        return NULL;
    return p->verdict == PROMQL_OK ? n : NULL;
}

// Whether a duration's arithmetic begins here, which we do not have.
static bool is_duration_expression(enum token_kind k)
{
    return k == TOKEN_LEFT_PAREN || k >= TOKEN_STEP;
}

static int missing_duration_expression(struct parser *p)
{
    static const char name[] = "duration expression";
    if (p->verdict == PROMQL_OK) {
        struct buf position = {0};
        query_print_position(p->query->text, p->token.at, &position);
        err_field(p->e, name, (int64_t)p->token.at, "%.*s: not supported: %s", (int)position.n,
                  position.p, name);
        buf_free(&position);
        p->verdict = PROMQL_UNSUPPORTED;
    }
    return -1;
}

// A number of seconds or a duration, with its sign.
static int parse_duration(struct parser *p, const char *context, const char *expected, int64_t *ms)
{
    size_t at = p->token.at;
    bool minus = p->token.kind == TOKEN_SUB;
    if (minus || p->token.kind == TOKEN_ADD)
        parse_advance(p);
    if (is_duration_expression(p->token.kind))
        return missing_duration_expression(p);
    if (p->token.kind != TOKEN_NUMBER && p->token.kind != TOKEN_DURATION) {
        parse_unexpected(p, context, expected);
        return -1;
    }
    const struct node *n = parse_literal(p);
    if (!n)
        return -1;
    double seconds = minus ? -n->number.value : n->number.value;
    // As many nanoseconds as Go's Duration holds.
    if (!(seconds <= 9223372036.0 && seconds >= -9223372036.0)) {
        parse_fail(p, at, "duration out of range");
        return -1;
    }
    *ms = (int64_t)(round(seconds * 1e9) / 1e6);
    return 0;
}

static int parse_range(struct parser *p, int64_t *ms)
{
    size_t at = p->token.at;
    if (parse_duration(p, "subquery or range selector", "number, duration, step(), or range()",
                       ms) != 0)
        return -1;
    if (p->token.kind >= TOKEN_ADD && p->token.kind <= TOKEN_POW)
        return missing_duration_expression(p);
    if (*ms <= 0) {
        parse_fail(p, at, "duration must be greater than 0");
        return -1;
    }
    return 0;
}

// [5m] makes a matrix of a vector; [5m:1m] is a subquery.
static struct node *parse_brackets(struct parser *p, struct node *n)
{
    size_t at = p->token.at;
    int64_t range_ms = 0, step_ms;
    parse_advance(p);
    if (parse_range(p, &range_ms) != 0)
        return NULL;
    if (parse_take(p, TOKEN_COLON)) {
        if (p->token.kind != TOKEN_RIGHT_BRACKET && parse_range(p, &step_ms) != 0)
            return NULL;
        if (!parse_take(p, TOKEN_RIGHT_BRACKET))
            return parse_unexpected(p, "subquery selector", "\"]\"");
        parse_missing(p, at, "subquery", 8);
        n->type = PROMQL_MATRIX;
        return n;
    }
    if (!parse_take(p, TOKEN_RIGHT_BRACKET))
        return parse_unexpected(p, "subquery or range", "\":\" or \"]\"");
    if (n->kind != NODE_SELECTOR || n->selector.range_ms > 0)
        return parse_fail(p, at, "ranges only allowed for vector selectors");
    if (n->selector.has_offset)
        return parse_fail(p, at, "no offset modifiers allowed before range");
    n->selector.range_ms = range_ms;
    n->type = PROMQL_MATRIX;
    return n;
}

static struct node *parse_offset(struct parser *p, struct node *n)
{
    int64_t ms = 0;
    parse_advance(p);
    if (parse_duration(p, "offset", "number, duration, step(), or range()", &ms) != 0)
        return NULL;
    if (n->kind != NODE_SELECTOR) {
        if (p->missing[0] != '\0') // of a subquery
            return n;
        return parse_fail(p, n->at,
                          "offset modifier must be preceded by an instant vector selector or range "
                          "vector selector or a subquery");
    }
    if (n->selector.has_offset)
        return parse_fail(p, n->at, "offset may not be set multiple times");
    n->selector.offset_ms = ms;
    n->selector.has_offset = ms != 0;
    return n;
}

// @ 1700000000, @ start(), @ end()
static struct node *parse_at(struct parser *p, struct node *n)
{
    size_t at = p->token.at;
    parse_advance(p);
    if (p->token.kind == TOKEN_START || p->token.kind == TOKEN_END_OF) {
        parse_advance(p);
        if (!parse_take(p, TOKEN_LEFT_PAREN) || !parse_take(p, TOKEN_RIGHT_PAREN))
            return parse_unexpected(p, NULL, NULL);
    } else {
        if (p->token.kind == TOKEN_ADD || p->token.kind == TOKEN_SUB)
            parse_advance(p);
        if (p->token.kind != TOKEN_NUMBER && p->token.kind != TOKEN_DURATION)
            return parse_unexpected(p, "@", "timestamp");
        if (!parse_literal(p))
            return NULL;
    }
    parse_missing(p, at, "@", 1);
    return n;
}

struct node *parse_modifiers(struct parser *p, struct node *n)
{
    while (n && p->verdict == PROMQL_OK) {
        enum token_kind k = p->token.kind;
        if (k == TOKEN_LEFT_BRACKET) {
            n = parse_brackets(p, n);
        } else if (k == TOKEN_OFFSET) {
            n = parse_offset(p, n);
        } else if (k == TOKEN_AT) {
            n = parse_at(p, n);
        } else if (k == TOKEN_SMOOTHED || k == TOKEN_ANCHORED) {
            parse_missing(p, p->token.at, token_word(k), strlen(token_word(k)));
            parse_advance(p);
        } else {
            break;
        }
    }
    return p->verdict == PROMQL_OK ? n : NULL;
}

int parse_fill(struct parser *p)
{
    parse_missing(p, p->token.at, token_word(p->token.kind), strlen(token_word(p->token.kind)));
    parse_advance(p);
    if (!parse_take(p, TOKEN_LEFT_PAREN)) {
        parse_unexpected(p, NULL, NULL);
        return -1;
    }
    if (p->token.kind == TOKEN_ADD || p->token.kind == TOKEN_SUB)
        parse_advance(p);
    if (p->token.kind != TOKEN_NUMBER && p->token.kind != TOKEN_DURATION) {
        parse_unexpected(p, NULL, NULL);
        return -1;
    }
    if (!parse_literal(p))
        return -1;
    if (!parse_take(p, TOKEN_RIGHT_PAREN)) {
        parse_unexpected(p, NULL, NULL);
        return -1;
    }
    return 0;
}
