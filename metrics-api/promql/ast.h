// SPDX-License-Identifier: Apache-2.0
// An expression as a tree, types checked. Everything of it lives in the query's arena.
#ifndef STREAMLENS_PROMQL_AST_H
#define STREAMLENS_PROMQL_AST_H

#include "metrics-api/promql/function.h"
#include "metrics-api/promql/lex.h"
#include "metrics-api/promql/matcher.h"

enum node_kind {
    NODE_NUMBER,
    NODE_STRING,
    NODE_SELECTOR, // a vector, or with a range a matrix
    NODE_CALL,
    NODE_AGGREGATION,
    NODE_BINARY,
    NODE_UNARY,
    NODE_PAREN,
};

// Which side of a binary operation may have several series a match.
enum node_card {
    CARD_ONE_TO_ONE,
    CARD_MANY_TO_ONE, // group_left
    CARD_ONE_TO_MANY, // group_right
};

struct node_names {
    struct str *v;
    size_t n;
};

struct node_selector {
    struct matcher *matchers; // that of the name before the braces is the last one
    size_t n;
    struct str name;  // what stands before the braces; n 0: nothing
    int64_t range_ms; // 0: an instant vector
    int64_t offset_ms;
    bool has_offset;
    size_t select; // its number among the query's selects
};

struct node_call {
    const struct function *function;
    struct node **args;
    size_t n;
    size_t quantile; // its number among the query's quantiles; SIZE_MAX: it is none
};

struct node_aggregation {
    enum token_kind op;
    bool without;
    struct node_names by;
    struct node *param; // of topk, bottomk, quantile and count_values
    struct node *expr;
};

struct node_binary {
    enum token_kind op;
    size_t op_at;
    bool return_bool, on;
    enum node_card card;
    struct node_names matching; // of on() or ignoring()
    struct node_names include;  // of group_left() or group_right()
    struct node *left, *right;
};

struct node {
    enum node_kind kind;
    enum promql_type type;
    uint32_t depth; // 1 of a leaf
    size_t at;      // where it begins, in bytes
    union {
        struct {
            double value;
            bool duration; // written as one
        } number;
        struct str string;
        struct node_selector selector;
        struct node_call call;
        struct node_aggregation aggregation;
        struct node_binary binary;
        struct {
            bool minus;
            struct node *expr;
        } unary; // and of parentheses
    };
};

const struct node *node_unwrap(const struct node *n); // without parentheses around it

// The expression in one way of writing it, as Prometheus' String(). What comes out parses to the
// same tree.
void node_print(const struct node *n, struct buf *out);
void node_print_duration(int64_t ms, struct buf *out); // 1h30m

#endif
