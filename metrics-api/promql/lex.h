// SPDX-License-Identifier: Apache-2.0
// The words of a PromQL expression. Texts of errors are Prometheus' own, without the position.
#ifndef STREAMLENS_PROMQL_LEX_H
#define STREAMLENS_PROMQL_LEX_H

#include "common/core/buf.h"

enum token_kind {
    TOKEN_END,
    TOKEN_ERROR, // its text says what is wrong
    TOKEN_IDENTIFIER,
    TOKEN_METRIC, // an identifier with a colon
    TOKEN_STRING, // with its quotes
    TOKEN_NUMBER,
    TOKEN_DURATION,
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_LEFT_BRACE,
    TOKEN_RIGHT_BRACE,
    TOKEN_LEFT_BRACKET,
    TOKEN_RIGHT_BRACKET,
    TOKEN_COMMA,
    TOKEN_COLON,
    TOKEN_ASSIGN,
    TOKEN_ADD, // operators, to TOKEN_ATAN2
    TOKEN_SUB,
    TOKEN_MUL,
    TOKEN_DIV,
    TOKEN_MOD,
    TOKEN_POW,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_LESS_EQUAL,
    TOKEN_LESS,
    TOKEN_GREATER_EQUAL,
    TOKEN_GREATER,
    TOKEN_TRIM_UPPER,
    TOKEN_TRIM_LOWER,
    TOKEN_EQUAL_REGEX,
    TOKEN_NOT_REGEX,
    TOKEN_AT,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_UNLESS,
    TOKEN_ATAN2,
    TOKEN_SUM, // aggregations, to TOKEN_LIMIT_RATIO
    TOKEN_AVG,
    TOKEN_COUNT,
    TOKEN_MIN,
    TOKEN_MAX,
    TOKEN_GROUP,
    TOKEN_STDDEV,
    TOKEN_STDVAR,
    TOKEN_TOPK,
    TOKEN_BOTTOMK,
    TOKEN_COUNT_VALUES,
    TOKEN_QUANTILE,
    TOKEN_LIMITK,
    TOKEN_LIMIT_RATIO,
    TOKEN_OFFSET, // keywords, to TOKEN_BOOL
    TOKEN_SMOOTHED,
    TOKEN_ANCHORED,
    TOKEN_BY,
    TOKEN_WITHOUT,
    TOKEN_ON,
    TOKEN_IGNORING,
    TOKEN_GROUP_LEFT,
    TOKEN_GROUP_RIGHT,
    TOKEN_FILL,
    TOKEN_FILL_LEFT,
    TOKEN_FILL_RIGHT,
    TOKEN_BOOL,
    TOKEN_START, // what may call a function too, to TOKEN_MIN_OF
    TOKEN_END_OF,
    TOKEN_STEP,
    TOKEN_RANGE,
    TOKEN_MAX_OF,
    TOKEN_MIN_OF,
};

struct token {
    enum token_kind kind;
    struct str text; // of the input; of TOKEN_ERROR in the lexer
    size_t at;       // its offset in bytes
};

struct lexer {
    struct str input; // borrowed
    size_t at;
    int parens;
    bool in_braces, in_brackets;
    char error[160];
};

// The next word; after TOKEN_END and TOKEN_ERROR the same again.
struct token lex_next(struct lexer *l);

static inline bool token_is_operator(enum token_kind k)
{
    return k >= TOKEN_ADD && k <= TOKEN_ATAN2;
}
static inline bool token_is_aggregation(enum token_kind k)
{
    return k >= TOKEN_SUM && k <= TOKEN_LIMIT_RATIO;
}
static inline bool token_is_keyword(enum token_kind k)
{
    return k >= TOKEN_OFFSET && k <= TOKEN_BOOL;
}
static inline bool token_is_comparison(enum token_kind k)
{
    return k >= TOKEN_EQUAL && k <= TOKEN_GREATER;
}
static inline bool token_is_set_operator(enum token_kind k)
{
    return k >= TOKEN_AND && k <= TOKEN_UNLESS;
}

// The word of an operator, aggregation or keyword.
const char *token_word(enum token_kind k);
// How messages name it: number "5", <by>, end of input.
void token_describe(const struct token *t, struct buf *out);

#endif
