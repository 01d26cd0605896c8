// SPDX-License-Identifier: Apache-2.0
// Only strings and nesting matter for finding borders. Brackets are counted without telling square
// from curly ones: an item that mixes them up is bad JSON by itself and is refused as that one
// item, while its neighbours are kept.
#include "common/core/json_split.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct json_split *s)
{
    while (s->at < s->body.n && is_space(s->body.p[s->at]))
        s->at++;
}

void json_split_init(struct json_split *s, struct str body)
{
    *s = (struct json_split){.body = body};
    skip_space(s);
    s->array = s->at < body.n && body.p[s->at] == '[';
}

static int next_line(struct json_split *s, struct str *item)
{
    skip_space(s); // blank lines and what stands before the item alike
    if (s->at >= s->body.n) {
        s->done = true;
        return 0;
    }
    const char *line = s->body.p + s->at;
    size_t left = s->body.n - s->at;
    const char *end = memchr(line, '\n', left);
    size_t n = end ? (size_t)(end - line) : left;
    s->at += n;
    while (is_space(line[n - 1])) // the first byte is none
        n--;
    *item = (struct str){line, n};
    return 1;
}

// Moves behind the string that begins at s->at. False where it does not end.
static bool skip_string(struct json_split *s)
{
    const char *begin = s->body.p + s->at + 1, *end = s->body.p + s->body.n;
    for (const char *from = begin; from < end;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (!quote)
            break;
        const char *slash = quote; // an odd number of backslashes before the quote escapes it
        while (slash > begin && slash[-1] == '\\')
            slash--;
        from = quote + 1;
        if ((quote - slash) % 2 == 0) {
            s->at = (size_t)(from - s->body.p);
            return true;
        }
    }
    return false;
}

// Moves behind the object or array that begins at s->at. False where it does not end.
static bool skip_nested(struct json_split *s)
{
    size_t depth = 0;
    while (s->at < s->body.n) {
        char c = s->body.p[s->at];
        if (c == '"') {
            if (!skip_string(s))
                return false;
            continue;
        }
        s->at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

static void skip_scalar(struct json_split *s)
{
    while (s->at < s->body.n) {
        char c = s->body.p[s->at];
        if (c == ',' || c == ']' || c == '[' || c == '{' || c == '"' || is_space(c))
            return;
        s->at++;
    }
}

static int broken(struct json_split *s, size_t at, const char *detail, struct err *e)
{
    s->done = true;
    return err_field(e, "", (int64_t)at, "%s", detail);
}

static int end_array(struct json_split *s, struct err *e)
{
    s->at++;
    skip_space(s);
    if (s->at < s->body.n)
        return broken(s, s->at, "the array ends before the body does", e);
    s->done = true;
    return 0;
}

// What stands between items. 1 where an item follows, 0 at the end of the array, -1.
static int next_border(struct json_split *s, struct err *e)
{
    bool first = !s->begun;
    if (first) {
        s->at++; // the bracket seen by json_split_init
        s->begun = true;
    }
    skip_space(s);
    if (s->at >= s->body.n)
        return broken(s, s->at, "the array has no closing bracket", e);
    if (s->body.p[s->at] == ']')
        return end_array(s, e);
    if (first)
        return 1;
    if (s->body.p[s->at] != ',')
        return broken(s, s->at, "a comma or a closing bracket is wanted between items", e);
    s->at++;
    skip_space(s);
    return 1;
}

static int next_element(struct json_split *s, struct str *item, struct err *e)
{
    int border = next_border(s, e);
    if (border <= 0)
        return border;
    size_t begin = s->at;
    char c = begin < s->body.n ? s->body.p[begin] : '\0';
    bool ends = true;
    if (c == '{' || c == '[')
        ends = skip_nested(s);
    else if (c == '"')
        ends = skip_string(s);
    else
        skip_scalar(s);
    if (!ends)
        return broken(s, begin, "the item that begins here does not end", e);
    if (s->at == begin)
        return broken(s, begin, "an item is wanted here", e);
    *item = (struct str){s->body.p + begin, s->at - begin};
    return 1;
}

int json_split_next(struct json_split *s, struct str *item, struct err *e)
{
    if (s->done)
        return 0;
    return s->array ? next_element(s, item, e) : next_line(s, item);
}
