// SPDX-License-Identifier: Apache-2.0
#include "common/core/buf.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

void buf_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->n >= more)
        return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->n < more)
        cap *= 2;
    b->p = xrealloc(b->p, cap);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    if (b->cap - b->n < n) // answers are made of many small pieces: most need no call
        buf_reserve(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_adds(struct buf *b, const char *cstr)
{
    buf_add(b, cstr, strlen(cstr));
}

void buf_addc(struct buf *b, char c)
{
    if (b->cap == b->n)
        buf_reserve(b, 1);
    b->p[b->n++] = c;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

void buf_add_json_str(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    size_t run = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(b, s.p + run, i - run);
        run = i + 1;
        if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else
            buf_addf(b, "\\u%04x", c);
    }
    buf_add(b, s.p + run, s.n - run);
    buf_addc(b, '"');
}

void buf_add_base64(struct buf *b, const void *p, size_t n)
{
    assert(n <= INT_MAX);
    buf_reserve(b, (n + 2) / 3 * 4 + 1); // and the NUL that it writes
    b->n += (size_t)EVP_EncodeBlock((unsigned char *)b->p + b->n, p, (int)n);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

char *buf_steal(struct buf *b)
{
    buf_reserve(b, 1);
    b->p[b->n] = '\0';
    char *p = b->p;
    *b = (struct buf){0};
    return p;
}
