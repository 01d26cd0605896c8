// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/shown.h"

#include "common/core/utf8.h"

static uint32_t code_point(const unsigned char *p, size_t n)
{
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & first[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

// What a terminal obeys, and what makes a line read in another order than it stands there.
static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void shown_add(struct buf *out, struct str s, size_t most)
{
    size_t i = 0;
    while (i < s.n && i < most) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        size_t n = utf8_sequence(p, s.n - i);
        if (*p == '\\' || *p == '\n' || *p == '\t' || *p == '\r') {
            buf_addf(out, "\\%c", *p == '\n' ? 'n' : *p == '\t' ? 't' : *p == '\r' ? 'r' : '\\');
        } else if (n > 0 && !steers(code_point(p, n))) {
            buf_add(out, p, n);
        } else {
            n = n ? n : 1;
            for (size_t k = 0; k < n; k++)
                buf_addf(out, "\\x%02x", p[k]);
        }
        i += n;
    }
    if (i < s.n)
        buf_adds(out, "…");
}

void shown_add_json(struct buf *out, struct str s)
{
    size_t done = 0, n;
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n; i += n) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        n = utf8_sequence(p, s.n - i);
        uint32_t c = code_point(p, n);
        if (!steers(c) && c != '"' && c != '\\')
            continue;
        buf_add(out, s.p + done, i - done);
        done = i + n;
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", (int)c);
        else
            buf_addf(out, "\\u%04x", (unsigned)c);
    }
    buf_add(out, s.p + done, s.n - done);
    buf_addc(out, '"');
}
