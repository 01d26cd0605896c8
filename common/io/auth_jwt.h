// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens: compact, signed, judged by a key set and the rules of auth.h. Pure: time is an
// argument.
#ifndef STREAMLENS_AUTH_JWT_H
#define STREAMLENS_AUTH_JWT_H

#include "common/core/api_key.h"
#include "common/io/auth_jwks.h"

struct jwt_rules {
    const char *issuer, *audience, *tenant_claim;
    int64_t leeway_us;
};

struct jwt_claims {
    char *tenant;  // NULL only where the scope is admin alone
    char *subject; // "" where the token has none
    unsigned scopes;
    int64_t expires_us, not_before_us; // wall clock, as the token has them
};
void jwt_claims_clear(struct jwt_claims *c);

// Everything the token says is looked at before its signature, which costs most. 0: out is to be
// cleared. -1: the reason, for logs, without anything that the token holds.
int jwt_check(const struct jwks *keys, const struct jwt_rules *rules, struct str token,
              int64_t now_us, struct jwt_claims *out, struct err *e) MUST_CHECK;
// Whether claims that were good once are so now.
int jwt_check_time(const struct jwt_rules *rules, const struct jwt_claims *c, int64_t now_us,
                   struct err *e) MUST_CHECK;

// The claims of a token's second part, without their signature and their time.
int jwt_parse_claims(const struct jwt_rules *rules, struct str part, struct jwt_claims *out,
                     struct err *e) MUST_CHECK;

#endif
