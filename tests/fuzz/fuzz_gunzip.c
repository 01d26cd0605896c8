// SPDX-License-Identifier: Apache-2.0
// gunzip beside another way to read gzip: headers taken apart by hand, the rest inflated raw a few
// bytes at a time, CRC and length computed apart. Both accept the same files, give the same bytes,
// and stop at the same limit.
//
// The first byte is the limit, the second what the input is: 'x' a file as it stands; else two
// members are made of what follows, in a form that five bytes choose, and then damaged.
#include "tests/fuzz/fuzz.h"

#include "common/core/gunzip.h"

#include <zlib.h>

#define LIMIT_MAX ((size_t)512 << 10)

struct file {
    const uint8_t *p;
    size_t n, at;
};

// What the other way finds: how much it got out before the end, or before something was wrong.
struct found {
    bool valid, beyond;
    struct buf out;
};

// --- the other way ---

static bool skip(struct file *f, size_t n)
{
    bool there = f->n - f->at >= n;
    f->at = there ? f->at + n : f->n;
    return there;
}

static bool skip_text(struct file *f)
{
    while (f->at < f->n && f->p[f->at] != '\0')
        f->at++;
    return skip(f, 1);
}

static bool read_header(struct file *f)
{
    size_t begin = f->at;
    if (!skip(f, 10))
        return false;
    const uint8_t *h = f->p + begin;
    uint8_t flags = h[3];
    if (h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 || (flags & 0xe0))
        return false;
    if (flags & 4) { // FEXTRA
        if (!skip(f, 2) || !skip(f, f->p[f->at - 2] | (size_t)f->p[f->at - 1] << 8))
            return false;
    }
    if ((flags & 8) && !skip_text(f)) // FNAME
        return false;
    if ((flags & 16) && !skip_text(f)) // FCOMMENT
        return false;
    if (!(flags & 2)) // FHCRC
        return true;
    unsigned long crc = crc32(0, h, (uInt)(f->at - begin)) & 0xffff;
    return skip(f, 2) && (f->p[f->at - 2] | (unsigned long)f->p[f->at - 1] << 8) == crc;
}

// False where it is wrong or breaks off, and as soon as it is beyond the limit.
static bool read_deflated(struct file *f, size_t limit, struct found *found)
{
    uint8_t small[1021];
    z_stream z = {.next_in = NULL};
    FUZZ_CHECK(inflateInit2(&z, -15) == Z_OK);
    int rc = Z_OK;
    while (rc == Z_OK && !found->beyond) {
        uint8_t some[7];
        size_t n = f->n - f->at < sizeof(some) ? f->n - f->at : sizeof(some);
        memcpy(some, f->p + f->at, n);
        z.next_in = some;
        z.avail_in = (uInt)n;
        z.next_out = small;
        z.avail_out = sizeof(small);
        rc = inflate(&z, Z_SYNC_FLUSH);
        f->at += n - z.avail_in;
        buf_add(&found->out, small, sizeof(small) - z.avail_out);
        found->beyond = found->out.n > limit;
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END && !found->beyond;
}

static unsigned long little_endian(const uint8_t *p)
{
    return p[0] | (unsigned long)p[1] << 8 | (unsigned long)p[2] << 16 | (unsigned long)p[3] << 24;
}

static bool read_member(struct file *f, size_t limit, struct found *found)
{
    size_t begin = found->out.n;
    if (!read_header(f) || !read_deflated(f, limit, found) || !skip(f, 8))
        return false;
    size_t n = found->out.n - begin;
    const Bytef *bytes = n > 0 ? (const Bytef *)found->out.p + begin : (const Bytef *)"";
    return little_endian(f->p + f->at - 8) == crc32(0, bytes, (uInt)n) &&
           little_endian(f->p + f->at - 4) == n;
}

static struct found read_file(const uint8_t *p, size_t n, size_t limit)
{
    struct file f = {p, n, 0};
    struct found found = {.valid = n > 0};
    while (found.valid && f.at < n)
        found.valid = read_member(&f, limit, &found);
    return found;
}

// --- what is promised ---

static void check(const uint8_t *p, size_t n, size_t max_out)
{
    static struct gunzip *g;
    static struct buf out; // both for the life of the process, as in a service
    if (!g)
        g = gunzip_new();
    size_t granted = n * GUNZIP_MAX_RATIO;
    if (granted < GUNZIP_FREE_BYTES)
        granted = GUNZIP_FREE_BYTES;
    size_t limit = max_out < granted ? max_out : granted;
    struct found want = read_file(p, n, limit);
    struct err e = {.offset = -2};
    enum gunzip_result result = gunzip_all(g, (struct str){(const char *)p, n}, max_out, &out, &e);
    if (want.valid) {
        FUZZ_CHECK(result == GUNZIP_DONE && out.n == want.out.n && out.n <= limit);
        FUZZ_CHECK(out.n == 0 || memcmp(out.p, want.out.p, out.n) == 0);
    } else if (want.beyond) {
        FUZZ_CHECK(result == (max_out <= granted ? GUNZIP_TOO_LARGE : GUNZIP_TOO_DENSE));
    } else {
        FUZZ_CHECK(result == GUNZIP_CORRUPT && e.offset >= 0 && e.offset <= (int64_t)n);
    }
    FUZZ_CHECK(result == GUNZIP_DONE || e.detail[0]);
    FUZZ_CHECK(out.cap <= 2 * (LIMIT_MAX + 1));
    buf_free(&want.out);
}

// --- members made ---

struct form {
    uint8_t level, header, split, damage, where;
};

static void add_member(struct buf *file, const uint8_t *p, size_t n, const struct form *form)
{
    uint8_t extra[300] = {'x'};
    char text[] = "name";
    gz_header header = {.hcrc = form->header & 1, .text = form->header >> 7};
    if (form->header & 2)
        header.extra = extra, header.extra_len = form->header;
    if (form->header & 4)
        header.name = (Bytef *)text;
    if (form->header & 8)
        header.comment = (Bytef *)text;
    z_stream z = {.avail_in = (uInt)n};
    uint8_t *copy = xmemdup(n > 0 ? (const void *)p : "", n); // next_in is not const
    z.next_in = copy;
    FUZZ_CHECK(deflateInit2(&z, form->level % 10, Z_DEFLATED, 16 + 9 + form->level / 10 % 7,
                            1 + form->level % 9, form->level / 70) == Z_OK);
    FUZZ_CHECK(deflateSetHeader(&z, &header) == Z_OK);
    size_t most = deflateBound(&z, (uLong)n) + sizeof(extra) + 64;
    buf_reserve(file, most);
    z.next_out = (Bytef *)file->p + file->n;
    z.avail_out = (uInt)most;
    FUZZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    file->n += most - z.avail_out;
    deflateEnd(&z);
    free(copy);
}

// Small numbers leave it whole. It is never empty.
static void damage(struct buf *file, const struct form *form)
{
    size_t at = form->where * file->n / 256;
    switch (form->damage >> 4) {
    case 8:
        file->p[at] = (char)(file->p[at] ^ (1 << (form->damage & 7)));
        break;
    case 9: // near the end, where the check is
        at = file->n - 1 - (size_t)(form->where % 8);
        file->p[at] = (char)(file->p[at] ^ (1 << (form->damage & 7)));
        break;
    case 10:
        file->n = at;
        break;
    case 11:
        file->n -= 1 + (size_t)(form->damage & 15);
        break;
    case 12:
        buf_add(file, "\0\0\0\x1f\x8b\x08", 1 + (size_t)(form->damage & 15) % 6);
        break;
    case 13: // near the beginning, where the header is
        file->p[form->where % 12] = (char)form->damage;
        break;
    default:
        break;
    }
}

static void check_made(const uint8_t *p, size_t n, size_t max_out)
{
    struct form form = {0};
    size_t form_n = n < sizeof(form) ? n : sizeof(form);
    memcpy(&form, p, form_n);
    p += form_n;
    n -= form_n;
    // What compresses well, beside the fuzzer's own bytes.
    struct buf plain = {0};
    buf_add(&plain, p, n);
    for (size_t i = 0; n > 0 && i < (size_t)(form.split & 15) * 3000; i++)
        buf_addc(&plain, (char)p[i % n]);
    struct buf file = {0};
    size_t first = form.split * plain.n / 256;
    const uint8_t *bytes = (const uint8_t *)(plain.p ? plain.p : "");
    add_member(&file, bytes, first, &form);
    form.header = (uint8_t)(form.header >> 4);
    add_member(&file, bytes + first, plain.n - first, &form);
    damage(&file, &form);
    uint8_t *copy = xmemdup(file.p, file.n); // of exactly that size
    check(copy, file.n, max_out);
    free(copy);
    buf_free(&file);
    buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t limit = (size_t)(data[0] & 15) << data[0] / 16;
    FUZZ_CHECK(limit <= LIMIT_MAX);
    if (data[1] == 'x')
        check(data + 2, size - 2, limit);
    else
        check_made(data + 2, size - 2, limit);
    return 0;
}
