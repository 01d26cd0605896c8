// SPDX-License-Identifier: Apache-2.0
// Tokens whose signature was checked, by the SHA-256 of their text; the one not asked for longest
// makes room for a new one. Pure.
#ifndef STREAMLENS_AUTH_TOKEN_CACHE_H
#define STREAMLENS_AUTH_TOKEN_CACHE_H

#include "common/io/auth_jwt.h"

#define TOKEN_DIGEST_BYTES 32

struct token_cache;
struct token_cache *token_cache_new(size_t max);
void token_cache_free(struct token_cache *c);
// NULL where it is not there. Good until the next add, drop or clear.
const struct jwt_claims *token_cache_find(struct token_cache *c,
                                          const unsigned char digest[TOKEN_DIGEST_BYTES]);
// Takes the claims over; the digest is not there yet. Returns them where they are now.
const struct jwt_claims *token_cache_add(struct token_cache *c,
                                         const unsigned char digest[TOKEN_DIGEST_BYTES],
                                         struct jwt_claims *claims);
void token_cache_drop(struct token_cache *c, const unsigned char digest[TOKEN_DIGEST_BYTES]);
void token_cache_clear(struct token_cache *c);
size_t token_cache_count(const struct token_cache *c);

#endif
