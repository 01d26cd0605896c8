// SPDX-License-Identifier: Apache-2.0
#include "common/core/notice.h"

#include "common/core/timeunit.h"

struct range {
    int64_t first, last; // minutes since 1970
};

// What lies between range i and the one after it.
struct gap {
    int64_t minutes;
    size_t i;
};

static size_t text_bytes(int64_t n)
{
    size_t bytes = n < 0 ? 2 : 1;
    for (; n / 10 != 0; n /= 10)
        bytes++;
    return bytes;
}

static int compare_ranges(const void *a, const void *b)
{
    int64_t x = ((const struct range *)a)->first, y = ((const struct range *)b)->first;
    return (x > y) - (x < y);
}

static int compare_gaps(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    if (x->minutes != y->minutes)
        return x->minutes < y->minutes ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

// Makes one of those that touch, or whose gap is marked. Returns how many are left.
static size_t merge(struct range *v, size_t n, const bool *joined)
{
    size_t kept = 0;
    for (size_t i = 1; i < n; i++)
        if (v[i].first <= v[kept].last + 1 || (joined && joined[i - 1]))
            v[kept].last = v[i].last;
        else
            v[++kept] = v[i];
    return n ? kept + 1 : 0;
}

static size_t bytes_of(const struct range *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += (i > 0) + text_bytes(v[i].first) + 1 + text_bytes(v[i].last);
    return bytes;
}

// Closing a gap saves the two numbers beside it, a space and a minus, whichever others are closed.
static size_t shorten(struct range *v, size_t n, size_t bytes, size_t bytes_max)
{
    struct gap *gaps = xcalloc(n, sizeof(*gaps));
    bool *joined = xcalloc(n, sizeof(*joined));
    for (size_t i = 0; i + 1 < n; i++)
        gaps[i] = (struct gap){v[i + 1].first - v[i].last, i};
    qsort(gaps, n - 1, sizeof(*gaps), compare_gaps);
    for (size_t k = 0; bytes > bytes_max; k++) {
        assert(k + 1 < n);
        size_t i = gaps[k].i;
        bytes -= text_bytes(v[i].last) + text_bytes(v[i + 1].first) + 2;
        joined[i] = true;
    }
    n = merge(v, n, joined);
    free(joined);
    free(gaps);
    return n;
}

void notice_add_windows(struct buf *out, const int64_t *starts_us, size_t n, size_t bytes_max)
{
    assert(bytes_max >= NOTICE_RANGE_BYTES);
    struct range *v = xcalloc(n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i].first = v[i].last = time_floor_us(starts_us[i], US_PER_MIN) / US_PER_MIN;
    qsort(v, n, sizeof(*v), compare_ranges);
    n = merge(v, n, NULL);
    size_t bytes = bytes_of(v, n);
    if (bytes > bytes_max)
        n = shorten(v, n, bytes, bytes_max);
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%lld-%lld", i ? " " : "", (long long)v[i].first, (long long)v[i].last);
    free(v);
}
