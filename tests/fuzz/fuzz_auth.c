// SPDX-License-Identifier: Apache-2.0
// Credentials, by the first byte: header fields (a line each), a whole token, a token's header, a
// token's claims, a key set. Nobody gets in who has no key; what is taken keeps the bounds that the
// rest relies on; what is refused says why.
#include "tests/fuzz/fuzz.h"

#include "common/core/buf.h"
#include "common/core/event.h"
#include "common/io/auth_credential.h"
#include "common/io/auth_jwt.h"

#include <cjose/base64.h>

#define NOW INT64_C(1700000000000000)
#define CLAIMS "{\"exp\":1800000000,\"iss\":\"i\",\"aud\":\"a\",\"tenant_id\":\"t\"}"

static const struct jwt_rules rules = {
    .issuer = "i", .audience = "a", .tenant_claim = "tenant_id", .leeway_us = 30000000};

// The secret is nowhere in a corpus, and no input of this size comes upon its signatures. The point
// is P-256's base point.
static const char key_set[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"alg\":\"HS256\","
                              "\"k\":\"7t2kq0cXfWmQ9o1vYzB5r8uN3eLhJ6sAaPdGiTxKwVM\"},"
                              "{\"kty\":\"EC\",\"kid\":\"e\",\"alg\":\"ES256\",\"crv\":\"P-256\","
                              "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
                              "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

static void add_base64url(struct buf *out, const uint8_t *p, size_t n)
{
    char *text = NULL;
    size_t text_n = 0;
    if (n > 0 && cjose_base64url_encode(p, n, &text, &text_n, NULL))
        buf_add(out, text, text_n);
    free(text);
}

static void check_fields(const char *p, size_t n)
{
    struct auth_fields f = {.authorization_count = 0};
    struct str text, line = {p, 0};
    for (size_t i = 0; i <= n; i++) {
        line.n = (size_t)(p + i - line.p);
        if (i < n && p[i] != '\n')
            continue;
        bool x_api_key = line.n > 0 && line.p[0] == 'x';
        if (x_api_key && f.x_api_key_count++ == 0)
            f.x_api_key = (struct str){line.p + 1, line.n - 1};
        else if (!x_api_key && f.authorization_count++ == 0)
            f.authorization = line;
        line.p = p + i + 1;
    }
    if (auth_credential(&f, &text) != AUTH_FOUND)
        return;
    FUZZ_CHECK(text.n > 0 && text.n <= AUTH_CREDENTIAL_MAX && text.p >= p &&
               text.p + text.n <= p + n);
    FUZZ_CHECK(f.authorization_count + f.x_api_key_count == 1);
    (void)api_key_is_well_formed(text);
}

static void check_token(const char *p, size_t n)
{
    static struct jwks *keys;
    struct err e = {.offset = -1};
    struct jwt_claims claims;
    if (!keys)
        keys = jwks_parse(STR_LIT(key_set), &e);
    FUZZ_CHECK(keys != NULL);
    FUZZ_CHECK(jwt_check(keys, &rules, (struct str){p, n}, NOW, &claims, &e) != 0);
    FUZZ_CHECK(e.detail[0] && !claims.tenant && !claims.subject);
}

static void check_header(const uint8_t *p, size_t n)
{
    struct buf token = {0};
    add_base64url(&token, p, n);
    buf_addc(&token, '.');
    add_base64url(&token, (const uint8_t *)CLAIMS, strlen(CLAIMS));
    buf_addc(&token, '.');
    size_t before = token.n;
    for (size_t signature_n = 43; signature_n <= 86; signature_n += 43) { // HS256, ES256
        while (token.n < before + signature_n)
            buf_addc(&token, 'A');
        check_token(token.p, token.n);
    }
    buf_free(&token);
}

static void check_claims(const uint8_t *p, size_t n)
{
    struct buf part = {0};
    struct jwt_claims c;
    struct err e = {.offset = -1};
    add_base64url(&part, p, n);
    if (jwt_parse_claims(&rules, (struct str){part.p, part.n}, &c, &e) != 0) {
        FUZZ_CHECK(e.detail[0] && !c.tenant && !c.subject);
    } else {
        FUZZ_CHECK(c.tenant ? event_check_name("tenant", str_of(c.tenant), &e) == 0
                            : c.scopes == SCOPE_ADMIN);
        FUZZ_CHECK(c.subject && !(c.scopes & ~(unsigned)(SCOPE_INGEST | SCOPE_READ | SCOPE_ADMIN)));
        if (jwt_check_time(&rules, &c, NOW, &e) != 0)
            FUZZ_CHECK(e.detail[0]);
        jwt_claims_clear(&c);
    }
    buf_free(&part);
}

static void check_key_set(const char *p, size_t n)
{
    struct err e = {.offset = -1};
    struct jwks *s = jwks_parse((struct str){p, n}, &e);
    FUZZ_CHECK(s ? jwks_count(s) > 0 && jwks_count(s) <= AUTH_JWKS_KEYS_MAX : e.detail[0] != '\0');
    jwks_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    switch (data[0]) {
    case 'f':
        check_fields((const char *)p, n);
        break;
    case 't':
        check_token((const char *)p, n);
        break;
    case 'h':
        check_header(p, n);
        break;
    case 'c':
        check_claims(p, n);
        break;
    case 'k':
        check_key_set((const char *)p, n);
        break;
    default:
        break;
    }
    return 0;
}
