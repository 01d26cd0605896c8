// SPDX-License-Identifier: Apache-2.0
// Inside the parser: what its files share. It descends recursively, one word ahead, and its depth
// is bounded. The first error stays.
#ifndef STREAMLENS_PROMQL_PARSE_H
#define STREAMLENS_PROMQL_PARSE_H

#include "metrics-api/promql/query.h"

struct parser {
    struct lexer lexer;
    struct token token; // the next one
    struct promql_query *query;
    const struct promql_limits *limits;
    size_t depth;
    enum promql_verdict verdict;
    struct err *e;
    // The first thing met that we do not have; the rest is still parsed, since a wrong text is
    // wrong first of all.
    char missing[64];
    size_t missing_at;
};

void parse_advance(struct parser *p);
bool parse_take(struct parser *p, enum token_kind kind); // and go on, if it is that
// Both return NULL, so that they can stand in a return statement.
void *parse_fail(struct parser *p, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void *parse_unexpected(struct parser *p, const char *context, const char *expected);
void parse_missing(struct parser *p, size_t at, const char *name, size_t n);

struct node *parse_node(struct parser *p, enum node_kind kind, enum promql_type type, size_t at);
// Takes the child's depth over. False: it is too deep.
bool parse_adopt(struct parser *p, struct node *parent, const struct node *child);

struct node *parse_expression(struct parser *p, int precedence);
int parse_names(struct parser *p, struct node_names *names); // (a, "b", …)
struct node *parse_selector(struct parser *p);
struct node *parse_literal(struct parser *p); // a number or a duration
struct node *parse_string(struct parser *p);
struct node *parse_modifiers(struct parser *p, struct node *n); // [5m], offset, @ …
int parse_fill(struct parser *p);                               // fill_left(0) and the like

// Whether types and arguments fit.
bool parse_check(struct parser *p, const struct node *n);

#endif
