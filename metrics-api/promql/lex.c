// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/lex.h"

#include "common/core/utf8.h"
#include "metrics-api/promql/labels.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const words[] = {
    [TOKEN_LEFT_PAREN] = "(",
    [TOKEN_RIGHT_PAREN] = ")",
    [TOKEN_LEFT_BRACE] = "{",
    [TOKEN_RIGHT_BRACE] = "}",
    [TOKEN_LEFT_BRACKET] = "[",
    [TOKEN_RIGHT_BRACKET] = "]",
    [TOKEN_COMMA] = ",",
    [TOKEN_COLON] = ":",
    [TOKEN_ASSIGN] = "=",
    [TOKEN_ADD] = "+",
    [TOKEN_SUB] = "-",
    [TOKEN_MUL] = "*",
    [TOKEN_DIV] = "/",
    [TOKEN_MOD] = "%",
    [TOKEN_POW] = "^",
    [TOKEN_EQUAL] = "==",
    [TOKEN_NOT_EQUAL] = "!=",
    [TOKEN_LESS_EQUAL] = "<=",
    [TOKEN_LESS] = "<",
    [TOKEN_GREATER_EQUAL] = ">=",
    [TOKEN_GREATER] = ">",
    [TOKEN_TRIM_UPPER] = "</",
    [TOKEN_TRIM_LOWER] = ">/",
    [TOKEN_EQUAL_REGEX] = "=~",
    [TOKEN_NOT_REGEX] = "!~",
    [TOKEN_AT] = "@",
    [TOKEN_AND] = "and",
    [TOKEN_OR] = "or",
    [TOKEN_UNLESS] = "unless",
    [TOKEN_ATAN2] = "atan2",
    [TOKEN_SUM] = "sum",
    [TOKEN_AVG] = "avg",
    [TOKEN_COUNT] = "count",
    [TOKEN_MIN] = "min",
    [TOKEN_MAX] = "max",
    [TOKEN_GROUP] = "group",
    [TOKEN_STDDEV] = "stddev",
    [TOKEN_STDVAR] = "stdvar",
    [TOKEN_TOPK] = "topk",
    [TOKEN_BOTTOMK] = "bottomk",
    [TOKEN_COUNT_VALUES] = "count_values",
    [TOKEN_QUANTILE] = "quantile",
    [TOKEN_LIMITK] = "limitk",
    [TOKEN_LIMIT_RATIO] = "limit_ratio",
    [TOKEN_OFFSET] = "offset",
    [TOKEN_SMOOTHED] = "smoothed",
    [TOKEN_ANCHORED] = "anchored",
    [TOKEN_BY] = "by",
    [TOKEN_WITHOUT] = "without",
    [TOKEN_ON] = "on",
    [TOKEN_IGNORING] = "ignoring",
    [TOKEN_GROUP_LEFT] = "group_left",
    [TOKEN_GROUP_RIGHT] = "group_right",
    [TOKEN_FILL] = "fill",
    [TOKEN_FILL_LEFT] = "fill_left",
    [TOKEN_FILL_RIGHT] = "fill_right",
    [TOKEN_BOOL] = "bool",
    [TOKEN_START] = "start",
    [TOKEN_END_OF] = "end",
    [TOKEN_STEP] = "step",
    [TOKEN_RANGE] = "range",
    [TOKEN_MAX_OF] = "max_of",
    [TOKEN_MIN_OF] = "min_of",
};

const char *token_word(enum token_kind k)
{
    return words[k];
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_alphanumeric(char c)
{
    return is_alpha(c) || is_digit(c);
}

// The byte `ahead` of where we are; NUL at the end. A NUL of the input is no word's part either
// way.
static char peek(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->input.n ? l->input.p[l->at + ahead] : '\0';
}

static bool accept(struct lexer *l, const char *set)
{
    char c = peek(l, 0);
    if (c == '\0' || !strchr(set, c))
        return false;
    l->at++;
    return true;
}

static struct token emit(const struct lexer *l, enum token_kind kind, size_t from)
{
    return (struct token){kind, {l->input.p + from, l->at - from}, from};
}

static struct token fail(struct lexer *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static struct token fail(struct lexer *l, size_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->error, sizeof(l->error), fmt, ap);
    va_end(ap);
    return (struct token){TOKEN_ERROR, str_of(l->error), at};
}

// The character at an offset as Go's %q writes it, in a message about the word at another.
static struct token fail_rune(struct lexer *l, size_t word, const char *what, size_t at)
{
    static const char replacement[] = "\xef\xbf\xbd"; // what Go makes of rubbish, and of the end
    struct str rune = {replacement, 3};
    size_t n = at < l->input.n
                   ? utf8_sequence((const unsigned char *)l->input.p + at, l->input.n - at)
                   : 0;
    if (n > 0)
        rune = (struct str){l->input.p + at, n};
    if (n == 1 && rune.p[0] == '\n')
        rune = STR_LIT("\\n");
    else if (n == 1 && (rune.p[0] == '\'' || rune.p[0] == '\\'))
        return fail(l, word, "%s: '\\%c'", what, rune.p[0]);
    return fail(l, word, "%s: '%.*s'", what, (int)rune.n, rune.p);
}

// Digits, points, exponents and underscores, as far as they may be a number. False: it cannot be.
static bool scan_number(struct lexer *l)
{
    const char *digits = "0123456789";
    bool hex = peek(l, 0) == '0' && (peek(l, 1) == 'x' || peek(l, 1) == 'X');
    if (hex) {
        l->at += 2;
        accept(l, "_");
        digits = "0123456789abcdefABCDEF";
    }
    size_t from = l->at;
    bool point = accept(l, "."), exponent = false;
    while (accept(l, digits))
        ;
    for (;;) {
        if (accept(l, ".")) {
            if (point || hex || accept(l, "_."))
                return false;
            point = true;
        } else if (accept(l, "eE")) {
            if (exponent)
                return false;
            exponent = true;
            accept(l, "+-");
            if (accept(l, "._eE") || l->at == l->input.n)
                return false;
        } else if (accept(l, "_")) {
            if (accept(l, "._eE") || l->at == l->input.n)
                return false;
        } else if (!accept(l, digits)) {
            break;
        }
    }
    return l->at > from && !is_alphanumeric(peek(l, 0));
}

// What follows the digits that scan_number() read: a unit, and more of the same.
static bool scan_duration(struct lexer *l)
{
    if (!accept(l, "smhdwy"))
        return false;
    accept(l, "s");
    while (accept(l, "0123456789")) {
        while (accept(l, "0123456789"))
            ;
        if (!accept(l, "smhdw"))
            return false;
        accept(l, "s");
    }
    return !is_alphanumeric(peek(l, 0));
}

static struct token lex_number(struct lexer *l)
{
    size_t from = l->at;
    if (scan_number(l))
        return emit(l, TOKEN_NUMBER, from);
    if (scan_duration(l))
        return emit(l, TOKEN_DURATION, from);
    size_t n = l->at < l->input.n ? l->at + 1 - from : l->at - from;
    struct buf text = {0};
    quoted_print((struct str){l->input.p + from, n}, &text);
    struct token t = fail(l, from, "bad number or duration syntax: %.*s",
                          (int)(text.n < 100 ? text.n : 100), text.p);
    buf_free(&text);
    return t;
}

// The escape behind a backslash that was read; what is wrong with its value the parser finds.
static bool scan_escape(struct lexer *l, char quote)
{
    char c = peek(l, 0);
    int more = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 2 : 0;
    if (c == '\0' || !(strchr("abfnrtv\\xuU", c) || c == quote || (c >= '0' && c <= '7')))
        return false;
    l->at++;
    for (; more > 0; more--)
        if (!accept(l, c >= '0' && c <= '7' ? "01234567" : "0123456789abcdefABCDEF"))
            return false;
    return true;
}

static struct token lex_string(struct lexer *l)
{
    size_t from = l->at;
    char quote = l->input.p[l->at++];
    while (l->at < l->input.n && peek(l, 0) != quote) {
        size_t at = l->at, left = l->input.n - at;
        size_t rune = utf8_sequence((const unsigned char *)l->input.p + at, left);
        if (rune == 0)
            return fail(l, from, "invalid UTF-8 rune");
        l->at += rune;
        if (quote != '`' && l->input.p[at] == '\n')
            return fail(l, from, "unterminated quoted string");
        if (quote != '`' && l->input.p[at] == '\\' && !scan_escape(l, quote)) {
            if (l->at >= l->input.n)
                return fail(l, from, "escape sequence not terminated");
            return fail(l, from, "unknown escape sequence U+%04X '%c'", (unsigned char)peek(l, 0),
                        peek(l, 0));
        }
    }
    if (l->at >= l->input.n)
        return fail(l, from,
                    quote == '`' ? "unterminated raw string" : "unterminated quoted string");
    l->at++;
    return emit(l, TOKEN_STRING, from);
}

// Of `fill` and its likes only those before a parenthesis are keywords, so that metrics may be
// named so.
static bool paren_follows(const struct lexer *l)
{
    size_t at = l->at;
    while (at < l->input.n && is_space(l->input.p[at]))
        at++;
    return at < l->input.n && l->input.p[at] == '(';
}

static enum token_kind keyword_of(const struct lexer *l, struct str word)
{
    for (int k = TOKEN_AND; k < (int)ARRAY_LEN(words); k++) {
        if (strlen(words[k]) != word.n || strncasecmp(words[k], word.p, word.n) != 0)
            continue;
        bool fills = k == TOKEN_FILL || k == TOKEN_FILL_LEFT || k == TOKEN_FILL_RIGHT;
        return fills && !paren_follows(l) ? TOKEN_IDENTIFIER : (enum token_kind)k;
    }
    if (word.n == 3 && (strncasecmp(word.p, "inf", 3) == 0 || strncasecmp(word.p, "nan", 3) == 0))
        return TOKEN_NUMBER;
    return memchr(word.p, ':', word.n) ? TOKEN_METRIC : TOKEN_IDENTIFIER;
}

static struct token lex_word(struct lexer *l)
{
    size_t from = l->at;
    while (is_alphanumeric(peek(l, 0)) || peek(l, 0) == ':')
        l->at++;
    struct token t = emit(l, TOKEN_IDENTIFIER, from);
    t.kind = keyword_of(l, t.text);
    return t;
}

static struct token one(struct lexer *l, enum token_kind kind, size_t n)
{
    size_t from = l->at;
    l->at += n;
    return emit(l, kind, from);
}

static struct token lex_in_braces(struct lexer *l)
{
    size_t from = l->at;
    char c = peek(l, 0), next = peek(l, 1);
    if (l->at >= l->input.n)
        return fail(l, from, "unexpected end of input inside braces");
    if (is_alpha(c)) {
        while (is_alphanumeric(peek(l, 0)))
            l->at++;
        return emit(l, TOKEN_IDENTIFIER, from);
    }
    if (c == '"' || c == '\'' || c == '`')
        return lex_string(l);
    if (c == ',')
        return one(l, TOKEN_COMMA, 1);
    if (c == '=')
        return next == '~' ? one(l, TOKEN_EQUAL_REGEX, 2) : one(l, TOKEN_ASSIGN, 1);
    if (c == '!' && next == '~')
        return one(l, TOKEN_NOT_REGEX, 2);
    if (c == '!' && next == '=')
        return one(l, TOKEN_NOT_EQUAL, 2);
    if (c == '!')
        return fail_rune(l, from, "unexpected character after '!' inside braces", from + 1);
    if (c == '{')
        return fail(l, from, "unexpected left brace '{'");
    if (c == '}') {
        l->in_braces = false;
        return one(l, TOKEN_RIGHT_BRACE, 1);
    }
    return fail_rune(l, from, "unexpected character inside braces", from);
}

static struct token lex_paren(struct lexer *l, char c)
{
    l->parens += c == '(' ? 1 : -1;
    if (l->parens < 0)
        return fail(l, l->at + 1, "unexpected right parenthesis ')'");
    return one(l, c == '(' ? TOKEN_LEFT_PAREN : TOKEN_RIGHT_PAREN, 1);
}

static struct token lex_operator(struct lexer *l)
{
    static const char singles[] = "+-*/%^,@";
    static const enum token_kind kinds[] = {TOKEN_ADD, TOKEN_SUB, TOKEN_MUL,   TOKEN_DIV,
                                            TOKEN_MOD, TOKEN_POW, TOKEN_COMMA, TOKEN_AT};
    char c = peek(l, 0), next = peek(l, 1);
    const char *single = c ? strchr(singles, c) : NULL;
    if (single)
        return one(l, kinds[single - singles], 1);
    if (c == '=' && next == '~')
        return fail(l, l->at, "unexpected character after '=': '~'");
    if (c == '=')
        return next == '=' ? one(l, TOKEN_EQUAL, 2) : one(l, TOKEN_ASSIGN, 1);
    if (c == '!')
        return next == '=' ? one(l, TOKEN_NOT_EQUAL, 2)
                           : fail_rune(l, l->at, "unexpected character after '!'", l->at + 1);
    if (c == '<' || c == '>') {
        bool less = c == '<';
        if (next == '=')
            return one(l, less ? TOKEN_LESS_EQUAL : TOKEN_GREATER_EQUAL, 2);
        if (next == '/')
            return one(l, less ? TOKEN_TRIM_UPPER : TOKEN_TRIM_LOWER, 2);
        return one(l, less ? TOKEN_LESS : TOKEN_GREATER, 1);
    }
    return fail_rune(l, l->at, "unexpected character", l->at);
}

static struct token lex_bracket(struct lexer *l, char c)
{
    if (c == '[' && l->in_brackets)
        return fail(l, l->at, "unexpected left bracket '['");
    if (c == ']' && !l->in_brackets)
        return fail(l, l->at, "unexpected right bracket ']'");
    l->in_brackets = c == '[';
    return one(l, c == '[' ? TOKEN_LEFT_BRACKET : TOKEN_RIGHT_BRACKET, 1);
}

// Spaces, and comments from # to the end of their line.
static void skip(struct lexer *l)
{
    while (l->at < l->input.n) {
        if (is_space(l->input.p[l->at])) {
            l->at++;
        } else if (l->input.p[l->at] == '#') {
            while (l->at < l->input.n && l->input.p[l->at] != '\n' && l->input.p[l->at] != '\r')
                l->at++;
        } else {
            break;
        }
    }
}

struct token lex_next(struct lexer *l)
{
    skip(l);
    if (l->in_braces)
        return lex_in_braces(l);
    char c = peek(l, 0);
    if (l->at >= l->input.n) {
        if (l->parens > 0)
            return fail(l, l->at, "unclosed left parenthesis");
        if (l->in_brackets)
            return fail(l, l->at, "unexpected end of input in duration expression");
        return emit(l, TOKEN_END, l->at);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(l, 1))))
        return lex_number(l);
    if (c == '"' || c == '\'' || c == '`')
        return lex_string(l);
    if (l->in_brackets && c == ':')
        return one(l, TOKEN_COLON, 1);
    if (is_alpha(c) || c == ':')
        return lex_word(l);
    if (c == '(' || c == ')')
        return lex_paren(l, c);
    if (c == '[' || c == ']')
        return lex_bracket(l, c);
    if (c == '{') {
        l->in_braces = true;
        return one(l, TOKEN_LEFT_BRACE, 1);
    }
    return lex_operator(l);
}

void token_describe(const struct token *t, struct buf *out)
{
    static const char *const names[] = {
        [TOKEN_IDENTIFIER] = "identifier ", [TOKEN_METRIC] = "metric identifier ",
        [TOKEN_STRING] = "string ",         [TOKEN_NUMBER] = "number ",
        [TOKEN_DURATION] = "duration ",
    };
    if (t->kind == TOKEN_END) {
        buf_adds(out, "end of input");
        return;
    }
    if (t->kind < ARRAY_LEN(names) && names[t->kind])
        buf_adds(out, names[t->kind]);
    const char *mark = token_is_keyword(t->kind)       ? "<"
                       : token_is_operator(t->kind)    ? "<op:"
                       : token_is_aggregation(t->kind) ? "<aggr:"
                                                       : NULL;
    if (mark) {
        buf_addf(out, "%s%.*s>", mark, (int)t->text.n, t->text.p);
        return;
    }
    bool name = t->kind == TOKEN_IDENTIFIER || t->kind == TOKEN_METRIC;
    bool cut = t->text.n > 10 && !name;
    quoted_print((struct str){t->text.p, cut ? 10 : t->text.n}, out);
    buf_adds(out, cut ? "..." : "");
}
