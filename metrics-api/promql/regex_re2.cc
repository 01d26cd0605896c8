// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/regex.h"

#include <re2/re2.h>

#include <cstdio>
#include <string>

// A pattern's programs and its states while it matches.
static const int64_t MAX_BYTES = 2 << 20;

struct regex {
    re2::RE2 re;
    regex(const re2::StringPiece &pattern, const re2::RE2::Options &options) : re(pattern, options)
    {
    }
};

// As Go's regexp/syntax names them, since that is what Prometheus answers with.
static const char *error_text(re2::RE2::ErrorCode code)
{
    switch (code) {
    case re2::RE2::ErrorBadEscape:
        return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass:
        return "invalid character class";
    case re2::RE2::ErrorBadCharRange:
        return "invalid character class range";
    case re2::RE2::ErrorMissingBracket:
        return "missing closing ]";
    case re2::RE2::ErrorMissingParen:
        return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen:
        return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash:
        return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument:
        return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize:
        return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp:
        return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp:
        return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8:
        return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture:
        return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge:
        return "expression too large";
    default:
        return "internal error";
    }
}

struct regex *regex_new(const char *pattern, size_t n, char *error, size_t error_size)
{
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(MAX_BYTES);
    error[0] = '\0';
    struct regex *re = new struct regex(re2::StringPiece(pattern, n), options);
    if (re->re.ok())
        return re;
    std::snprintf(error, error_size, "error parsing regexp: %s: `%s`",
                  error_text(re->re.error_code()), re->re.error_arg().c_str());
    delete re;
    return nullptr;
}

void regex_free(struct regex *re)
{
    delete re;
}

bool regex_matches(const struct regex *re, const char *text, size_t n)
{
    return re2::RE2::FullMatch(re2::StringPiece(text, n), re->re);
}

bool regex_groups(const struct regex *re, const char *text, size_t n,
                  struct regex_span spans[REGEX_GROUPS_MAX])
{
    re2::StringPiece found[REGEX_GROUPS_MAX];
    int count = re->re.NumberOfCapturingGroups() + 1;
    if (count > REGEX_GROUPS_MAX)
        count = REGEX_GROUPS_MAX;
    for (int i = 0; i < REGEX_GROUPS_MAX; i++)
        spans[i].from = spans[i].to = -1;
    re2::StringPiece whole(text, n);
    if (!re->re.Match(whole, 0, n, re2::RE2::ANCHOR_BOTH, found, count))
        return false;
    for (int i = 0; i < count; i++) {
        if (found[i].data() == nullptr)
            continue;
        spans[i].from = found[i].data() - text;
        spans[i].to = spans[i].from + (long)found[i].size();
    }
    return true;
}

int regex_group_named(const struct regex *re, const char *name, size_t n)
{
    auto groups = re->re.NamedCapturingGroups();
    auto found = groups.find(std::string(name, n));
    return found == groups.end() ? -1 : found->second;
}
