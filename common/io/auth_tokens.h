// SPDX-License-Identifier: Apache-2.0
// Tokens of AUTH=jwt: the keys in JWT_JWKS_FILE, and the tokens that were checked with them. auth.h
// has the rules; auth.c alone includes this.
#ifndef STREAMLENS_AUTH_TOKENS_H
#define STREAMLENS_AUTH_TOKENS_H

#include "common/core/config.h"
#include "common/io/auth_jwt.h"

#define AUTH_TOKENS_MAX 4096 // checked ones that are remembered
#define AUTH_JWKS_BYTES_MAX (1 << 20)

struct auth_stats;
struct auth_tokens;
// c and stats are borrowed. NULL where the file cannot be used.
struct auth_tokens *auth_tokens_new(const struct config *c, int64_t leeway_us,
                                    struct auth_stats *stats, struct err *e);
void auth_tokens_free(struct auth_tokens *t);
// Reads the file if it has changed. One that cannot be used leaves the keys as they were.
void auth_tokens_look(struct auth_tokens *t);
void auth_tokens_retry(struct auth_tokens *t); // looks where the last look failed
// NULL with a reason for logs. Good until the next call. Without may_check only tokens that were
// checked before are good.
const struct jwt_claims *auth_tokens_check(struct auth_tokens *t, struct str token, bool may_check,
                                           int64_t now_wall_us, struct err *e);

#endif
