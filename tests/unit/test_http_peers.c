// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_peers.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>

#define MOST 3

static struct http_peers *peers;

static void begin(void)
{
    static const unsigned char seed[16] = "0123456789abcdef";
    peers = http_peers_new(MOST, 100, seed);
}

static void end(void)
{
    ck_assert_uint_eq(http_peers_count(peers), 0);
    http_peers_free(peers);
}

static struct http_peer *enter(const char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    memset(&at, 0, sizeof(at));
    if (inet_pton(AF_INET, text, &at.v4.sin_addr) == 1) {
        at.v4.sin_family = AF_INET;
        at.v4.sin_port = 1234;
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, text, &at.v6.sin6_addr), 1);
        at.v6.sin6_family = AF_INET6;
    }
    return http_peers_enter(peers, &at.any);
}

static void leave(struct http_peer *p)
{
    http_peers_leave(peers, p);
}

// The two count as one address, or they do not.
static void compare(const char *a, const char *b, bool same)
{
    struct http_peer *in[MOST + 1];
    for (size_t i = 0; i < MOST; i++)
        in[i] = enter(a);
    in[MOST] = enter(b);
    ck_assert_msg((in[MOST] == NULL) == same, "%s and %s", a, b);
    for (size_t i = 0; i <= MOST; i++) {
        if (in[i])
            leave(in[i]);
    }
}

START_TEST(an_address_has_so_many_and_one_more_when_one_leaves)
{
    struct http_peer *in[MOST];
    for (size_t i = 0; i < MOST; i++)
        ck_assert_ptr_nonnull(in[i] = enter("192.0.2.1"));
    ck_assert_ptr_null(enter("192.0.2.1"));
    ck_assert_ptr_null(enter("192.0.2.1"));
    leave(in[1]);
    ck_assert_ptr_nonnull(in[1] = enter("192.0.2.1"));
    ck_assert_ptr_null(enter("192.0.2.1"));
    for (size_t i = 0; i < MOST; i++)
        leave(in[i]);
}
END_TEST

START_TEST(addresses_count_for_themselves_and_ipv6_by_64_bits)
{
    compare("192.0.2.1", "192.0.2.1", true);
    compare("192.0.2.1", "192.0.2.2", false);
    compare("192.0.2.1", "193.0.2.1", false);
    compare("2001:db8::1", "2001:db8::ffff:1", true);
    compare("2001:db8::1", "2001:db8:0:0:ffff:ffff:ffff:ffff", true);
    compare("2001:db8::1", "2001:db8:0:1::1", false);
    compare("2001:db8::1", "2001:db9::1", false);
    compare("::1", "::2", true);
    compare("::ffff:192.0.2.1", "192.0.2.1", true);
    compare("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
    compare("c000:0201::", "192.0.2.1", false);
}
END_TEST

START_TEST(only_addresses_with_connections_are_kept)
{
    enum { MANY = 1000 };
    struct http_peer *in[MANY];
    char text[32];
    for (size_t i = 0; i < MANY; i++) { // more than there are slots, so chains have several
        snprintf(text, sizeof(text), "10.0.%zu.%zu", i / 250, i % 250);
        ck_assert_ptr_nonnull(in[i] = enter(text));
    }
    ck_assert_uint_eq(http_peers_count(peers), MANY);
    ck_assert_ptr_eq(enter("10.0.0.0"), in[0]);
    leave(in[0]);
    ck_assert_uint_eq(http_peers_count(peers), MANY);
    for (size_t i = 0; i < MANY; i++)
        leave(in[i]);
    ck_assert_uint_eq(http_peers_count(peers), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_peers");
    TCase *tc = tcase_create("http_peers");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, an_address_has_so_many_and_one_more_when_one_leaves);
    tcase_add_test(tc, addresses_count_for_themselves_and_ipv6_by_64_bits);
    tcase_add_test(tc, only_addresses_with_connections_are_kept);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
