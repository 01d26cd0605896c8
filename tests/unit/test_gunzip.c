// SPDX-License-Identifier: Apache-2.0
#include "common/core/gunzip.h"

#include <check.h>
#define ZLIB_CONST
#include <zlib.h>

#define PLENTY ((size_t)64 << 20)

static struct gunzip *g;
static struct buf in, out;
static struct err e;

static void setup(void)
{
    g = gunzip_new();
    in = out = (struct buf){0};
    e = (struct err){.offset = -2};
}

static void teardown(void)
{
    gunzip_free(g);
    buf_free(&in);
    buf_free(&out);
}

// Adds the bytes to `in`, in a form that window_bits chooses: 31 is gzip.
static void add_deflated(const void *p, size_t n, int window_bits, gz_header *header)
{
    z_stream z = {.next_in = p, .avail_in = (uInt)n};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (header)
        ck_assert_int_eq(deflateSetHeader(&z, header), Z_OK);
    size_t most = deflateBound(&z, (uLong)n) + (header ? header->extra_len : 0);
    buf_reserve(&in, most);
    z.next_out = (Bytef *)in.p + in.n;
    z.avail_out = (uInt)most;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    in.n += most - z.avail_out;
    deflateEnd(&z);
}

static void add_gzip(const void *p, size_t n)
{
    add_deflated(p, n, 31, NULL);
}

static void add_zeros(size_t n)
{
    char *zeros = xcalloc(n, 1);
    add_gzip(zeros, n);
    free(zeros);
}

// Bytes that do not compress.
static char *noise(size_t n)
{
    char *p = xmalloc(n);
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (char)(x >> 56);
    }
    return p;
}

// Of a copy of exactly that size, so that a sanitizer sees a read behind the end.
static enum gunzip_result inflate_within(size_t max_out)
{
    char *copy = xmemdup(in.n > 0 ? in.p : "", in.n);
    enum gunzip_result result = gunzip_all(g, (struct str){copy, in.n}, max_out, &out, &e);
    free(copy);
    return result;
}

static void expect_out(const void *p, size_t n)
{
    ck_assert_msg(inflate_within(PLENTY) == GUNZIP_DONE, "%s", e.detail);
    ck_assert_uint_eq(out.n, n);
    ck_assert(n == 0 || memcmp(out.p, p, n) == 0);
}

static void expect_corrupt(const char *why)
{
    ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_CORRUPT);
    ck_assert_msg(strstr(e.detail, why), "\"%s\" and not \"%s\"", e.detail, why);
    ck_assert(e.offset >= 0 && e.offset <= (int64_t)in.n);
}

START_TEST(gives_back_what_was_compressed)
{
    const size_t sizes[] = {0, 1, 100, 255, 256, 257, 65536, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *p = noise(sizes[i]);
        buf_clear(&in);
        add_gzip(p, sizes[i]);
        expect_out(p, sizes[i]);
        free(p);
    }
}
END_TEST

START_TEST(members_follow_each_other)
{
    add_gzip("ab", 2);
    add_gzip("", 0);
    add_gzip("cd", 2);
    expect_out("abcd", 4);
}
END_TEST

START_TEST(headers_may_hold_all_that_they_can)
{
    gz_header header = {.text = 1,
                        .time = 1,
                        .os = 3,
                        .extra = (Bytef[]){'a', 'b', 1, 0, 'x'},
                        .extra_len = 5,
                        .name = (Bytef *)(char[]){"events.json"},
                        .comment = (Bytef *)(char[]){"none"},
                        .hcrc = 1};
    add_deflated("ab", 2, 31, &header);
    expect_out("ab", 2);
    in.p[14] ^= 1; // in the extra field, which only the header's CRC covers
    expect_corrupt("header crc mismatch");
}
END_TEST

START_TEST(other_formats_are_refused)
{
    expect_corrupt("it is empty");
    add_deflated("ab", 2, 15, NULL); // zlib's
    expect_corrupt("incorrect header check");
    buf_clear(&in);
    add_deflated("ab", 2, -15, NULL); // raw
    expect_corrupt("incorrect header check");
    buf_clear(&in);
    buf_adds(&in, "{\"request_id\":\"r\"}");
    expect_corrupt("incorrect header check");
    buf_clear(&in);
    add_gzip("ab", 2);
    in.p[2] = 7; // the method
    expect_corrupt("unknown compression method");
    in.p[2] = 8;
    in.p[3] = (char)0x80; // a flag that nobody has defined
    expect_corrupt("unknown header flags set");
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    add_gzip("abcabcabc", 9);
    add_gzip("def", 3);
    size_t whole = in.n;
    add_gzip("", 0);
    size_t first = 0;
    for (in.n = 0; in.n < whole; in.n++) {
        if (inflate_within(PLENTY) != GUNZIP_DONE)
            ck_assert_str_ne(e.detail, "");
        else if (first++ == 0) // the first member alone is a file
            ck_assert_uint_eq(out.n, 9);
    }
    ck_assert_uint_eq(first, 1);
    in.n = whole - 1;
    expect_corrupt("ends too soon");
}
END_TEST

START_TEST(every_bit_of_the_check_counts)
{
    add_gzip("abcabcabc", 9);
    for (size_t bit = 0; bit < 64; bit++) {
        char *byte = &in.p[in.n - 8 + bit / 8];
        *byte = (char)(*byte ^ (1 << bit % 8));
        expect_corrupt(bit < 32 ? "incorrect data check" : "incorrect length check");
        *byte = (char)(*byte ^ (1 << bit % 8));
    }
    expect_out("abcabcabc", 9);
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
    static const struct str junk[] = {STR_LIT("\0"),       STR_LIT("\n"),
                                      STR_LIT("\0\0\0\0"), STR_LIT("\x1f"),
                                      STR_LIT("junk"),     STR_LIT("\x1f\x8c\x08\0\0\0\0\0")};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        buf_clear(&in);
        add_gzip("ab", 2);
        size_t end = in.n;
        buf_add(&in, junk[i].p, junk[i].n);
        expect_corrupt("other bytes follow its end");
        ck_assert_int_eq(e.offset, (int64_t)end);
    }
}
END_TEST

START_TEST(the_output_is_at_most_as_large_as_said)
{
    const size_t n = 5000;
    char *p = noise(n);
    add_gzip(p, n / 2);
    add_gzip(p + n / 2, n / 2);
    ck_assert_int_eq(inflate_within(n), GUNZIP_DONE);
    ck_assert_uint_eq(out.n, n);
    ck_assert_int_eq(inflate_within(n - 1), GUNZIP_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(e.detail, "4999 bytes"));
    ck_assert_int_eq(inflate_within(1), GUNZIP_TOO_LARGE);
    buf_free(&out); // also where the room is to be found yet
    ck_assert_int_eq(inflate_within(n - 1), GUNZIP_TOO_LARGE);
    ck_assert_uint_lt(out.cap, 2 * n);
    free(p);
}
END_TEST

START_TEST(the_ratio_is_bounded)
{
    add_zeros(GUNZIP_FREE_BYTES); // a ratio of 1000, of what is granted to all
    ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_DONE);
    buf_clear(&in);
    add_zeros(GUNZIP_FREE_BYTES + 1);
    ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_TOO_DENSE);
    ck_assert_ptr_nonnull(strstr(e.detail, "256 times"));
    ck_assert_int_eq(inflate_within(GUNZIP_FREE_BYTES), GUNZIP_TOO_LARGE);
}
END_TEST

// An empty member, that many bytes larger than it must be.
static void add_padding(size_t n)
{
    Bytef *zeros = xcalloc(n, 1);
    gz_header header = {.extra = zeros, .extra_len = (uInt)n};
    add_deflated("", 0, 31, &header);
    free(zeros);
}

START_TEST(the_ratio_holds_to_the_byte)
{
    const size_t n = 4 << 20;
    add_zeros(n);
    size_t zeros_n = in.n;
    add_padding(1);
    size_t padding = n / GUNZIP_MAX_RATIO - (in.n - 1);
    for (size_t less = 0; less <= 1; less++) {
        in.n = zeros_n;
        add_padding(padding - less);
        ck_assert_uint_eq(in.n, n / GUNZIP_MAX_RATIO - less);
        ck_assert_int_eq(inflate_within(PLENTY), less ? GUNZIP_TOO_DENSE : GUNZIP_DONE);
    }
}
END_TEST

START_TEST(the_ratio_is_that_of_all_members)
{
    const size_t n = 4 << 20;
    char *p = noise(n / GUNZIP_MAX_RATIO);
    add_zeros(n);
    ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_TOO_DENSE);
    add_gzip(p, n / GUNZIP_MAX_RATIO);
    ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_DONE);
    ck_assert_uint_eq(out.n, n + n / GUNZIP_MAX_RATIO);
    free(p);
}
END_TEST

START_TEST(a_bomb_costs_no_more_room_than_the_limit)
{
    add_zeros(32 << 20);
    ck_assert_int_eq(inflate_within(1 << 20), GUNZIP_TOO_LARGE);
    ck_assert_uint_le(out.cap, 2 << 20);
}
END_TEST

START_TEST(one_body_leaves_nothing_in_the_next)
{
    add_gzip("ab", 2);
    for (size_t cut = 1; cut <= in.n; cut++) {
        in.n -= cut;
        ck_assert_int_eq(inflate_within(PLENTY), GUNZIP_CORRUPT);
        in.n += cut;
        expect_out("ab", 2);
    }
}
END_TEST

START_TEST(the_room_is_kept)
{
    char *p = noise(100000);
    add_gzip(p, 100000);
    expect_out(p, 100000);
    const char *room = out.p;
    for (int i = 0; i < 3; i++) {
        expect_out(p, 100000);
        ck_assert_ptr_eq(out.p, room);
    }
    free(p);
    gunzip_free(NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gunzip");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, gives_back_what_was_compressed);
    tcase_add_test(tc, members_follow_each_other);
    tcase_add_test(tc, headers_may_hold_all_that_they_can);
    tcase_add_test(tc, other_formats_are_refused);
    tcase_add_test(tc, every_prefix_is_refused);
    tcase_add_test(tc, every_bit_of_the_check_counts);
    tcase_add_test(tc, bytes_behind_the_end_are_refused);
    tcase_add_test(tc, the_output_is_at_most_as_large_as_said);
    tcase_add_test(tc, the_ratio_is_bounded);
    tcase_add_test(tc, the_ratio_holds_to_the_byte);
    tcase_add_test(tc, the_ratio_is_that_of_all_members);
    tcase_add_test(tc, a_bomb_costs_no_more_room_than_the_limit);
    tcase_add_test(tc, one_body_leaves_nothing_in_the_next);
    tcase_add_test(tc, the_room_is_kept);
    Suite *suite = suite_create("gunzip");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
