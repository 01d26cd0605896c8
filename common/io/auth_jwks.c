// SPDX-License-Identifier: Apache-2.0
// The signatures' arithmetic is cjose's, and it is shown only what it can be trusted with. Its
// version 0.6.2.1 compares an HMAC before it has looked at the signature's length, cuts an ECDSA
// signature in the middle whatever its length, and asserts on padding in the middle of base64
// (jws.c and base64.c of that version). So alphabet and lengths are checked here, for keys and
// tokens alike.
#include "common/io/auth_jwks.h"

#include <cjose/base64.h>
#include <cjose/jwk.h>
#include <cjose/jws.h>
#include <jansson.h>
#include <stdio.h>

#define RSA_BYTES_MIN 256
#define RSA_BYTES_MAX 1024
#define KID_MAX 255

enum key_type { KEY_RSA, KEY_EC, KEY_OCT };
static const char *const key_types[] = {[KEY_RSA] = "RSA", [KEY_EC] = "EC", [KEY_OCT] = "oct"};

struct algorithm {
    const char *name;
    enum key_type type;
    size_t bytes; // EC: of a coordinate; oct: of the hash
    const char *curve;
};
static const struct algorithm algorithms[] = {
    {"RS256", KEY_RSA, 0, NULL},    {"RS384", KEY_RSA, 0, NULL},    {"RS512", KEY_RSA, 0, NULL},
    {"PS256", KEY_RSA, 0, NULL},    {"PS384", KEY_RSA, 0, NULL},    {"PS512", KEY_RSA, 0, NULL},
    {"ES256", KEY_EC, 32, "P-256"}, {"ES384", KEY_EC, 48, "P-384"}, {"ES512", KEY_EC, 66, "P-521"},
    {"HS256", KEY_OCT, 32, NULL},   {"HS384", KEY_OCT, 48, NULL},   {"HS512", KEY_OCT, 64, NULL},
};

struct jwk {
    char *kid;
    const struct algorithm *algorithm;
    cjose_jwk_t *key;
    size_t signature_bytes;
};

struct jwks {
    struct jwk keys[AUTH_JWKS_KEYS_MAX];
    size_t count;
};

// ---- base64url --------------------------------------------------------------------------------

static bool is_base64url(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return s.n > 0 && s.n % 4 != 1;
}

unsigned char *base64url_decode(struct str text, size_t *n)
{
    uint8_t *bytes = NULL;
    if (!is_base64url(text) || !cjose_base64url_decode(text.p, text.n, &bytes, n, NULL))
        return NULL;
    return bytes;
}

// ---- one key ----------------------------------------------------------------------------------

static const char *text_of(const json_t *key, const char *member)
{
    return json_string_value(json_object_get(key, member)); // NULL where it is no string
}

// The member's bytes; NULL and an error where it is no base64url.
static unsigned char *bytes_of(const json_t *key, const char *member, const char *who, size_t *n,
                               struct err *e)
{
    const char *text = text_of(key, member);
    unsigned char *bytes = text ? base64url_decode(str_of(text), n) : NULL;
    if (!bytes)
        err_set(e, "%s: \"%s\" must be base64url without padding", who, member);
    return bytes;
}

// The length of a number without the zeros in front.
static int number_bytes(const json_t *key, const char *member, const char *who, size_t *bytes,
                        bool *is_one_or_even, struct err *e)
{
    size_t n, zeros = 0;
    unsigned char *p = bytes_of(key, member, who, &n, e);
    if (!p)
        return -1;
    while (zeros < n && p[zeros] == 0)
        zeros++;
    *bytes = n - zeros;
    *is_one_or_even = n == zeros || p[n - 1] % 2 == 0 || (*bytes == 1 && p[n - 1] == 1);
    free(p);
    return 0;
}

static int check_rsa(const json_t *key, const char *who, struct jwk *k, struct err *e)
{
    size_t n, exponent_n;
    bool bad_modulus, bad_exponent;
    if (number_bytes(key, "n", who, &n, &bad_modulus, e) != 0 ||
        number_bytes(key, "e", who, &exponent_n, &bad_exponent, e) != 0)
        return -1;
    if (bad_modulus || n < RSA_BYTES_MIN || n > RSA_BYTES_MAX)
        return err_set(e, "%s: an RSA key must have %d to %d bits", who, RSA_BYTES_MIN * 8,
                       RSA_BYTES_MAX * 8);
    // OpenSSL's own bound for large moduli is 64 bits; 65537 is what everybody uses.
    if (bad_exponent || exponent_n > 8)
        return err_set(e, "%s: \"e\" must be odd, 3 or more, of 8 bytes at most", who);
    k->signature_bytes = n;
    return 0;
}

static int check_length(const json_t *key, const char *member, const char *who, size_t least,
                        size_t most, struct err *e)
{
    size_t n;
    unsigned char *p = bytes_of(key, member, who, &n, e);
    if (!p)
        return -1;
    free(p);
    if (n >= least && n <= most)
        return 0;
    return err_set(e, "%s: \"%s\" has %zu bytes; wanted are %zu%s", who, member, n, least,
                   least == most ? "" : " or more");
}

static int check_ec(const json_t *key, const char *who, struct jwk *k, struct err *e)
{
    size_t n = k->algorithm->bytes;
    const char *curve = text_of(key, "crv");
    if (!curve || strcmp(curve, k->algorithm->curve) != 0)
        return err_set(e, "%s: \"crv\" must be %s for %s", who, k->algorithm->curve,
                       k->algorithm->name);
    k->signature_bytes = 2 * n;
    return check_length(key, "x", who, n, n, e) != 0 || check_length(key, "y", who, n, n, e) != 0
               ? -1
               : 0;
}

static int check_oct(const json_t *key, const char *who, struct jwk *k, struct err *e)
{
    k->signature_bytes = k->algorithm->bytes;
    return check_length(key, "k", who, k->algorithm->bytes, 4096, e);
}

static int check_public(const json_t *key, const char *who, struct err *e)
{
    static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};
    for (size_t i = 0; i < ARRAY_LEN(private_members); i++) {
        if (json_object_get(key, private_members[i]))
            return err_set(e,
                           "%s: it is a private key (\"%s\" is there); only the public half may be "
                           "in this file",
                           who, private_members[i]);
    }
    return 0;
}

static int find_algorithm(const json_t *key, const char *who, struct jwk *k, struct err *e)
{
    const char *type = text_of(key, "kty"), *alg = text_of(key, "alg");
    if (!alg)
        return err_set(e, "%s: \"alg\" is missing; the algorithm must be pinned", who);
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        if (strcmp(alg, algorithms[i].name) == 0)
            k->algorithm = &algorithms[i];
    }
    if (!k->algorithm)
        return err_set(e,
                       "%s: \"alg\" is \"%.20s\"; wanted is RS, PS, ES or HS with 256, 384 or 512",
                       who, alg);
    const char *wanted = key_types[k->algorithm->type];
    if (!type || strcmp(type, wanted) != 0)
        return err_set(e, "%s: %s needs \"kty\" %s", who, alg, wanted);
    return 0;
}

static int read_key(const json_t *key, const char *who, struct jwk *k, struct err *e)
{
    static int (*const checks[])(const json_t *, const char *, struct jwk *, struct err *) = {
        [KEY_RSA] = check_rsa, [KEY_EC] = check_ec, [KEY_OCT] = check_oct};
    if (find_algorithm(key, who, k, e) != 0 || check_public(key, who, e) != 0 ||
        checks[k->algorithm->type](key, who, k, e) != 0)
        return -1;
    // Only what was checked above is shown to cjose.
    json_t *plain = json_object();
    static const char *const members[] = {"kty", "n", "e", "crv", "x", "y", "k"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = text_of(key, members[i]);
        if (text)
            json_object_set_new(plain, members[i], json_string(text));
    }
    k->key = cjose_jwk_import_json((cjose_header_t *)plain, NULL);
    json_decref(plain);
    if (!k->key)
        return err_set(e, "%s: its numbers are no %s key", who, key_types[k->algorithm->type]);
    return 0;
}

// ---- the set ----------------------------------------------------------------------------------

static int add_key(struct jwks *s, const json_t *key, size_t place, struct err *e)
{
    char who[KID_MAX + 16];
    snprintf(who, sizeof(who), "key %zu", place + 1);
    if (!json_is_object(key))
        return err_set(e, "%s: must be an object", who);
    const char *use = text_of(key, "use"), *kid = text_of(key, "kid");
    if (use && strcmp(use, "enc") == 0)
        return 0;
    if (!kid || !*kid || strlen(kid) > KID_MAX)
        return err_set(e, "%s: \"kid\" must be a text of 1 to %d bytes", who, KID_MAX);
    snprintf(who, sizeof(who), "key \"%s\"", kid);
    if (jwks_find(s, kid))
        return err_set(e, "%s: is there twice; each key needs a \"kid\" of its own", who);
    if (s->count == AUTH_JWKS_KEYS_MAX)
        return err_set(e, "%s: there are more than %d keys", who, AUTH_JWKS_KEYS_MAX);
    struct jwk *k = &s->keys[s->count++];
    k->kid = xstrdup(kid);
    return read_key(key, who, k, e);
}

struct jwks *jwks_parse(struct str text, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    const json_t *keys = json_object_get(root, "keys");
    struct jwks *s = xcalloc(1, sizeof(*s));
    int rc = 0;
    if (!root)
        rc = err_set(e, "is no JSON: line %d: %s", why.line, why.text);
    else if (!json_is_array(keys))
        rc = err_set(e, "must be an object with an array \"keys\"");
    for (size_t i = 0; rc == 0 && i < json_array_size(keys); i++)
        rc = add_key(s, json_array_get(keys, i), i, e);
    if (rc == 0 && s->count == 0)
        rc = err_set(e, "holds no key that signs");
    json_decref(root);
    if (rc == 0)
        return s;
    jwks_free(s);
    return NULL;
}

void jwks_free(struct jwks *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        free(s->keys[i].kid);
        cjose_jwk_release(s->keys[i].key);
    }
    free(s);
}

size_t jwks_count(const struct jwks *s)
{
    return s->count;
}

bool jwks_holds_secrets(const struct jwks *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->keys[i].algorithm->type == KEY_OCT)
            return true;
    }
    return false;
}

const struct jwk *jwks_find(const struct jwks *s, const char *kid)
{
    if (!kid)
        return s->count == 1 ? &s->keys[0] : NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->keys[i].kid, kid) == 0)
            return &s->keys[i];
    }
    return NULL;
}

const char *jwk_alg(const struct jwk *k)
{
    return k->algorithm->name;
}

bool jwk_verify(const struct jwk *k, struct str token, struct str signature)
{
    // The number of characters that so many bytes have without padding.
    if (!is_base64url(signature) || signature.n != (k->signature_bytes * 4 + 2) / 3)
        return false;
    cjose_jws_t *jws = cjose_jws_import(token.p, token.n, NULL);
    bool good = jws && cjose_jws_verify(jws, k->key, NULL);
    cjose_jws_release(jws);
    return good;
}
