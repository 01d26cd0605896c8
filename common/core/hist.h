// SPDX-License-Identifier: Apache-2.0
// A histogram of durations in µs: HdrHistogram's bucket layout with 2 significant digits over 1 µs
// to 1 h (3,328 counts, error at most 1 %). What is recorded is a list of buckets at first, since
// most series see few values between two flushes; what is more, or added up of several, are counts,
// in chunks of one power of two each that are made when first used.
//
// Format and index mathematics: HdrHistogram V2 (HdrHistogram_c, org.HdrHistogram.Histogram).
// Zero is counted in the bucket of value 0; values above HIST_MAX_US are counted at HIST_MAX_US and
// in `clamped`. `sum_us` and `max_us` are exact, also for clamped values, and are no part of the
// encoding: they travel beside it.
#ifndef STREAMLENS_HIST_H
#define STREAMLENS_HIST_H

#include "common/core/buf.h"
#include "common/core/err.h"

#define HIST_MAX_US INT64_C(3600000000)
#define HIST_COUNTS 3328
#define HIST_CHUNK 128
#define HIST_CHUNKS (HIST_COUNTS / HIST_CHUNK)
#define HIST_FEW 15 // so that the struct has 80 bytes
#define HIST_LISTED_MAX 256

struct hist {
    int64_t total;          // values recorded
    int64_t clamped;        // of them above HIST_MAX_US
    int64_t sum_us, max_us; // exact; the sum saturates at INT64_MAX
    uint64_t **chunk; // owned: HIST_CHUNKS of them, each owned and NULL where all its counts are
                      // zero. NULL while the values are listed.
    uint16_t *more;   // owned: the list once it is longer than `few`
    uint16_t few[HIST_FEW]; // the bucket of each value, in no order
    uint16_t listed;        // how many the list has
};

// A zeroed struct hist is empty and valid.
void hist_record(struct hist *h, int64_t value_us); // value_us >= 0
void hist_add(struct hist *into, const struct hist *from);
void hist_clear(struct hist *h);         // frees the chunks; the struct is empty and valid again
size_t hist_bytes(const struct hist *h); // what hist_clear would free

// The value at quantile q (0 to 1): rank ⌈q·n⌉ (at least 1), highest equivalent value of its
// bucket, never above max_us. 0 where the histogram is empty.
int64_t hist_quantile(const struct hist *h, double q);
// The same for several at once, in ascending order.
void hist_quantiles(const struct hist *h, const double *q, size_t n, int64_t *out);
// That rank, of n >= 1 values.
uint64_t hist_rank(double q, int64_t n);

// The buckets that are not zero, ascending: how many.
struct hist_filled {
    int64_t count; // above 0
    int32_t index;
};
int hist_filled(const struct hist *h, struct hist_filled out[HIST_COUNTS + 1]);

// Index mathematics, for tests and other readers.
int hist_index(int64_t value_us); // 0 <= value_us <= HIST_MAX_US
int64_t hist_lowest(int index);   // lowest value that falls into the bucket
int64_t hist_highest(int index);  // highest equivalent value

// V2 encoding, uncompressed (cookie 0x1c849313), appended to out. An empty histogram encodes too.
void hist_encode(const struct hist *h, struct buf *out);
// The compressed form (cookie 0x1c849314, zlib) of an uncompressed encoding, appended to out.
void hist_compress(struct str plain, struct buf *out);
// Reads a V2 encoding of either form with our parameters (1 to 3,600,000,000, 2 digits), whoever
// wrote it, and *adds* the counts into h; sum_us, max_us and clamped are left as they were. Any
// other input: -1, h unchanged.
int hist_decode_add(struct hist *h, const void *p, size_t n, struct err *e) MUST_CHECK;
// The same as a list: the buckets that are not zero, ascending; how many, at most HIST_COUNTS.
// (There is room for one more, since where the next one goes is always written.)
int hist_decode_filled(const void *p, size_t n, struct hist_filled out[HIST_COUNTS + 1],
                       struct err *e) MUST_CHECK;
// Whether that would add it: 0 or -1 alike.
int hist_check(const void *p, size_t n, struct err *e) MUST_CHECK;

#endif
