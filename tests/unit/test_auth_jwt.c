// SPDX-License-Identifier: Apache-2.0
// Tokens under a symmetric key, signed here. What other keys and algorithms do stands in
// tests/integration/test_auth.py, where openssl signs.
#include "common/io/auth_jwt.h"
#include "common/core/buf.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define S INT64_C(1000000)
#define NOW (1700000000 * S)
#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"kid\":\"a\"}"
#define BASE "\"exp\":1700000060,\"iss\":\"me\",\"aud\":\"us\""

static const struct jwt_rules rules = {
    .issuer = "me", .audience = "us", .tenant_claim = "tenant_id", .leeway_us = 30 * S};
static struct jwks *keys;
static struct jwt_claims claims;
static struct err error;

static void add_base64url(struct buf *out, const void *p, size_t n)
{
    char *text = xmalloc(n / 3 * 4 + 5);
    EVP_EncodeBlock((unsigned char *)text, p, (int)n);
    text[strcspn(text, "=")] = '\0';
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    buf_adds(out, text);
    free(text);
}

static char *sign(const char *header, const char *payload)
{
    struct buf token = {0};
    unsigned char mac[32];
    add_base64url(&token, header, strlen(header));
    buf_addc(&token, '.');
    add_base64url(&token, payload, strlen(payload));
    HMAC(EVP_sha256(), SECRET, 32, (unsigned char *)token.p, token.n, mac, NULL);
    buf_addc(&token, '.');
    add_base64url(&token, mac, sizeof(mac));
    return buf_steal(&token);
}

static int check_text(struct str token, int64_t now_us)
{
    jwt_claims_clear(&claims);
    error.detail[0] = '\0';
    int rc = jwt_check(keys, &rules, token, now_us, &claims, &error);
    ck_assert(rc == 0 || error.detail[0]);
    return rc;
}

static int check(const char *header, const char *payload, int64_t now_us)
{
    char *token = sign(header, payload);
    int rc = check_text(str_of(token), now_us);
    free(token);
    return rc;
}

static void use_keys(const char *text)
{
    jwks_free(keys);
    keys = jwks_parse(str_of(text), &error);
    ck_assert_msg(keys != NULL, "%s", error.detail);
}

#define KEY_A                                                                                      \
    "{\"kty\":\"oct\",\"kid\":\"a\",\"alg\":\"HS256\",\"k\":"                                      \
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}"
#define KEY_B                                                                                      \
    "{\"kty\":\"oct\",\"kid\":\"b\",\"alg\":\"HS256\",\"k\":"                                      \
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}"

static void begin(void)
{
    use_keys("{\"keys\":[" KEY_A "]}");
}

static void end(void)
{
    jwt_claims_clear(&claims);
    jwks_free(keys);
    keys = NULL;
}

START_TEST(a_good_token_tells_tenant_scopes_and_subject)
{
    ck_assert_int_eq(
        check(HEADER,
              "{" BASE ",\"tenant_id\":\"acme\",\"sub\":\"app\",\"scope\":\"x ingest read\"}", NOW),
        0);
    ck_assert_str_eq(claims.tenant, "acme");
    ck_assert_str_eq(claims.subject, "app");
    ck_assert_uint_eq(claims.scopes, SCOPE_INGEST | SCOPE_READ);
    ck_assert_int_eq(claims.expires_us, 1700000060 * S);
}
END_TEST

START_TEST(exp_and_nbf_hold_to_the_microsecond_with_leeway)
{
    const char *exp = "{\"exp\":1700000000,\"nbf\":1600000000.5,\"iss\":\"me\",\"aud\":\"us\","
                      "\"tenant_id\":\"t\"}";
    ck_assert_int_eq(check(HEADER, exp, NOW + 30 * S - 1), 0);
    ck_assert_int_eq(check(HEADER, exp, NOW + 30 * S), -1);
    ck_assert_int_eq(check(HEADER, exp, 1600000000 * S - 30 * S + S / 2), 0);
    ck_assert_int_eq(check(HEADER, exp, 1600000000 * S - 30 * S + S / 2 - 1), -1);
}
END_TEST

START_TEST(a_token_may_end_after_all_time_or_before)
{
    ck_assert_int_eq(
        check(HEADER,
              "{\"exp\":9007199254740993,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", NOW),
        0);
    ck_assert_int_eq(
        check(HEADER,
              "{\"exp\":1e300,\"nbf\":-1e300,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}",
              NOW),
        0);
    ck_assert_int_eq(
        check(HEADER, "{\"exp\":-1e300,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", NOW),
        -1);
    ck_assert_int_eq(
        check(HEADER, "{\"exp\":1e999,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", NOW),
        -1);
    ck_assert_int_eq(
        check(
            HEADER,
            "{\"exp\":1700000060,\"nbf\":1e300,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}",
            NOW),
        -1);
}
END_TEST

static const struct {
    const char *payload;
    bool good;
} payloads[] = {
    {"{" BASE ",\"tenant_id\":\"t\"}", true},
    {"{" BASE ",\"tenant_id\":\"t\",\"scope\":[\"read\",\"openid\"]}", true},
    {"{" BASE ",\"scope\":\"admin\"}", true},
    {"{" BASE ",\"scope\":\"openid  admin\"}", true},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"aud\":[\"x\",\"us\"],\"tenant_id\":\"t\"}", true},
    // Without a tenant, or with one that is none.
    {"{" BASE "}", false},
    {"{" BASE ",\"scope\":\"admin read\"}", false},
    {"{" BASE ",\"scope\":\"read\"}", false},
    {"{" BASE ",\"tenant_id\":\"\"}", false},
    {"{" BASE ",\"tenant_id\":null,\"scope\":\"admin\"}", false},
    {"{" BASE ",\"tenant_id\":7}", false},
    {"{" BASE ",\"tenant_id\":[\"t\"]}", false},
    {"{" BASE ",\"tenant_id\":\"a\\u0000b\"}", false},
    {"{" BASE ",\"tenant_id\":\"a\\nb\"}", false},
    {"{" BASE ",\"tenant\":\"t\"}", false},
    // Times.
    {"{\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":\"1700000060\",\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":null,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":true,\"iss\":\"me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{" BASE ",\"nbf\":\"0\",\"tenant_id\":\"t\"}", false},
    {"{" BASE ",\"exp\":1700000060,\"tenant_id\":\"t\"}", false}, // twice
    {"{" BASE ",\"tenant_id\":\"t\",\"tenant_id\":\"t\"}", false},
    // Issuer and audience.
    {"{\"exp\":1700000060,\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"Me\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me2\",\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":[\"me\"],\"aud\":\"us\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"aud\":\"u\",\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"aud\":[],\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"aud\":[[\"us\"]],\"tenant_id\":\"t\"}", false},
    {"{\"exp\":1700000060,\"iss\":\"me\",\"aud\":{\"us\":1},\"tenant_id\":\"t\"}", false},
    // Forms.
    {"{" BASE ",\"tenant_id\":\"t\",\"scope\":7}", false},
    {"{" BASE ",\"tenant_id\":\"t\",\"scope\":[7]}", false},
    {"{" BASE ",\"tenant_id\":\"t\",\"sub\":7}", false},
    {"[" BASE "]", false},
    {"\"x\"", false},
    {"{" BASE ",\"tenant_id\":\"t\"} x", false},
    {"{" BASE ",\"tenant_id\":\"\xff\"}", false},
};

START_TEST(claims_are_taken_or_refused)
{
    int rc = check(HEADER, payloads[_i].payload, NOW);
    ck_assert_msg((rc == 0) == payloads[_i].good, "%s: %s", payloads[_i].payload, error.detail);
}
END_TEST

static const struct {
    const char *header;
    bool good, good_with_two; // with a set of one key, of two
} headers[] = {
    {HEADER, true, true},
    {"{\"kid\":\"a\",\"typ\":\"JWT\",\"alg\":\"HS256\"}", true, true},
    {"{\"alg\":\"HS256\"}", true, false},
    {"{\"alg\":\"HS256\",\"kid\":\"c\"}", false, false},
    {"{\"alg\":\"HS256\",\"kid\":\"\"}", false, false},
    {"{\"alg\":\"HS256\",\"kid\":null}", false, false},
    {"{\"alg\":\"HS256\",\"kid\":1}", false, false},
    {"{\"alg\":\"HS384\",\"kid\":\"a\"}", false, false},
    {"{\"alg\":\"hs256\",\"kid\":\"a\"}", false, false},
    {"{\"alg\":\"none\",\"kid\":\"a\"}", false, false},
    {"{\"alg\":\"RS256\",\"kid\":\"a\"}", false, false},
    {"{\"alg\":null,\"kid\":\"a\"}", false, false},
    {"{\"kid\":\"a\"}", false, false},
    {"{\"alg\":\"HS256\",\"kid\":\"a\",\"crit\":[\"b64\"],\"b64\":true}", false, false},
    {"{\"alg\":\"HS256\",\"kid\":\"a\",\"crit\":[]}", false, false},
    {"{\"alg\":\"HS256\",\"alg\":\"HS256\",\"kid\":\"a\"}", false, false},
    {"[]", false, false},
    {"", false, false},
};

START_TEST(the_key_decides_the_algorithm)
{
    static const char payload[] = "{" BASE ",\"tenant_id\":\"t\"}";
    ck_assert(headers[_i].good == (check(headers[_i].header, payload, NOW) == 0));
    use_keys("{\"keys\":[" KEY_A "," KEY_B "]}");
    ck_assert(headers[_i].good_with_two == (check(headers[_i].header, payload, NOW) == 0));
}
END_TEST

// Cut anywhere, with a byte more anywhere, with any byte changed: none of them is the token. The
// last character of a part may differ in bits that carry nothing.
START_TEST(nothing_but_the_token_itself_is_good)
{
    char *token = sign(HEADER, "{" BASE ",\"tenant_id\":\"t\"}");
    size_t n = strlen(token);
    char *copy = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(check_text((struct str){token, i}, NOW), -1);
    static const char more[] = {'A', '.', '=', ' ', '\0'};
    for (size_t m = 0; m < sizeof(more); m++) {
        for (size_t i = 0; i <= n; i++) {
            memcpy(copy, token, i);
            copy[i] = more[m];
            memcpy(copy + i + 1, token + i, n - i);
            ck_assert_int_eq(check_text((struct str){copy, n + 1}, NOW), -1);
        }
    }
    memcpy(copy, token, n);
    for (size_t i = 0; i + 1 < n; i++) {
        if (token[i + 1] == '.')
            continue;
        for (size_t m = 0; m < sizeof(more); m++) {
            copy[i] = more[m];
            ck_assert_int_eq(check_text((struct str){copy, n}, NOW), copy[i] == token[i] ? 0 : -1);
        }
        copy[i] = token[i];
    }
    ck_assert_int_eq(check_text((struct str){token, n}, NOW), 0);
    free(copy);
    free(token);
}
END_TEST

START_TEST(a_token_has_three_parts)
{
    static const char *const texts[] = {"",        ".",    "..",   "...",  "a",        "a.b",
                                        "a.b.c.d", ".b.c", "a..c", "a.b.", "e30.e30.", "..e30"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_int_eq(check_text(str_of(texts[i]), NOW), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth_jwt");
    TCase *tc = tcase_create("auth_jwt");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, a_good_token_tells_tenant_scopes_and_subject);
    tcase_add_test(tc, exp_and_nbf_hold_to_the_microsecond_with_leeway);
    tcase_add_test(tc, a_token_may_end_after_all_time_or_before);
    tcase_add_loop_test(tc, claims_are_taken_or_refused, 0, ARRAY_LEN(payloads));
    tcase_add_loop_test(tc, the_key_decides_the_algorithm, 0, ARRAY_LEN(headers));
    tcase_add_test(tc, nothing_but_the_token_itself_is_good);
    tcase_add_test(tc, a_token_has_three_parts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
