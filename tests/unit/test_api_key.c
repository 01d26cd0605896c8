// SPDX-License-Identifier: Apache-2.0
#include "common/core/api_key.h"

#include <check.h>
#include <stdio.h>

static char key[API_KEY_LEN + 1];
static struct str text;

static void make_key(void)
{
    unsigned char random[API_KEY_RANDOM_BYTES];
    for (size_t i = 0; i < sizeof(random); i++)
        random[i] = (unsigned char)(i * 3);
    ck_assert_int_eq(api_key_make(random, key), 0);
    text = (struct str){key, API_KEY_LEN};
}

// The digits and the sum were computed with Python: zlib.crc32 and int division.
START_TEST(a_key_is_prefix_id_secret_and_sum)
{
    ck_assert_uint_eq(text.n, strlen(key));
    ck_assert_str_eq(key, "slk_0369CFILORUX_adgjmpsvy147ADGJMPSVYbehknqtwz258BEHKNQTWZc_3hZ0wf");
    ck_assert(api_key_is_well_formed(text));
}
END_TEST

START_TEST(bytes_that_would_bias_a_digit_are_skipped)
{
    unsigned char random[API_KEY_RANDOM_BYTES];
    memset(random, 255, sizeof(random));
    ck_assert_int_eq(api_key_make(random, key), -1);
    // 55 digits are needed: 25 bytes may be lost, 26 may not. 247 is the last that counts.
    memset(random, 247, 55);
    memset(random + 55, 248, sizeof(random) - 55);
    ck_assert_int_eq(api_key_make(random, key), 0);
    ck_assert_int_eq(key[4], 'z');
    random[54] = 248;
    ck_assert_int_eq(api_key_make(random, key), -1);
}
END_TEST

// Every single wrong character, wherever it stands: by the form or by the sum.
START_TEST(every_typing_error_is_seen)
{
    static const char others[] = "0aZ_-. \n";
    for (size_t i = 0; i < API_KEY_LEN; i++) {
        char right = key[i];
        for (const char *c = others; c == others || c[-1]; c++) { // NUL too
            key[i] = *c;
            ck_assert_msg(api_key_is_well_formed(text) == (*c == right), "%zu: %02x", i, *c);
        }
        key[i] = right;
    }
}
END_TEST

START_TEST(neighbours_that_change_places_are_seen)
{
    for (size_t i = 0; i + 1 < API_KEY_LEN; i++) {
        char a = key[i], b = key[i + 1];
        key[i] = b, key[i + 1] = a;
        ck_assert(api_key_is_well_formed(text) == (a == b));
        key[i] = a, key[i + 1] = b;
    }
}
END_TEST

START_TEST(a_key_of_another_length_is_none)
{
    char longer[API_KEY_LEN + 2];
    snprintf(longer, sizeof(longer), "%s0", key);
    ck_assert(!api_key_is_well_formed((struct str){longer, API_KEY_LEN + 1}));
    for (size_t n = 0; n < API_KEY_LEN; n++)
        ck_assert(!api_key_is_well_formed((struct str){key, n}));
    ck_assert(!api_key_is_well_formed((struct str){NULL, 0}));
}
END_TEST

START_TEST(the_hash_is_sha256_of_the_whole_text)
{
    // FIPS 180-2, appendix B.1.
    static const unsigned char want[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                         0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                         0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                         0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    unsigned char hash[API_KEY_HASH_BYTES];
    api_key_hash(STR_LIT("abc"), hash);
    ck_assert_mem_eq(hash, want, sizeof(want));
}
END_TEST

START_TEST(scopes_have_three_names)
{
    ck_assert_uint_eq(scope_of(STR_LIT("ingest")), SCOPE_INGEST);
    ck_assert_uint_eq(scope_of(STR_LIT("read")), SCOPE_READ);
    ck_assert_uint_eq(scope_of(STR_LIT("admin")), SCOPE_ADMIN);
    ck_assert_uint_eq(scope_of(STR_LIT("Admin")), 0);
    ck_assert_uint_eq(scope_of(STR_LIT("adm")), 0);
    ck_assert_uint_eq(scope_of(STR_LIT("")), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_key");
    TCase *tc = tcase_create("api_key");
    tcase_add_checked_fixture(tc, make_key, NULL);
    tcase_add_test(tc, a_key_is_prefix_id_secret_and_sum);
    tcase_add_test(tc, bytes_that_would_bias_a_digit_are_skipped);
    tcase_add_test(tc, every_typing_error_is_seen);
    tcase_add_test(tc, neighbours_that_change_places_are_seen);
    tcase_add_test(tc, a_key_of_another_length_is_none);
    tcase_add_test(tc, the_hash_is_sha256_of_the_whole_text);
    tcase_add_test(tc, scopes_have_three_names);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
