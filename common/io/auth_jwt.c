// SPDX-License-Identifier: Apache-2.0
// RFC 7519 with the advice of RFC 8725: the key decides the algorithm, nothing optional is skipped
// because the token leaves it out, and duplicate members, which two parsers may read in two ways,
// are refused.
#include "common/io/auth_jwt.h"

#include "common/core/event.h"
#include "common/core/timeunit.h"

#include <jansson.h>

void jwt_claims_clear(struct jwt_claims *c)
{
    free(c->tenant);
    free(c->subject);
    *c = (struct jwt_claims){0};
}

// ---- parts ------------------------------------------------------------------------------------

static int cut_parts(struct str token, struct str parts[3], struct err *e)
{
    for (size_t i = 0; i < 3; i++) {
        const char *dot = memchr(token.p, '.', token.n);
        size_t n = dot ? (size_t)(dot - token.p) : token.n;
        if (n == 0 || (i < 2) != (dot != NULL))
            return err_set(e, "the token has not three parts");
        parts[i] = (struct str){token.p, n};
        if (dot)
            token = (struct str){dot + 1, token.n - n - 1};
    }
    return 0;
}

// The object in a part; NULL where there is none.
static json_t *part_object(struct str part, const char *what, struct err *e)
{
    size_t n;
    unsigned char *bytes = base64url_decode(part, &n);
    json_t *object = bytes ? json_loadb((char *)bytes, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(bytes);
    if (!json_is_object(object)) {
        json_decref(object);
        err_set(e, "the token's %s is no JSON object in base64url", what);
        return NULL;
    }
    return object;
}

// ---- header -----------------------------------------------------------------------------------

static const struct jwk *key_of_header(const struct jwks *keys, const json_t *header, struct err *e)
{
    const json_t *kid = json_object_get(header, "kid");
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const struct jwk *key = NULL;
    if (json_object_get(header, "crit"))
        (void)err_set(e, "the token's header has \"crit\": extensions are not understood");
    else if (kid && !json_is_string(kid))
        (void)err_set(e, "the token's \"kid\" is no text");
    else if (!(key = jwks_find(keys, json_string_value(kid))))
        (void)err_set(e, kid ? "the token's \"kid\" is not in JWT_JWKS_FILE"
                             : "the token has no \"kid\", and there are several keys");
    if (key && (!alg || strcmp(alg, jwk_alg(key)) != 0)) {
        (void)err_set(e, "the token's \"alg\" is not %s, which its key is pinned to", jwk_alg(key));
        key = NULL;
    }
    return key;
}

static const struct jwk *find_key(const struct jwks *keys, struct str part, struct err *e)
{
    json_t *header = part_object(part, "header", e);
    if (!header)
        return NULL;
    const struct jwk *key = key_of_header(keys, header, e);
    json_decref(header);
    return key;
}

// ---- claims -----------------------------------------------------------------------------------

// Seconds, which may have a fraction, to µs; far away is far away.
#define FAR_S 1e12

static int read_time(const json_t *claims, const char *name, int64_t absent_us, int64_t *out,
                     struct err *e)
{
    const json_t *v = json_object_get(claims, name);
    *out = absent_us;
    if (!v)
        return 0;
    if (!json_is_number(v))
        return err_set(e, "the token's \"%s\" is no number", name);
    double s = json_number_value(v);
    s = s > FAR_S ? FAR_S : s < -FAR_S ? -FAR_S : s;
    *out = (int64_t)(s * (double)US_PER_S);
    return 0;
}

static bool is_text(const json_t *v, const char *wanted)
{
    const char *text = json_string_value(v);
    return text && strcmp(text, wanted) == 0;
}

static int check_audience(const json_t *claims, const char *wanted, struct err *e)
{
    const json_t *aud = json_object_get(claims, "aud");
    bool found = is_text(aud, wanted);
    for (size_t i = 0; !found && i < json_array_size(aud); i++)
        found = is_text(json_array_get(aud, i), wanted);
    return found ? 0 : err_set(e, "the token's \"aud\" is not JWT_AUDIENCE");
}

static unsigned scopes_of_words(const char *words)
{
    unsigned scopes = 0;
    while (*words) {
        size_t n = strcspn(words, " ");
        scopes |= scope_of((struct str){words, n});
        words += n + (words[n] == ' ');
    }
    return scopes;
}

// Scopes of others are passed over: one token may serve several programs.
static int read_scopes(const json_t *claims, unsigned *out, struct err *e)
{
    const json_t *scope = json_object_get(claims, "scope");
    *out = 0;
    if (json_is_string(scope)) {
        *out = scopes_of_words(json_string_value(scope));
        return 0;
    }
    if (scope && !json_is_array(scope))
        return err_set(e, "the token's \"scope\" is neither text nor array");
    for (size_t i = 0; i < json_array_size(scope); i++) {
        const char *word = json_string_value(json_array_get(scope, i));
        if (!word)
            return err_set(e, "the token's \"scope\" holds something that is no text");
        *out |= scope_of(str_of(word));
    }
    return 0;
}

// A name, or NULL where the claim is not there.
static int read_name(const json_t *claims, const char *claim, char **out, struct err *e)
{
    const json_t *v = json_object_get(claims, claim);
    struct err why;
    *out = NULL;
    if (!v)
        return 0;
    struct str text = {json_string_value(v), json_string_length(v)};
    if (!json_is_string(v) || event_check_name(claim, text, &why) != 0)
        return err_set(e, "the token's \"%.60s\" is no name of 1 to %d bytes", claim,
                       EVENT_NAME_MAX);
    *out = xstrdup(text.p);
    return 0;
}

static int read_claims(const json_t *claims, const struct jwt_rules *rules, struct jwt_claims *out,
                       struct err *e)
{
    if (!json_object_get(claims, "exp"))
        return err_set(e, "the token has no \"exp\"");
    if (read_time(claims, "exp", 0, &out->expires_us, e) != 0 ||
        read_time(claims, "nbf", INT64_MIN, &out->not_before_us, e) != 0)
        return -1;
    if (!is_text(json_object_get(claims, "iss"), rules->issuer))
        return err_set(e, "the token's \"iss\" is not JWT_ISSUER");
    if (check_audience(claims, rules->audience, e) != 0 ||
        read_scopes(claims, &out->scopes, e) != 0 ||
        read_name(claims, rules->tenant_claim, &out->tenant, e) != 0 ||
        read_name(claims, "sub", &out->subject, e) != 0)
        return -1;
    if (!out->tenant && out->scopes != SCOPE_ADMIN)
        return err_set(e, "the token has no \"%.60s\", and its scope is not admin alone",
                       rules->tenant_claim);
    if (!out->subject)
        out->subject = xstrdup("");
    return 0;
}

int jwt_parse_claims(const struct jwt_rules *rules, struct str part, struct jwt_claims *out,
                     struct err *e)
{
    *out = (struct jwt_claims){0};
    json_t *claims = part_object(part, "claims", e);
    int rc = claims ? read_claims(claims, rules, out, e) : -1;
    json_decref(claims);
    if (rc != 0)
        jwt_claims_clear(out);
    return rc;
}

int jwt_check_time(const struct jwt_rules *rules, const struct jwt_claims *c, int64_t now_us,
                   struct err *e)
{
    // On the side of the clock, where nothing can overflow.
    if (now_us - rules->leeway_us >= c->expires_us)
        return err_set(e, "the token has expired");
    if (now_us + rules->leeway_us < c->not_before_us)
        return err_set(e, "the token is not valid yet");
    return 0;
}

int jwt_check(const struct jwks *keys, const struct jwt_rules *rules, struct str token,
              int64_t now_us, struct jwt_claims *out, struct err *e)
{
    struct str parts[3] = {{NULL, 0}};
    *out = (struct jwt_claims){0};
    if (cut_parts(token, parts, e) != 0)
        return -1;
    const struct jwk *key = find_key(keys, parts[0], e);
    if (!key || jwt_parse_claims(rules, parts[1], out, e) != 0)
        return -1;
    int rc = jwt_check_time(rules, out, now_us, e);
    if (rc == 0 && !jwk_verify(key, token, parts[2]))
        rc = err_set(e, "the token's signature is wrong");
    if (rc != 0)
        jwt_claims_clear(out);
    return rc;
}
