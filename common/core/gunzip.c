// SPDX-License-Identifier: Apache-2.0
#include "common/core/gunzip.h"

#define ZLIB_CONST // input is only read
#include <limits.h>
#include <zlib.h>

#define WINDOW_BITS (MAX_WBITS + 16) // 16: a gzip member and nothing else

struct gunzip {
    z_stream z;
};

static void *allocate(void *opaque UNUSED, unsigned count, unsigned size)
{
    return xcalloc(count, size);
}

static void release(void *opaque UNUSED, void *p)
{
    free(p);
}

struct gunzip *gunzip_new(void)
{
    struct gunzip *g = xcalloc(1, sizeof(*g));
    g->z.zalloc = allocate;
    g->z.zfree = release;
    int rc = inflateInit2(&g->z, WINDOW_BITS);
    assert(rc == Z_OK); // fails for want of memory or a wrong argument alone
    (void)rc;
    return g;
}

void gunzip_free(struct gunzip *g)
{
    if (!g)
        return;
    inflateEnd(&g->z);
    free(g);
}

// How far zlib has come, in all members.
struct progress {
    struct str in;
    size_t read;
    struct buf *out;
    size_t limit; // of the output
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// One call of inflate() with what is left on both sides. Room for one byte beyond the limit is what
// tells an output that is as long as it may be from one that is longer. Z_FINISH spares zlib's copy
// of the window where one call is enough.
static int step(struct gunzip *g, struct progress *p)
{
    struct buf *out = p->out;
    if (out->n == out->cap)
        buf_reserve(out, least(out->cap ? out->cap : p->in.n, p->limit + 1 - out->n));
    size_t room = least(out->cap, p->limit + 1) - out->n;
    g->z.next_in = (const Bytef *)p->in.p + p->read;
    g->z.avail_in = (uInt)(p->in.n - p->read);
    g->z.next_out = (Bytef *)out->p + out->n;
    g->z.avail_out = (uInt)room;
    int rc = inflate(&g->z, Z_FINISH);
    p->read = p->in.n - g->z.avail_in;
    out->n += room - g->z.avail_out;
    return rc;
}

static enum gunzip_result corrupt(const struct progress *p, const char *why, struct err *e)
{
    err_field(e, "", (int64_t)p->read, "the body is not valid gzip: %s", why);
    return GUNZIP_CORRUPT;
}

// From the beginning of a member to behind its end.
static enum gunzip_result read_member(struct gunzip *g, struct progress *p, struct err *e)
{
    inflateReset(&g->z);
    for (;;) {
        int rc = step(g, p);
        if (p->out->n > p->limit)
            return GUNZIP_TOO_LARGE;
        if (rc == Z_STREAM_END)
            return GUNZIP_DONE;
        if (rc != Z_BUF_ERROR)
            return corrupt(p, g->z.msg ? g->z.msg : "zlib refuses it", e);
        if (p->out->n < p->out->cap) // so it was not for want of room
            return corrupt(p, "it ends too soon", e);
    }
}

static bool begins_member(const struct progress *p)
{
    size_t left = p->in.n - p->read;
    return left >= 2 && memcmp(p->in.p + p->read, "\x1f\x8b", 2) == 0;
}

enum gunzip_result gunzip_all(struct gunzip *g, struct str in, size_t max_out, struct buf *out,
                              struct err *e)
{
    size_t dense = in.n > SIZE_MAX / GUNZIP_MAX_RATIO ? SIZE_MAX : in.n * GUNZIP_MAX_RATIO;
    if (dense < GUNZIP_FREE_BYTES)
        dense = GUNZIP_FREE_BYTES;
    struct progress p = {.in = in, .out = out, .limit = least(max_out, dense)};
    enum gunzip_result result;
    assert(in.n < UINT_MAX && p.limit < UINT_MAX); // zlib counts in unsigned int
    buf_clear(out);
    if (in.n == 0)
        return corrupt(&p, "it is empty", e);
    do {
        if (p.read > 0 && !begins_member(&p))
            return corrupt(&p, "other bytes follow its end", e);
        result = read_member(g, &p, e);
    } while (result == GUNZIP_DONE && p.read < in.n);
    if (result != GUNZIP_TOO_LARGE)
        return result;
    if (p.limit == max_out) {
        err_set(e, "the body inflates to more than the %zu bytes that are taken", max_out);
        return GUNZIP_TOO_LARGE;
    }
    err_set(e, "the body inflates to more than %d times its size: send fewer repetitions at once",
            GUNZIP_MAX_RATIO);
    return GUNZIP_TOO_DENSE;
}
