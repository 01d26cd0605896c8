// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_head.h"

#include <strings.h>

// No method is longer; what runs on without a space is not HTTP.
#define METHOD_MAX 32

static const char *check_line(const char *p, size_t n)
{
    if (n == 0 || p[n - 1] != '\r')
        return "a line ends in LF without CR";
    if (memchr(p, '\r', n - 1))
        return "a CR stands within a line";
    if (memchr(p, '\0', n))
        return "a NUL byte stands in the header";
    if (p[0] == ' ' || p[0] == '\t')
        return "a line begins with white space";
    return NULL;
}

// Refuses a request line that is too long while it is still coming in: the rest may never come.
static int check_request_line(const char *p, size_t n, size_t max_target, const char **why)
{
    const char *space = memchr(p, ' ', n < METHOD_MAX + 1 ? n : METHOD_MAX + 1);
    if (!space) {
        *why = "the request line is not HTTP";
        return n > METHOD_MAX ? 400 : 0;
    }
    const char *target = space + 1;
    size_t rest = n - (size_t)(target - p);
    const char *end = memchr(target, ' ', rest);
    size_t length = end ? (size_t)(end - target) : rest;
    *why = "the request target is too long";
    return length > max_target ? 414 : 0;
}

size_t http_scan_head(struct http_scan *s, const char *p, size_t n, size_t max_target,
                      size_t max_head, int *status, const char **why)
{
    *status = 0;
    while (s->line < n) {
        const char *line = p + s->line;
        const char *lf = memchr(line, '\n', n - s->line);
        size_t length = lf ? (size_t)(lf - line) : n - s->line;
        if (!s->has_line)
            *status = check_request_line(line, length, max_target, why);
        if (*status != 0 || !lf || s->line + length + 1 > max_head)
            break;
        *why = check_line(line, length);
        if (!*why && length == 1 && !s->has_line)
            *why = "an empty line stands in place of a request line";
        if (*why) {
            *status = 400;
            break;
        }
        s->has_line = true;
        s->line += length + 1;
        if (length == 1)
            return s->line;
    }
    if (*status == 0 && n > max_head) {
        *status = 431;
        *why = "the request line and header fields are too large";
    }
    return 0;
}

// The characters of a token, small letters for capital ones; else 0. Looked up for every byte of
// every name, this takes a third of the instructions of comparing.
static const char token_lower[256] =
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "\0!\0#$%&'\0\0*+\0-.\0"
    "0123456789\0\0\0\0\0\0"
    "\0abcdefghijklmno"
    "pqrstuvwxyz\0\0\0^_"
    "`abcdefghijklmno"
    "pqrstuvwxyz\0|\0~";

bool http_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (token_lower[(unsigned char)s.p[i]] == '\0')
            return false;
    }
    return s.n > 0;
}

bool http_lower_token(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char lower = token_lower[(unsigned char)p[i]];
        if (lower == '\0')
            return false;
        p[i] = lower;
    }
    return n > 0;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

bool http_are_fields(const char *p, size_t n)
{
    const char *end = p + n - 2; // the empty line
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *colon = memchr(p, ':', (size_t)(lf - p));
        if (!colon || !http_is_token((struct str){p, (size_t)(colon - p)}) ||
            has_control((struct str){colon, (size_t)(lf - 1 - colon)}))
            return false;
        p = lf + 1;
    }
    return true;
}

// The port and its colon, if any: what follows the host.
static bool is_port(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n == 0 || s.p[0] == ':';
}

// ASCII characters as two words of bits.
struct charset {
    uint64_t low, high;
};

#define BIT(c) (UINT64_C(1) << ((c)&63))

static bool is_in(struct charset set, char c)
{
    unsigned char at = (unsigned char)c;
    return at < 128 && ((at < 64 ? set.low >> at : set.high >> (at - 64)) & 1) != 0;
}

bool http_is_host(struct str value)
{
    static const struct charset host = {
        ~(BIT(' ') - 1) & ~(BIT(' ') | BIT('"') | BIT('#') | BIT(',') | BIT('/') | BIT('<') |
                            BIT('>') | BIT('?')),
        ~(BIT('@') | BIT('\\') | BIT('^') | BIT('`') | BIT('{') | BIT('|') | BIT('}') | BIT(0x7f))};
    const char *end = value.p + value.n, *after = NULL;
    for (size_t i = 0; i < value.n; i++) {
        if (!is_in(host, value.p[i]))
            return false;
    }
    if (value.n == 0)
        return true;
    if (value.p[0] == '[') {
        after = memchr(value.p, ']', value.n);
        if (!after)
            return false;
        after++;
    } else {
        after = memchr(value.p, ':', value.n);
    }
    return !after || is_port((struct str){after, (size_t)(end - after)});
}

static bool is_version(struct str s)
{
    return s.n == 8 && memcmp(s.p, "HTTP/", 5) == 0 && s.p[5] >= '0' && s.p[5] <= '9' &&
           s.p[6] == '.' && s.p[7] >= '0' && s.p[7] <= '9';
}

const char *http_parse_request_line(struct str line, struct http_request_line *out)
{
    const char *end = line.p + line.n;
    const char *space = memchr(line.p, ' ', line.n);
    out->method = (struct str){line.p, space ? (size_t)(space - line.p) : line.n};
    if (!http_is_token(out->method))
        return "the method is not a token";
    const char *target = space ? space + 1 : end;
    space = memchr(target, ' ', (size_t)(end - target));
    if (!space)
        return "the request line has no version";
    out->target = (struct str){target, (size_t)(space - target)};
    struct str version = {space + 1, (size_t)(end - space - 1)};
    if (!is_version(version))
        return "the request line ends in no HTTP version";
    out->major = version.p[5] - '0';
    out->minor = version.p[7] - '0';
    for (size_t i = 0; i < out->target.n; i++) {
        unsigned char c = (unsigned char)target[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return "the request target holds a character that belongs escaped";
    }
    return out->target.n > 0 ? NULL : "the request target is empty";
}

bool http_split_target(struct str target, struct str *path, struct str *query)
{
    const char *p = target.p, *end = target.p + target.n;
    size_t scheme = 0;
    if (target.n >= 7 && strncasecmp(p, "http://", 7) == 0)
        scheme = 7;
    else if (target.n >= 8 && strncasecmp(p, "https://", 8) == 0)
        scheme = 8;
    if (scheme > 0) {
        p += scheme;
        const char *authority = p;
        while (p < end && *p != '/' && *p != '?')
            p++;
        if (p == authority || !http_is_host((struct str){authority, (size_t)(p - authority)}))
            return false;
    }
    const char *question = p < end ? memchr(p, '?', (size_t)(end - p)) : NULL;
    *path = (struct str){p, (size_t)((question ? question : end) - p)};
    if (scheme > 0 && path->n == 0)
        *path = STR_LIT("/");
    *query = (struct str){NULL, 0};
    if (question)
        *query = (struct str){question + 1, (size_t)(end - question - 1)};
    return true;
}
