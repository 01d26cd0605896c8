// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_input.h"

#include <check.h>

// Bytes that come in pieces from a place that each read overwrites, and are taken off in others:
// what is left is always what was not taken, in order.
START_TEST(test_what_is_left_is_in_one_piece_and_in_order)
{
    size_t piece = (size_t)_i % 7 + 1, taken = (size_t)_i / 7 + 1;
    struct http_input in = {0};
    char place[8];
    unsigned char next = 0, want = 0;
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < piece; i++)
            place[i] = (char)next++;
        http_input_add(&in, place, piece);
        size_t n = taken < in.n ? taken : in.n;
        bool same = true;
        for (size_t i = 0; i < in.n; i++)
            same = same && (unsigned char)in.p[i] == (unsigned char)(want + i);
        ck_assert(same);
        http_input_drain(&in, n);
        want = (unsigned char)(want + n);
        http_input_keep(&in);
        memset(place, 0xff, sizeof(place));
    }
    ck_assert_uint_eq((unsigned char)(want + in.n), next);
    http_input_free(&in);
}
END_TEST

START_TEST(test_memory_is_held_for_what_is_left_alone)
{
    struct http_input in = {0};
    http_input_keep(&in);
    http_input_drain(&in, 0);
    http_input_add(&in, "abc", 3);
    ck_assert_ptr_null(in.kept.p); // nothing was copied yet
    http_input_drain(&in, 1);
    http_input_keep(&in);
    ck_assert_uint_eq(in.kept.n, 2);
    http_input_add(&in, "de", 2);
    ck_assert(str_eq((struct str){in.p, in.n}, STR_LIT("bcde")));
    http_input_drain(&in, 4);
    http_input_keep(&in);
    ck_assert_ptr_null(in.kept.p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_input");
    TCase *t = tcase_create("http_input");
    tcase_add_loop_test(t, test_what_is_left_is_in_one_piece_and_in_order, 0, 7 * 8);
    tcase_add_test(t, test_memory_is_held_for_what_is_left_alone);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
