// SPDX-License-Identifier: Apache-2.0
// A JSON Web Key Set (RFC 7517): the keys that tokens may be signed with. Pure.
//
// Taken are keys with a `kid` of their own and an `alg` that fits them: RSA of 2048 to 8192 bits
// with RS256 to PS512, EC with the curve of ES256, ES384 or ES512, and symmetric ones, as long as
// the hash at least, with HS256 to HS512. Keys whose `use` is "enc" are passed over. Everything
// else, private keys above all, refuses the set.
#ifndef STREAMLENS_AUTH_JWKS_H
#define STREAMLENS_AUTH_JWKS_H

#include "common/core/err.h"

#define AUTH_JWKS_KEYS_MAX 64

struct jwks;
struct jwk;
// NULL with the key at fault (its kid, or its place in the set).
struct jwks *jwks_parse(struct str text, struct err *e);
void jwks_free(struct jwks *s);
size_t jwks_count(const struct jwks *s);
bool jwks_holds_secrets(const struct jwks *s); // symmetric keys: who can read them can sign

// kid NULL: the only key of a set of one. NULL where there is none.
const struct jwk *jwks_find(const struct jwks *s, const char *kid);
const char *jwk_alg(const struct jwk *k); // the only algorithm that it is used with

// Whether the token (RFC 7515, compact) bears the key's signature. Its header has been checked: it
// names jwk_alg(). signature: its third part.
bool jwk_verify(const struct jwk *k, struct str token, struct str signature);

// Base64url without padding, as RFC 7515 has it; NULL where it is not that. Freed by the caller.
unsigned char *base64url_decode(struct str text, size_t *n);

#endif
