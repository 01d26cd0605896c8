// SPDX-License-Identifier: Apache-2.0
// Percent-encoding: query strings, and segments of paths. Pure.
#include "common/io/http_server.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Appends the decoded bytes; room is reserved by the caller, so earlier pointers stay good.
static int decode(struct str in, char plus, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '+') {
            c = plus;
        } else if (c == '%') {
            int hi = i + 2 < in.n ? hex(in.p[i + 1]) : -1;
            int lo = hi >= 0 ? hex(in.p[i + 2]) : -1;
            if (lo < 0)
                return -1;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        out->p[out->n++] = c;
    }
    return 0;
}

static struct str take_pair(struct str *rest)
{
    const char *amp = memchr(rest->p, '&', rest->n);
    struct str pair = {rest->p, amp ? (size_t)(amp - rest->p) : rest->n};
    size_t skip = pair.n + (amp ? 1 : 0);
    rest->p += skip;
    rest->n -= skip;
    return pair;
}

int http_query_next(struct http_query_iter *it, struct str *name, struct str *value,
                    struct buf *scratch, struct err *e)
{
    struct str pair = {NULL, 0};
    while (it->rest.n > 0 && pair.n == 0)
        pair = take_pair(&it->rest);
    if (pair.n == 0)
        return 0;

    const char *eq = memchr(pair.p, '=', pair.n);
    struct str raw_name = {pair.p, eq ? (size_t)(eq - pair.p) : pair.n};
    struct str raw_value = {eq ? eq + 1 : pair.p + pair.n, eq ? pair.n - raw_name.n - 1 : 0};
    buf_clear(scratch);
    buf_reserve(scratch, pair.n + 1);
    if (decode(raw_name, ' ', scratch) != 0)
        return err_set(e, "the query string has a broken %%-escape in a parameter's name");
    *name = (struct str){scratch->p, scratch->n};
    if (decode(raw_value, ' ', scratch) != 0)
        return err_set(e, "the query parameter %.*s has a broken %%-escape",
                       (int)(name->n < 64 ? name->n : 64), name->p);
    *value = (struct str){scratch->p + name->n, scratch->n - name->n};
    return 1;
}

int http_decode_segment(struct str segment, struct buf *out, struct err *e)
{
    size_t before = out->n;
    buf_reserve(out, segment.n);
    if (decode(segment, '+', out) == 0)
        return 0;
    out->n = before;
    return err_set(e, "the path has a broken %%-escape");
}
