// SPDX-License-Identifier: Apache-2.0
#include "common/core/hash.h"

#include <check.h>

// What Kafka's own unit test of its Java client expects.
static const struct {
    const char *key;
    int32_t hash;
} java_vectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

START_TEST(murmur2_is_that_of_the_java_client)
{
    struct str key = str_of(java_vectors[_i].key);
    ck_assert_int_eq((int32_t)hash_murmur2(key.p, key.n), java_vectors[_i].hash);
}
END_TEST

// Bytes above 127 are where a signed char would show.
START_TEST(murmur2_takes_bytes_as_unsigned_in_every_tail)
{
    static const unsigned char bytes[] = {0xff, 0x80, 0xfe, 0x81, 0xfd, 0x82, 0xfc};
    // Made with Kafka 4.1.1's org.apache.kafka.common.utils.Utils.murmur2.
    static const uint32_t want[] = {0x106e08d9, 0xed6f615b, 0xe59b9490, 0x390b8ddd,
                                    0xb08380c4, 0xe1ff7b6f, 0x93576152, 0x6f486197};
    for (size_t n = 0; n <= sizeof(bytes); n++)
        ck_assert_uint_eq(hash_murmur2(bytes, n), want[n]);
}
END_TEST

START_TEST(a_key_goes_to_the_partition_that_the_java_client_would_take)
{
    ck_assert_int_eq(hash_partition(STR_LIT("abc"), 12), 3);
    // A negative hash loses its sign bit, it is not made absolute.
    ck_assert_int_eq(hash_partition(STR_LIT("21"), 12), 0);
    for (int32_t n = 1; n <= 1000; n++) {
        int32_t partition = hash_partition(STR_LIT("foobar"), n);
        ck_assert_int_ge(partition, 0);
        ck_assert_int_lt(partition, n);
    }
}
END_TEST

START_TEST(keyed_hashes_depend_on_the_seed_and_on_nothing_else)
{
    struct hash_key a, same, other;
    hash_key_init(&a, "seed", 4);
    hash_key_init(&same, "seed", 4);
    hash_key_init(&other, "seec", 4);
    ck_assert_mem_eq(a.secret, same.secret, sizeof(a.secret));
    char text[600];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    // XXH3 has a way of its own for each of these ranges of length.
    static const size_t lengths[] = {0, 1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 600};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t n = lengths[i];
        struct hash128 h = hash_keyed128(&a, text, n), h_other = hash_keyed128(&other, text, n);
        struct hash128 h_same = hash_keyed128(&same, text, n);
        ck_assert_uint_eq(hash_keyed64(&a, text, n), hash_keyed64(&same, text, n));
        ck_assert_uint_ne(hash_keyed64(&a, text, n), hash_keyed64(&other, text, n));
        ck_assert(h.hi == h_same.hi && h.lo == h_same.lo);
        ck_assert(h.hi != h_other.hi && h.lo != h_other.lo);
    }
}
END_TEST

START_TEST(no_8_bytes_of_the_secret_repeat)
{
    struct hash_key k;
    hash_key_init(&k, "", 0);
    for (size_t i = 0; i < sizeof(k.secret); i += 8) {
        for (size_t j = i + 8; j < sizeof(k.secret); j += 8)
            ck_assert_mem_ne(k.secret + i, k.secret + j, 8);
    }
}
END_TEST

START_TEST(keyed_hashes_tell_every_changed_byte)
{
    struct hash_key k;
    hash_key_init(&k, "seed", 4);
    char text[300] = {0};
    uint64_t whole = hash_keyed64(&k, text, sizeof(text));
    struct hash128 whole128 = hash_keyed128(&k, text, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = 1;
        struct hash128 h = hash_keyed128(&k, text, sizeof(text));
        ck_assert_uint_ne(hash_keyed64(&k, text, sizeof(text)), whole);
        ck_assert(h.hi != whole128.hi && h.lo != whole128.lo);
        text[i] = 0;
    }
}
END_TEST

START_TEST(the_stable_hash_is_xxh64_with_seed_0)
{
    // As the Python package xxhash gives them: the empty input and "abc".
    ck_assert_uint_eq(hash_stable64(NULL, 0), UINT64_C(0xef46db3751d8e999));
    ck_assert_uint_eq(hash_stable64("abc", 3), UINT64_C(0x44bc2cf5ad770999));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tc = tcase_create("hash");
    tcase_add_loop_test(tc, murmur2_is_that_of_the_java_client, 0, ARRAY_LEN(java_vectors));
    tcase_add_test(tc, murmur2_takes_bytes_as_unsigned_in_every_tail);
    tcase_add_test(tc, a_key_goes_to_the_partition_that_the_java_client_would_take);
    tcase_add_test(tc, keyed_hashes_depend_on_the_seed_and_on_nothing_else);
    tcase_add_test(tc, no_8_bytes_of_the_secret_repeat);
    tcase_add_test(tc, keyed_hashes_tell_every_changed_byte);
    tcase_add_test(tc, the_stable_hash_is_xxh64_with_seed_0);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
