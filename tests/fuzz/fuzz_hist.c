// SPDX-License-Identifier: Apache-2.0
// The input five ways: as an encoding; as the payload of one whose header is right, so that
// mutations reach the counts; as the zlib stream of a compressed one; compressed, as what such a
// stream inflates to; and as durations to record, whose quantiles are held against the sorted list.
#include "tests/fuzz/fuzz.h"

#include "common/core/hist.h"

#include <math.h>

#define VALUES_MAX 256
#define HEADER_BYTES 40

static bool same_counts(const struct hist *a, const struct hist *b)
{
    struct hist_filled x[HIST_COUNTS + 1], y[HIST_COUNTS + 1];
    int n = hist_filled(a, x);
    if (n != hist_filled(b, y) || a->total != b->total)
        return false;
    for (int i = 0; i < n; i++)
        if (x[i].index != y[i].index || x[i].count != y[i].count)
            return false;
    return true;
}

static void check_total(const struct hist *h)
{
    uint64_t sum = 0;
    struct hist_filled filled[HIST_COUNTS + 1];
    for (int i = hist_filled(h, filled) - 1; i >= 0; i--)
        sum += (uint64_t)filled[i].count;
    FUZZ_CHECK(h->total >= 0 && sum == (uint64_t)h->total);
}

static void check_quantiles_rise(struct hist *h)
{
    h->max_us = HIST_MAX_US; // no part of the encoding
    int64_t before_us = 0;
    for (int i = 0; i <= 20; i++) {
        int64_t value_us = hist_quantile(h, i / 20.0);
        FUZZ_CHECK(value_us >= before_us && value_us <= HIST_MAX_US);
        before_us = value_us;
    }
}

static void check_round_trip(const struct hist *h)
{
    struct buf text = {0}, again = {0};
    struct hist back = {0};
    hist_encode(h, &text);
    FUZZ_CHECK(hist_decode_add(&back, text.p, text.n, NULL) == 0);
    FUZZ_CHECK(same_counts(h, &back));
    hist_encode(&back, &again);
    FUZZ_CHECK(again.n == text.n && memcmp(again.p, text.p, text.n) == 0);
    hist_clear(&back);
    buf_clear(&again);
    hist_compress((struct str){text.p, text.n}, &again);
    FUZZ_CHECK(hist_decode_add(&back, again.p, again.n, NULL) == 0);
    FUZZ_CHECK(same_counts(h, &back));
    hist_clear(&back);
    buf_free(&text);
    buf_free(&again);
}

// Into a histogram that holds something: what is refused must leave it as it was.
static void check_decoding(const void *p, size_t n)
{
    struct hist h = {0}, alone = {0}, before = {0};
    struct err e = {.offset = -2};
    hist_record(&before, 7);
    hist_record(&before, HIST_MAX_US);
    hist_record(&h, 7);
    hist_record(&h, HIST_MAX_US);
    bool taken = hist_check(p, n, &e) == 0;
    FUZZ_CHECK(taken == (hist_decode_add(&alone, p, n, &e) == 0));
    if (taken) {
        check_total(&alone);
        FUZZ_CHECK(alone.sum_us == 0 && alone.max_us == 0 && alone.clamped == 0);
        check_round_trip(&alone);
        FUZZ_CHECK(hist_decode_add(&h, p, n, &e) == 0);
        hist_add(&before, &alone);
        FUZZ_CHECK(same_counts(&h, &before));
        check_quantiles_rise(&alone);
    } else {
        FUZZ_CHECK(e.detail[0]);
        FUZZ_CHECK(alone.total == 0);
        FUZZ_CHECK(hist_decode_add(&h, p, n, &e) == -1);
        FUZZ_CHECK(same_counts(&h, &before) && h.sum_us == before.sum_us);
    }
    hist_clear(&h);
    hist_clear(&alone);
    hist_clear(&before);
}

static void check_as_payload(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    const struct hist empty = {0};
    hist_encode(&empty, &text);
    text.n = HEADER_BYTES;
    for (int i = 0; i < 4; i++)
        text.p[4 + i] = (char)(size >> (24 - 8 * i));
    buf_add(&text, data, size);
    check_decoding(text.p, text.n);
    buf_free(&text);
}

static void check_as_stream(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    buf_add(&text, "\x1c\x84\x93\x14", 4);
    for (int i = 0; i < 4; i++)
        buf_addc(&text, (char)(size >> (24 - 8 * i)));
    buf_add(&text, data, size);
    check_decoding(text.p, text.n);
    buf_free(&text);
}

// Compressed it means what it means plain.
static void check_compressed(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    struct hist plain = {0}, compressed = {0};
    bool nested = size >= 4 && memcmp(data, "\x1c\x84\x93\x14", 4) == 0;
    bool good = !nested && hist_decode_add(&plain, data, size, NULL) == 0;
    hist_compress((struct str){(const char *)data, size}, &text);
    FUZZ_CHECK((hist_decode_add(&compressed, text.p, text.n, NULL) == 0) == good);
    FUZZ_CHECK(same_counts(&plain, &compressed));
    hist_clear(&plain);
    hist_clear(&compressed);
    buf_free(&text);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void check_recording(const uint8_t *data, size_t size)
{
    int64_t values[VALUES_MAX];
    struct hist h = {0};
    int n = 0;
    int64_t sum_us = 0;
    for (; n < VALUES_MAX && (size_t)n + 1 <= size / 5; n++) {
        uint32_t bits;
        memcpy(&bits, data + 5 * n, sizeof(bits));
        values[n] = (int64_t)bits << data[5 * n + 4] % 5 >> data[5 * n + 4] % 32;
        hist_record(&h, values[n]);
        sum_us += values[n];
    }
    FUZZ_CHECK(h.total == n && h.sum_us == sum_us);
    check_total(&h);
    if (n > 0) {
        qsort(values, (size_t)n, sizeof(values[0]), compare);
        FUZZ_CHECK(h.max_us == values[n - 1]);
        for (int i = 0; i <= 16; i++) {
            int rank = (int)fmax(1, ceil(i / 16.0 * n));
            int64_t counted_us = min_i64(values[rank - 1], HIST_MAX_US);
            int64_t want_us = min_i64(hist_highest(hist_index(counted_us)), h.max_us);
            FUZZ_CHECK(hist_quantile(&h, i / 16.0) == want_us);
            FUZZ_CHECK(want_us >= counted_us && want_us - counted_us <= counted_us / 100);
        }
    }
    check_round_trip(&h);
    hist_clear(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_decoding(data, size);
    check_as_payload(data, size);
    check_as_stream(data, size);
    check_compressed(data, size);
    check_recording(data, size);
    return 0;
}
