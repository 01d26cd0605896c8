// SPDX-License-Identifier: Apache-2.0
#include "common/core/gzip.h"

#define ZLIB_CONST // input is only read
#include <limits.h>
#include <zlib.h>

#define WINDOW_BITS_MIN 9 // zlib's; 8 is broken there
#define GZIP 16           // added to the window's bits: gzip instead of zlib's own form

static void *allocate(void *opaque UNUSED, unsigned count, unsigned size)
{
    return xmalloc((size_t)count * size);
}

static void release(void *opaque UNUSED, void *p)
{
    free(p);
}

// A window larger than the input finds no more, and clearing its tables would be most of the work
// for a small one.
static int window_bits(size_t n)
{
    int bits = WINDOW_BITS_MIN;
    while (bits < MAX_WBITS && ((size_t)1 << bits) < n)
        bits++;
    return bits;
}

void gzip_compress(struct str in, int level, struct buf *out)
{
    assert(level >= 1 && level <= 9 && in.n <= INT_MAX);
    z_stream z = {.zalloc = allocate, .zfree = release};
    int bits = window_bits(in.n);
    int rc = deflateInit2(&z, level, Z_DEFLATED, bits + GZIP, bits - 7, Z_DEFAULT_STRATEGY);
    assert(rc == Z_OK); // fails for want of memory or a wrong argument alone
    buf_clear(out);
    size_t most = deflateBound(&z, (uLong)in.n);
    buf_reserve(out, most);
    z.next_in = (const Bytef *)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)out->p;
    z.avail_out = (uInt)most;
    rc = deflate(&z, Z_FINISH);
    assert(rc == Z_STREAM_END); // there is room for the worst
    (void)rc;
    out->n = most - z.avail_out;
    deflateEnd(&z);
}
