// SPDX-License-Identifier: Apache-2.0
#include "common/core/gunzip.h"
#include "common/core/gzip.h"

#include <check.h>

static struct buf in, out, back;

static void setup(void)
{
    in = out = back = (struct buf){0};
}

static void teardown(void)
{
    buf_free(&in);
    buf_free(&out);
    buf_free(&back);
}

static void add_noise(size_t n)
{
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        buf_addc(&in, (char)(x >> 56));
    }
}

static void add_rows(size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(&in, "{\"tenant_id\":\"acme\",\"requests\":%zu},", i);
}

static void expect_round_trip(int level)
{
    struct gunzip *g = gunzip_new();
    struct err e;
    gzip_compress((struct str){in.p, in.n}, level, &out);
    ck_assert_int_eq(gunzip_all(g, (struct str){out.p, out.n}, 8 << 20, &back, &e), GUNZIP_DONE);
    ck_assert(str_eq((struct str){in.p, in.n}, (struct str){back.p, back.n}));
    gunzip_free(g);
}

// Around each size at which the window changes.
START_TEST(what_was_compressed_is_read_back)
{
    size_t size = (size_t)1 << _i;
    for (size_t n = size - 1; n <= size + 1; n++) {
        buf_clear(&in);
        add_noise(n);
        expect_round_trip(1);
        expect_round_trip(9);
        buf_clear(&in);
        add_rows(n / 32 + 1);
        in.n = n < in.n ? n : in.n;
        expect_round_trip(6);
    }
}
END_TEST

START_TEST(nothing_is_a_file_too)
{
    expect_round_trip(6);
    ck_assert_uint_eq(out.n, 20);
}
END_TEST

START_TEST(rows_become_much_smaller_and_what_cannot_be_hardly_larger)
{
    add_rows(10000);
    expect_round_trip(1);
    size_t quick = out.n;
    ck_assert_uint_lt(quick, in.n / 6);
    expect_round_trip(9);
    ck_assert_uint_lt(out.n, quick);
    buf_clear(&in);
    add_noise(100000);
    expect_round_trip(9);
    ck_assert_uint_lt(out.n, in.n + 100);
}
END_TEST

START_TEST(the_same_bytes_give_the_same_file_whatever_was_there_before)
{
    add_rows(100);
    gzip_compress((struct str){in.p, in.n}, 6, &out);
    gzip_compress((struct str){in.p, in.n}, 6, &back);
    ck_assert_uint_gt(out.n, 0);
    ck_assert(str_eq((struct str){out.p, out.n}, (struct str){back.p, back.n}));
    gzip_compress((struct str){in.p, in.n}, 6, &out);
    ck_assert(str_eq((struct str){out.p, out.n}, (struct str){back.p, back.n}));
    ck_assert_mem_eq(out.p + 4, "\0\0\0\0", 4); // no time
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gzip");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_was_compressed_is_read_back, 1, 18);
    tcase_add_test(tc, nothing_is_a_file_too);
    tcase_add_test(tc, rows_become_much_smaller_and_what_cannot_be_hardly_larger);
    tcase_add_test(tc, the_same_bytes_give_the_same_file_whatever_was_there_before);
    Suite *suite = suite_create("gzip");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
