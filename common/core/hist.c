// SPDX-License-Identifier: Apache-2.0
#include "common/core/hist.h"

#include <math.h>
#define ZLIB_CONST
#include <zlib.h>

// Two significant digits need 2·10² values of unit width, rounded up to 256; each further power of
// two adds a half of that. So the first two chunks have unit width and chunk c > 1 has width
// 2^(c-1).
#define DIGITS 2
#define CHUNK_BITS 7
_Static_assert(1 << CHUNK_BITS == HIST_CHUNK, "a chunk is one power of two");
_Static_assert(HIST_CHUNKS *HIST_CHUNK == HIST_COUNTS, "chunks cover the counts");

#define COOKIE 0x1c849313u
#define COOKIE_COMPRESSED 0x1c849314u
#define HEADER_BYTES 40
#define COMPRESSED_HEADER_BYTES 8
#define COUNT_BYTES_MAX 9 // a zigzagged 64-bit number, whose ninth byte carries eight bits
#define PLAIN_BYTES_MAX (HEADER_BYTES + HIST_COUNTS * COUNT_BYTES_MAX)

int hist_index(int64_t value_us)
{
    assert(value_us >= 0 && value_us <= HIST_MAX_US);
    int bucket = 63 - __builtin_clzll((uint64_t)value_us | (2 * HIST_CHUNK - 1)) - CHUNK_BITS;
    return bucket * HIST_CHUNK + (int)(value_us >> bucket);
}

int64_t hist_lowest(int index)
{
    assert(index >= 0 && index < HIST_COUNTS);
    int bucket = index / HIST_CHUNK - 1;
    if (bucket < 0)
        return index;
    return (int64_t)(index % HIST_CHUNK + HIST_CHUNK) << bucket;
}

int64_t hist_highest(int index)
{
    int bucket = index / HIST_CHUNK - 1;
    return hist_lowest(index) + (bucket > 0 ? (INT64_C(1) << bucket) - 1 : 0);
}

// Counts stay within the encoding's int64_t, whatever was read back from a database.
static uint64_t add_count(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b; // both are at most INT64_MAX: no wrap
    return sum < (uint64_t)INT64_MAX ? sum : (uint64_t)INT64_MAX;
}

// ---- counts ----

static uint64_t *chunk_of(struct hist *h, int chunk)
{
    if (!h->chunk[chunk])
        h->chunk[chunk] = xcalloc(HIST_CHUNK, sizeof(uint64_t));
    return h->chunk[chunk];
}

static void count_in_chunk(struct hist *h, int index, uint64_t count)
{
    uint64_t *at = &chunk_of(h, index / HIST_CHUNK)[index % HIST_CHUNK];
    *at = add_count(*at, count);
}

static const uint16_t *list_of(const struct hist *h)
{
    return h->more ? h->more : h->few;
}

static void append(struct hist *h, int index)
{
    uint16_t n = h->listed++;
    if (n == HIST_FEW) {
        h->more = xmalloc((HIST_FEW + 1) * 2 * sizeof(*h->more));
        memcpy(h->more, h->few, sizeof(h->few));
    } else if (n > HIST_FEW + 1 && (n & (n - 1)) == 0) {
        h->more = xrealloc(h->more, n * 2 * sizeof(*h->more));
    }
    (h->more ? h->more : h->few)[n] = (uint16_t)index;
}

// From here on it has counts.
static void make_chunks(struct hist *h)
{
    const uint16_t *list = list_of(h);
    h->chunk = xcalloc(HIST_CHUNKS, sizeof(*h->chunk));
    for (int i = 0; i < h->listed; i++)
        count_in_chunk(h, list[i], 1);
    h->listed = 0;
    free(h->more);
    h->more = NULL;
}

// Room for as many values more. They stay a list where those are few: whoever merges will also read
// them in order.
static void make_room(struct hist *h, int64_t values)
{
    if (!h->chunk && values > HIST_FEW - h->listed)
        make_chunks(h);
}

static void count_at(struct hist *h, int index, int64_t count)
{
    if (h->chunk)
        count_in_chunk(h, index, (uint64_t)count);
    else
        for (; count > 0; count--)
            append(h, index);
}

void hist_record(struct hist *h, int64_t value_us)
{
    assert(value_us >= 0);
    if (h->listed == HIST_LISTED_MAX)
        make_chunks(h);
    count_at(h, hist_index(min_i64(value_us, HIST_MAX_US)), 1);
    h->total = add_sat_i64(h->total, 1);
    h->clamped += value_us > HIST_MAX_US;
    h->sum_us = add_sat_i64(h->sum_us, value_us);
    h->max_us = max_i64(h->max_us, value_us);
}

static void add_chunks(struct hist *into, const struct hist *from)
{
    for (int c = 0; c < HIST_CHUNKS; c++) {
        if (!from->chunk[c])
            continue;
        uint64_t *to = chunk_of(into, c);
        for (int i = 0; i < HIST_CHUNK; i++)
            to[i] = add_count(to[i], from->chunk[c][i]);
    }
}

void hist_add(struct hist *into, const struct hist *from)
{
    make_room(into, from->chunk ? INT64_MAX : from->listed);
    if (from->chunk)
        add_chunks(into, from);
    for (int i = 0, n = from->listed; i < n; i++)
        count_at(into, list_of(from)[i], 1);
    into->total = add_sat_i64(into->total, from->total);
    into->clamped = add_sat_i64(into->clamped, from->clamped);
    into->sum_us = add_sat_i64(into->sum_us, from->sum_us);
    into->max_us = max_i64(into->max_us, from->max_us);
}

void hist_clear(struct hist *h)
{
    for (int c = 0; h->chunk && c < HIST_CHUNKS; c++)
        free(h->chunk[c]);
    free(h->chunk);
    free(h->more);
    *h = (struct hist){0};
}

size_t hist_bytes(const struct hist *h)
{
    size_t n = h->chunk ? HIST_CHUNKS * sizeof(*h->chunk) : 0;
    n += h->more ? h->listed * sizeof(*h->more) : 0;
    for (int c = 0; h->chunk && c < HIST_CHUNKS; c++)
        n += h->chunk[c] ? HIST_CHUNK * sizeof(uint64_t) : 0;
    return n;
}

// The list in ascending order. It seldom is longer than a few.
static void sort_list(const struct hist *h, uint16_t out[HIST_LISTED_MAX])
{
    const uint16_t *list = list_of(h);
    for (int i = 0; i < h->listed; i++) {
        int at = i;
        for (; at > 0 && out[at - 1] > list[i]; at--)
            out[at] = out[at - 1];
        out[at] = list[i];
    }
}

static int filled_of_list(const struct hist *h, struct hist_filled *out)
{
    uint16_t list[HIST_LISTED_MAX];
    int n = 0;
    sort_list(h, list);
    for (int i = 0; i < h->listed; i++) {
        if (n > 0 && out[n - 1].index == list[i])
            out[n - 1].count++;
        else
            out[n++] = (struct hist_filled){1, list[i]};
    }
    return n;
}

int hist_filled(const struct hist *h, struct hist_filled out[HIST_COUNTS + 1])
{
    if (!h->chunk)
        return filled_of_list(h, out);
    int n = 0;
    for (int c = 0; c < HIST_CHUNKS; c++)
        for (int i = 0; h->chunk[c] && i < HIST_CHUNK; i++)
            if (h->chunk[c][i])
                out[n++] =
                    (struct hist_filled){(int64_t)h->chunk[c][i], (int32_t)(c * HIST_CHUNK + i)};
    return n;
}

// ⌈q·n⌉ of the q that was meant: 0.07 is not a binary fraction, and the double next to it times 100
// is a little above 7. Hence the product is lowered by as much as rounding can have raised it.
uint64_t hist_rank(double q, int64_t n)
{
    double product = q * (double)n;
    double rank = ceil(product - product * 4.5e-16);
    return rank < 1 ? 1 : rank >= (double)n ? (uint64_t)n : (uint64_t)rank;
}

static void quantiles_of_list(const struct hist *h, const double *q, size_t n, int64_t *out)
{
    uint16_t list[HIST_LISTED_MAX];
    sort_list(h, list);
    for (size_t k = 0; k < n && h->listed > 0; k++)
        out[k] = min_i64(hist_highest(list[hist_rank(q[k], h->listed) - 1]), h->max_us);
}

static void quantiles_of_chunks(const struct hist *h, const double *q, size_t n, int64_t *out)
{
    uint64_t rank = hist_rank(q[0], h->total), left = rank;
    size_t k = 0;
    for (int c = 0; c < HIST_CHUNKS; c++) {
        for (int i = 0; h->chunk[c] && i < HIST_CHUNK; i++) {
            while (h->chunk[c][i] >= left) {
                out[k] = min_i64(hist_highest(c * HIST_CHUNK + i), h->max_us);
                if (++k == n)
                    return;
                left += hist_rank(q[k], h->total) - rank;
                rank = hist_rank(q[k], h->total);
            }
            left -= h->chunk[c][i];
        }
    }
}

void hist_quantiles(const struct hist *h, const double *q, size_t n, int64_t *out)
{
    for (size_t k = 0; k < n; k++) {
        assert(q[k] >= (k ? q[k - 1] : 0) && q[k] <= 1);
        out[k] = h->total ? h->max_us : 0; // it stays so only where sums have saturated
    }
    if (!h->chunk)
        quantiles_of_list(h, q, n, out);
    else if (h->total > 0 && n > 0)
        quantiles_of_chunks(h, q, n, out);
}

int64_t hist_quantile(const struct hist *h, double q)
{
    int64_t value;
    hist_quantiles(h, &q, 1, &value);
    return value;
}

// ---- encoding
// -------------------------------------------------------------------------------------

static unsigned char *put_be(unsigned char *p, uint64_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        *p++ = (unsigned char)(value >> shift);
    return p;
}

static uint64_t get_be(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static unsigned char *put_zigzag(unsigned char *p, int64_t value)
{
    uint64_t z = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (int i = 1; i < COUNT_BYTES_MAX && z >= 0x80; i++, z >>= 7)
        *p++ = (unsigned char)(z | 0x80);
    *p++ = (unsigned char)z;
    return p;
}

// NULL where the number does not end before `end`.
static inline const unsigned char *get_zigzag(const unsigned char *p, const unsigned char *end,
                                              int64_t *value)
{
    uint64_t z = 0;
    if (p < end && *p < 0x80) { // most counts
        z = *p++;
    } else {
        for (int i = 0;; i++) {
            if (p == end)
                return NULL;
            unsigned char byte = *p++;
            if (i == COUNT_BYTES_MAX - 1 || byte < 0x80) {
                z |= (uint64_t)byte << (7 * i);
                break;
            }
            z |= (uint64_t)(byte & 0x7f) << (7 * i);
        }
    }
    *value = (int64_t)(z >> 1 ^ (~(z & 1) + 1));
    return p;
}

// A run of zeros is written as its negative length, but a single one as the count it is: both are
// read everywhere, and this is what Java writes.
static unsigned char *put_zeros(unsigned char *p, int64_t run)
{
    return run == 0 ? p : put_zigzag(p, run == 1 ? 0 : -run);
}

static unsigned char *put_list(unsigned char *p, const struct hist *h)
{
    struct hist_filled filled[HIST_LISTED_MAX];
    int n = filled_of_list(h, filled);
    for (int i = 0, next = 0; i < n; next = filled[i++].index + 1) {
        p = put_zeros(p, filled[i].index - next);
        p = put_zigzag(p, filled[i].count);
    }
    return p;
}

static unsigned char *put_chunks(unsigned char *p, const struct hist *h)
{
    int64_t zeros = 0; // not written yet; those at the end never are
    for (int c = 0; c < HIST_CHUNKS; c++) {
        if (!h->chunk[c]) {
            zeros += HIST_CHUNK;
            continue;
        }
        for (int i = 0; i < HIST_CHUNK; i++) {
            if (h->chunk[c][i] == 0) {
                zeros++;
                continue;
            }
            p = put_zeros(p, zeros);
            zeros = 0;
            p = put_zigzag(p, (int64_t)h->chunk[c][i]);
        }
    }
    return p;
}

static unsigned char *put_counts(unsigned char *p, const struct hist *h)
{
    unsigned char *end = h->chunk ? put_chunks(p, h) : put_list(p, h);
    // An empty histogram's maximum is 0, so its one count is that of the value 0.
    return end == p ? put_zigzag(p, 0) : end;
}

void hist_encode(const struct hist *h, struct buf *out)
{
    buf_reserve(out, PLAIN_BYTES_MAX);
    unsigned char *begin = (unsigned char *)out->p + out->n;
    unsigned char *end = put_counts(begin + HEADER_BYTES, h);
    const double ratio = 1.0; // of integer to recorded values
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
    unsigned char *p = put_be(begin, COOKIE, 4);
    p = put_be(p, (uint64_t)(end - begin - HEADER_BYTES), 4);
    p = put_be(p, 0, 4); // normalizing index offset
    p = put_be(p, DIGITS, 4);
    p = put_be(p, 1, 8);
    p = put_be(p, HIST_MAX_US, 8);
    put_be(p, ratio_bits, 8);
    out->n += (size_t)(end - begin);
}

// A window of 4 KiB and small tables: setting up zlib's usual ones took 55 of 60 µs a histogram,
// and a few hundred bytes become no shorter by them.
#define WINDOW_BITS 12
#define MEM_LEVEL 5

void hist_compress(struct str plain, struct buf *out)
{
    z_stream z = {.next_in = (const Bytef *)plain.p, .avail_in = (uInt)plain.n};
    // With enough room it fails for want of memory alone, which ends the process everywhere here.
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    uLong room = deflateBound(&z, plain.n);
    buf_reserve(out, COMPRESSED_HEADER_BYTES + room);
    unsigned char *begin = (unsigned char *)out->p + out->n;
    z.next_out = begin + COMPRESSED_HEADER_BYTES;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    put_be(put_be(begin, COOKIE_COMPRESSED, 4), z.total_out, 4);
    out->n += COMPRESSED_HEADER_BYTES + z.total_out;
    deflateEnd(&z);
}

#define RATIO_ONE UINT64_C(0x3ff0000000000000)

// The offset (bytes 8 to 11) says how the writer's memory was turned, and the counts are in order
// all the same: hdr-histogram-js 3.0.1 and hdrhistogram-go up to 1.2.0 always write 1. The former
// writes the ratio as an integer, too.
static bool fits_ours(const unsigned char *p)
{
    uint64_t ratio = get_be(p + 32, 8);
    return (ratio == RATIO_ONE || ratio == 1) && get_be(p + 12, 4) == DIGITS &&
           get_be(p + 16, 8) == 1 && get_be(p + 24, 8) == HIST_MAX_US;
}

static int check_header(const unsigned char *p, size_t n, struct err *e)
{
    if (n < HEADER_BYTES)
        return err_set(e, "a histogram has at least %d bytes, this has %zu", HEADER_BYTES, n);
    if (get_be(p, 4) != COOKIE)
        return err_set(e, "not a HdrHistogram V2 encoding (cookie %08x)", (unsigned)get_be(p, 4));
    if (get_be(p + 4, 4) != n - HEADER_BYTES)
        return err_set(e, "the histogram's payload has %zu bytes, its header says %u",
                       n - HEADER_BYTES, (unsigned)get_be(p + 4, 4));
    if (!fits_ours(p))
        return err_set(e, "the histogram has other parameters than 1 to 3600000000 with 2 digits");
    return 0;
}

// The counts that are not zero, in order: how many; -1 where they are no histogram's. Which comes
// next, a count or a run of zeros, nobody can predict, so the loop does not branch on it.
static int read_counts(const unsigned char *p, const unsigned char *end,
                       struct hist_filled out[HIST_COUNTS + 1], int64_t *total, struct err *e)
{
    const int limit = hist_index(HIST_MAX_US) + 1;
    const unsigned char *begin = p;
    int64_t index = 0;
    int n = 0;
    *total = 0;
    while (p < end) {
        int64_t count;
        int64_t at = HEADER_BYTES + (p - begin);
        p = get_zigzag(p, end, &count);
        if (!p)
            return err_field(e, "", at, "the histogram ends within a count");
        int64_t is_run = count >> 63, is_count = count > 0; // is_run: 0 or -1
        // -INT64_MIN would overflow, and one beyond the end is as wrong as many.
        int64_t steps = (-max_i64(count, -HIST_COUNTS - 1) & is_run) + 1 + is_run;
        if (steps > HIST_COUNTS - index || (is_count & (index >= limit)))
            return err_field(e, "", at, "the histogram counts beyond its range");
        if (__builtin_add_overflow(*total, count & ~is_run, total))
            return err_field(e, "", at, "the histogram's counts overflow");
        out[n] = (struct hist_filled){count, (int32_t)index};
        n += (int)is_count;
        index += steps;
    }
    return n;
}

static int decode_plain(const unsigned char *p, size_t n, struct hist_filled out[HIST_COUNTS + 1],
                        int64_t *total, struct err *e)
{
    if (check_header(p, n, e) < 0)
        return -1;
    return read_counts(p + HEADER_BYTES, p + n, out, total, e);
}

// The bytes that all of the input inflates to, at most `room`; 0 where it is no zlib stream, or one
// of more, or not all of it is one.
static size_t inflate_all(const unsigned char *p, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {.next_in = p, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};
    if (inflateInit(&z) != Z_OK) // no memory
        abort();
    int rc = inflate(&z, Z_FINISH);
    size_t got = rc == Z_STREAM_END && z.avail_in == 0 ? z.total_out : 0;
    inflateEnd(&z);
    return got;
}

static int decode_compressed(const unsigned char *p, size_t n,
                             struct hist_filled out[HIST_COUNTS + 1], int64_t *total, struct err *e)
{
    n -= COMPRESSED_HEADER_BYTES;
    if (get_be(p + 4, 4) != n) // so it fits zlib's counters, too
        return err_set(e, "the compressed histogram has %zu bytes, its header says %u", n,
                       (unsigned)get_be(p + 4, 4));
    unsigned char plain[PLAIN_BYTES_MAX];
    size_t plain_n = inflate_all(p + COMPRESSED_HEADER_BYTES, n, plain, sizeof(plain));
    if (plain_n == 0)
        return err_set(e, "the compressed histogram does not inflate to at most %d bytes",
                       PLAIN_BYTES_MAX);
    return decode_plain(plain, plain_n, out, total, e);
}

static int decode(const void *data, size_t n, struct hist_filled out[HIST_COUNTS + 1],
                  int64_t *total, struct err *e)
{
    const unsigned char *p = data;
    if (n >= COMPRESSED_HEADER_BYTES && get_be(p, 4) == COOKIE_COMPRESSED)
        return decode_compressed(p, n, out, total, e);
    return decode_plain(p, n, out, total, e);
}

int hist_decode_filled(const void *p, size_t n, struct hist_filled out[HIST_COUNTS + 1],
                       struct err *e)
{
    int64_t total;
    return decode(p, n, out, &total, e);
}

int hist_decode_add(struct hist *h, const void *p, size_t size, struct err *e)
{
    assert(h);
    struct hist_filled filled[HIST_COUNTS + 1];
    int64_t total = 0;
    int n = decode(p, size, filled, &total, e);
    if (n < 0)
        return -1;
    make_room(h, total);
    for (int i = 0; i < n; i++) {
        // decode() has filled n of them.
        // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
        count_at(h, filled[i].index, filled[i].count);
    }
    h->total = add_sat_i64(h->total, total);
    return 0;
}

int hist_check(const void *p, size_t n, struct err *e)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    return hist_decode_filled(p, n, filled, e) < 0 ? -1 : 0;
}
