// SPDX-License-Identifier: Apache-2.0
// What is written, what is read, and what must not be.
#include "tests/unit/hist_case.h"

#include <zlib.h>

static size_t from_hex(const char *hex, unsigned char *out, size_t cap)
{
    size_t n = strlen(hex) / 2;
    ck_assert_uint_le(n, cap);
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return n;
}

// The header of our parameters in front of a payload given in hexadecimal.
static size_t with_header(const char *payload_hex, unsigned char *out, size_t cap)
{
    size_t n = from_hex("1c849313"
                        "00000000"
                        "00000000"
                        "00000002"
                        "0000000000000001"
                        "00000000d693a400"
                        "3ff0000000000000",
                        out, cap);
    size_t payload = from_hex(payload_hex, out + n, cap - n);
    out[6] = (unsigned char)(payload >> 8);
    out[7] = (unsigned char)payload;
    return n + payload;
}

// ---- encoding
// -------------------------------------------------------------------------------------

// Payloads made with org.HdrHistogram.Histogram 2.2.2 (Java), encodeIntoByteBuffer. `python` is
// what PyPI's hdrhistogram 0.10.8 writes for the same values, where it differs: a single zero is a
// run.
static const struct {
    const char *java, *python;
    struct {
        int64_t value;
        int64_t count;
    } recorded[8];
} golden[] = {
    {"00", "", {{0}}},
    {"02", NULL, {{0, 1}}},
    {"020002", "020102", {{0, 1}, {2, 1}}},
    {"0006f9030202f1039003890cc0b802a91f02",
     "0106f9030202f1039003890cc0b802a91f02",
     {{1, 3}, {255, 1}, {256, 1}, {1000, 200}, {65536, 20000}, {HIST_MAX_US, 1}}},
    {"020002f7030202f1039003890cc0b802a91f02",
     "020102f7030202f1039003890cc0b802a91f02",
     {{0, 1}, {2, 1}, {255, 1}, {256, 1}, {1000, 200}, {65536, 20000}, {HIST_MAX_US, 1}}},
};

static void record_golden(struct hist *h, int which)
{
    for (size_t i = 0; i < ARRAY_LEN(golden[0].recorded); i++) {
        for (int64_t n = golden[which].recorded[i].count; n > 0; n--)
            hist_record(h, golden[which].recorded[i].value);
    }
}

START_TEST(encodes_byte_for_byte_as_java)
{
    unsigned char want[256];
    size_t n = with_header(golden[_i].java, want, sizeof(want));
    struct hist h = {0};
    struct buf got = {0};
    record_golden(&h, _i);
    buf_adds(&got, "before"); // appended, not overwritten
    hist_encode(&h, &got);
    ck_assert_uint_eq(got.n, 6 + n);
    ck_assert_mem_eq(got.p, "before", 6);
    ck_assert_mem_eq(got.p + 6, want, n);
    buf_free(&got);
    hist_clear(&h);
}
END_TEST

START_TEST(decodes_what_other_libraries_write)
{
    const char *forms[] = {golden[_i].java, golden[_i].python};
    struct hist want = {0};
    record_golden(&want, _i);
    for (size_t i = 0; i < ARRAY_LEN(forms) && forms[i]; i++) {
        unsigned char bytes[256];
        size_t n = with_header(forms[i], bytes, sizeof(bytes));
        struct hist h = {.sum_us = want.sum_us, .max_us = want.max_us};
        struct err e;
        ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0);
        assert_same(&h, &want);
        hist_clear(&h);
    }
    hist_clear(&want);
}
END_TEST

START_TEST(decoding_adds_and_leaves_what_is_not_encoded)
{
    random_state = (uint64_t)_i + 200;
    struct hist a = {0}, b = {0}, sum = {0};
    record_random(&a, NULL, (int)(random_u64() % 400));
    record_random(&b, NULL, (int)(random_u64() % 400));
    hist_add(&sum, &a);
    hist_add(&sum, &b);
    struct buf bytes = {0};
    struct err e;
    hist_encode(&b, &bytes);
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hist_decode_filled(bytes.p, bytes.n, filled, &e), at = 0;
    for (int i = 0; i < HIST_COUNTS; i++) {
        if (count_of(&b, i) == 0)
            continue;
        ck_assert_int_eq(filled[at].index, i);
        ck_assert_int_eq(filled[at++].count, count_of(&b, i));
    }
    ck_assert_int_eq(n, at);
    int64_t sum_us = a.sum_us, max_us = a.max_us, clamped = a.clamped;
    ck_assert_int_eq(hist_decode_add(&a, bytes.p, bytes.n, &e), 0);
    ck_assert_int_eq(a.sum_us, sum_us);
    ck_assert_int_eq(a.max_us, max_us);
    ck_assert_int_eq(a.clamped, clamped);
    a.sum_us = sum.sum_us;
    a.max_us = sum.max_us;
    a.clamped = sum.clamped;
    assert_same(&a, &sum);
    buf_free(&bytes);
    hist_clear(&a);
    hist_clear(&b);
    hist_clear(&sum);
}
END_TEST

START_TEST(the_compressed_form_inflates_to_the_plain_one)
{
    random_state = 3;
    struct hist h = {0};
    record_random(&h, NULL, 1000);
    struct buf plain = {0}, compressed = {0};
    hist_encode(&h, &plain);
    buf_adds(&compressed, "before");
    hist_compress((struct str){plain.p, plain.n}, &compressed);
    const unsigned char *p = (const unsigned char *)compressed.p + 6;
    static const unsigned char cookie[] = {0x1c, 0x84, 0x93, 0x14};
    ck_assert_mem_eq(p, cookie, 4);
    size_t length = (size_t)p[4] << 24 | (size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7];
    ck_assert_uint_eq(length, compressed.n - 6 - 8);
    ck_assert_uint_lt(compressed.n, plain.n);
    unsigned char inflated[65536];
    uLongf n = sizeof(inflated);
    ck_assert_int_eq(uncompress(inflated, &n, p + 8, length), Z_OK);
    ck_assert_uint_eq(n, plain.n);
    ck_assert_mem_eq(inflated, plain.p, n);
    buf_free(&plain);
    buf_free(&compressed);
    hist_clear(&h);
}
END_TEST

// ---- what must not be decoded
// ---------------------------------------------------------------------

static void refuse(const unsigned char *bytes, size_t n)
{
    struct hist h = {0}, before = {0};
    hist_record(&h, 77);
    hist_record(&before, 77);
    struct err e = {.detail = ""};
    ck_assert_int_eq(hist_check(bytes, n, &e), -1);
    ck_assert_str_ne(e.detail, "");
    e = (struct err){.detail = ""};
    ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), -1);
    ck_assert_str_ne(e.detail, "");
    assert_same(&h, &before);
    hist_clear(&h);
    hist_clear(&before);
}

static void take(const unsigned char *bytes, size_t n, int64_t total)
{
    struct hist h = {0};
    struct err e = {.detail = ""};
    ck_assert_int_eq(hist_check(bytes, n, NULL), 0);
    ck_assert_msg(hist_decode_add(&h, bytes, n, &e) == 0, "%s", e.detail);
    ck_assert_int_eq(h.total, total);
    hist_clear(&h);
}

static const char *const bad_payloads[] = {
    "80",               // ends within a number
    "0280",             // the same, after a good one
    "ffffffffffffffff", // eight bytes of nine
    "8134",             // 3,329 zeros: one too many
    "ff33"
    "02",                 // all counts zero, then one more
    "ffffffffffffffffff", // a run of 2^63 zeros
    "fdffffffffffffffff", // a run of 2^63 - 1
    "feffffffffffffffff"
    "02", // INT64_MAX, and one more: overflow
    "ad33"
    "02", // a value above an hour
};

START_TEST(refuses_a_bad_payload_and_changes_nothing)
{
    unsigned char bytes[256];
    size_t n = with_header(bad_payloads[_i], bytes, sizeof(bytes));
    refuse(bytes, n);
}
END_TEST

START_TEST(takes_what_is_just_within_the_limits)
{
    static const char *const good[] = {"ff33", "feffffffffffffffff", "",
                                       "ab33"
                                       "02",
                                       "80"
                                       "00"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        unsigned char bytes[256];
        size_t n = with_header(good[i], bytes, sizeof(bytes));
        struct hist h = {0};
        struct err e;
        ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0);
        hist_clear(&h);
    }
}
END_TEST

// But for the offset.
START_TEST(refuses_any_other_header)
{
    unsigned char bytes[256];
    size_t n = with_header("0206", bytes, sizeof(bytes));
    for (size_t i = 0; i < 40; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            if (i < 8 || i > 11)
                refuse(bytes, n);
            else
                take(bytes, n, 4);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
}
END_TEST

START_TEST(refuses_a_cut_or_lengthened_encoding)
{
    unsigned char bytes[256] = {0};
    size_t n = with_header(golden[3].java, bytes, sizeof(bytes) - 1);
    for (size_t cut = 0; cut < n; cut++)
        refuse(bytes, cut);
    refuse(bytes, n + 1);
}
END_TEST

// What hdr-histogram-js 3.0.1 (npm) writes for 0, 2 and 200 times 1000: an offset of 1, of which
// nothing hangs, and the ratio as an integer.
START_TEST(takes_the_header_of_the_javascript_library)
{
    unsigned char bytes[256];
    size_t n = from_hex("1c849313000000070000000100000002000000000000000100000000d693a400"
                        "0000000000000001020002ed079003",
                        bytes, sizeof(bytes));
    struct hist h = {0};
    struct err e;
    ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0);
    ck_assert_int_eq(h.total, 202);
    ck_assert_int_eq(count_of(&h, 0), 1);
    ck_assert_int_eq(count_of(&h, 2), 1);
    ck_assert_int_eq(count_of(&h, hist_index(1000)), 200);
    hist_clear(&h);
}
END_TEST

// ---- the compressed form
// --------------------------------------------------------------------------

static size_t compressed(const char *payload, unsigned char *out, size_t room)
{
    unsigned char plain[256];
    struct buf b = {0};
    hist_compress((struct str){(const char *)plain, with_header(payload, plain, sizeof(plain))},
                  &b);
    ck_assert_uint_le(b.n, room);
    memcpy(out, b.p, b.n);
    size_t n = b.n;
    buf_free(&b);
    return n;
}

START_TEST(decodes_the_compressed_form_as_the_plain_one)
{
    unsigned char plain[256], bytes[256];
    size_t plain_n = with_header(golden[_i].java, plain, sizeof(plain));
    size_t n = compressed(golden[_i].java, bytes, sizeof(bytes));
    struct hist h = {0}, want = {0};
    struct err e;
    ck_assert_int_eq(hist_decode_add(&want, plain, plain_n, &e), 0);
    ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0);
    assert_same(&h, &want);
    ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0); // added
    ck_assert_int_eq(h.total, 2 * want.total);
    hist_clear(&h);
    hist_clear(&want);
}
END_TEST

// The longest encoding there is, of counts that no compression shortens.
START_TEST(the_greatest_histogram_goes_there_and_back)
{
    random_state = 11;
    struct hist h = {0}, back = {0};
    const int used = hist_index(HIST_MAX_US) + 1;
    make_counts(&h);
    for (int i = 0; i < used; i++) {
        hist_record(&h, hist_lowest(i));
        h.chunk[i / HIST_CHUNK][i % HIST_CHUNK] = random_u64() >> 13 | UINT64_C(1) << 50;
        h.total += (int64_t)h.chunk[i / HIST_CHUNK][i % HIST_CHUNK] - 1;
    }
    h.total = add_sat_i64(0, h.total);
    struct buf plain = {0}, bytes = {0};
    struct err e = {0};
    hist_encode(&h, &plain);
    hist_compress((struct str){plain.p, plain.n}, &bytes);
    ck_assert_uint_gt(plain.n, (size_t)(used * 8));
    ck_assert_msg(hist_decode_add(&back, bytes.p, bytes.n, &e) == 0, "%s", e.detail);
    back.sum_us = h.sum_us;
    back.max_us = h.max_us;
    assert_same(&back, &h);
    hist_clear(&h);
    hist_clear(&back);
    buf_free(&plain);
    buf_free(&bytes);
}
END_TEST

static struct buf zlib_of(const void *p, size_t n)
{
    struct buf b = {0};
    uLongf room = compressBound(n);
    static const unsigned char cookie[] = {0x1c, 0x84, 0x93, 0x14};
    buf_add(&b, cookie, sizeof(cookie));
    buf_reserve(&b, 4 + room);
    ck_assert_int_eq(compress((Bytef *)b.p + 8, &room, p, n), Z_OK);
    for (int i = 0; i < 4; i++)
        b.p[4 + i] = (char)(room >> (24 - 8 * i));
    b.n = 8 + room;
    return b;
}

// A header of the greatest size that there is and counts of zero behind it, and one byte more.
START_TEST(inflates_no_further_than_the_longest_encoding)
{
    const size_t most = 40 + 3328 * 9;
    unsigned char *plain = xcalloc(1, most + 1);
    with_header("", plain, 40);
    for (size_t more = 0; more < 2; more++) {
        size_t payload = most + more - 40;
        for (int i = 0; i < 4; i++)
            plain[4 + i] = (unsigned char)(payload >> (24 - 8 * i));
        struct hist h = {0};
        struct err e = {0};
        struct buf b = zlib_of(plain, most + more);
        ck_assert_int_eq(hist_decode_add(&h, b.p, b.n, &e), -1);
        // The first is read, and counts beyond its range.
        ck_assert_msg((strstr(e.detail, "inflate") != NULL) == (more == 1), "%s", e.detail);
        hist_clear(&h);
        buf_free(&b);
    }
    free(plain);
    void *zeros = xcalloc(1, 40 << 20);
    struct buf bomb = zlib_of(zeros, 40 << 20);
    ck_assert_uint_lt(bomb.n, 59000);
    refuse((const unsigned char *)bomb.p, bomb.n);
    buf_free(&bomb);
    free(zeros);
}
END_TEST

// Some bits of a zlib stream can be flipped and it inflates to the same; its checksum sees to that.
static void refused_or_the_same(unsigned char *bytes, size_t n)
{
    struct hist want = {0};
    struct err e;
    ck_assert_int_eq(hist_decode_add(&want, bytes, n, &e), 0);
    int refused = 0;
    for (size_t i = 0; i < 8 * n; i++) {
        struct hist h = {0};
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        if (hist_decode_add(&h, bytes, n, &e) == 0)
            assert_same(&h, &want);
        else
            refused++;
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        hist_clear(&h);
    }
    ck_assert_int_gt(refused, (int)(8 * n - 16));
    hist_clear(&want);
}

START_TEST(refuses_a_compressed_form_that_is_cut_lengthened_or_changed)
{
    unsigned char bytes[256] = {0};
    size_t n = compressed(golden[3].java, bytes, sizeof(bytes) - 1);
    for (size_t cut = 0; cut < n; cut++)
        refuse(bytes, cut);
    refuse(bytes, n + 1);
    for (size_t longer = 1; longer < 3; longer++) { // and the length says so
        bytes[7] = (unsigned char)(n - 8 + longer);
        refuse(bytes, n + longer);
        bytes[7] = (unsigned char)(n - 8 - longer);
        refuse(bytes, n - longer);
    }
    bytes[7] = (unsigned char)(n - 8);
    refused_or_the_same(bytes, n);
    unsigned char *huge = xcalloc(1, 1 << 20);
    memcpy(huge, bytes, n);
    refuse(huge, 1 << 20);
    free(huge);
}
END_TEST

START_TEST(a_compressed_form_within_another_is_refused)
{
    unsigned char bytes[256];
    size_t n = compressed(golden[3].java, bytes, sizeof(bytes));
    struct buf twice = {0};
    hist_compress((struct str){(const char *)bytes, n}, &twice);
    refuse((const unsigned char *)twice.p, twice.n);
    buf_free(&twice);
}
END_TEST

START_TEST(counts_saturate_instead_of_wrapping)
{
    unsigned char bytes[256];
    size_t n = with_header("02"
                           "feffffffffffffff7f",
                           bytes, sizeof(bytes));
    struct hist h = {0};
    struct err e;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(hist_decode_add(&h, bytes, n, &e), 0);
    ck_assert_int_eq(h.total, INT64_MAX);
    ck_assert_int_eq(count_of(&h, 1), INT64_MAX);
    struct buf out = {0};
    hist_encode(&h, &out); // still within the format
    ck_assert_uint_eq(out.n, 40 + 1 + 9);
    h.max_us = 1;
    ck_assert_int_eq(hist_quantile(&h, 1), 1);
    buf_free(&out);
    hist_clear(&h);
}
END_TEST

START_TEST(survives_any_bytes)
{
    random_state = (uint64_t)_i + 300;
    struct hist h = {0};
    struct err e;
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[128];
        size_t n = with_header("", bytes, sizeof(bytes));
        size_t payload = random_u64() % (sizeof(bytes) - n);
        for (size_t i = 0; i < payload; i++)
            bytes[n + i] = (unsigned char)random_u64();
        bytes[7] = (unsigned char)payload;
        int64_t before = h.total;
        int rc = hist_decode_add(&h, bytes, n + payload, &e);
        ck_assert(rc == 0 || h.total == before);
    }
    hist_clear(&h);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_loop_test(tc, encodes_byte_for_byte_as_java, 0, ARRAY_LEN(golden));
    tcase_add_loop_test(tc, decodes_what_other_libraries_write, 0, ARRAY_LEN(golden));
    tcase_add_loop_test(tc, decoding_adds_and_leaves_what_is_not_encoded, 0, 20);
    tcase_add_test(tc, the_compressed_form_inflates_to_the_plain_one);
    tcase_add_loop_test(tc, refuses_a_bad_payload_and_changes_nothing, 0, ARRAY_LEN(bad_payloads));
    tcase_add_test(tc, takes_what_is_just_within_the_limits);
    tcase_add_test(tc, refuses_any_other_header);
    tcase_add_test(tc, refuses_a_cut_or_lengthened_encoding);
    tcase_add_test(tc, takes_the_header_of_the_javascript_library);
    tcase_add_loop_test(tc, decodes_the_compressed_form_as_the_plain_one, 0, ARRAY_LEN(golden));
    tcase_add_test(tc, the_greatest_histogram_goes_there_and_back);
    tcase_add_test(tc, inflates_no_further_than_the_longest_encoding);
    tcase_add_test(tc, refuses_a_compressed_form_that_is_cut_lengthened_or_changed);
    tcase_add_test(tc, a_compressed_form_within_another_is_refused);
    tcase_add_test(tc, counts_saturate_instead_of_wrapping);
    tcase_add_loop_test(tc, survives_any_bytes, 0, 5);
}

int main(void)
{
    TCase *tc = tcase_create("hist_encoding");
    add_tests(tc);
    Suite *suite = suite_create("hist_encoding");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
