// SPDX-License-Identifier: Apache-2.0
// Who asks, and what may they do: the one place where the APIs learn a request's tenant. One loop,
// no threads; checking never waits.
//
// AUTH=none: nobody is asked; whoever reaches the port may do all.
// AUTH=key: API keys (api_key.h), from the table streamlens_key. All of them are kept in memory and
//   read anew every AUTH_REFRESH_MS: so a key that was made or revoked counts after that time at
//   most. With PostgreSQL away the last reading goes on to hold. Before the first reading every
//   credential is answered 503. A row that streamlens-admin could not have made is left out.
// AUTH=jwt: tokens signed by a key of the JWKS in JWT_JWKS_FILE, which is looked at every
//   AUTH_REFRESH_MS too; a file that cannot be read leaves the keys as they were (at start it is an
//   error). The algorithm is the one that the JWKS names for the key, never the one the token asks
//   for. exp is required and, with nbf, checked with AUTH_JWT_LEEWAY_S; iss and aud must be
//   JWT_ISSUER and JWT_AUDIENCE. The tenant is the claim JWT_TENANT_CLAIM, the scopes are the words
//   of the claim `scope` (a string, or an array).
// AUTH=key,jwt: either; a text that begins with slk_ is a key.
// A reading that failed, of keys or of the file, is tried again every AUTH_RETRY_US.
//
// The credential comes as `Authorization: Bearer …` or as `X-API-Key: …`, not both.
//
// Refusals are the same for every reason: 401 with WWW-Authenticate, 403 where a valid credential
// lacks the scope. An address with more than AUTH_FAILURES_PER_MINUTE refused credentials gets 429
// with Retry-After for further bad ones; good keys, and tokens verified before, are not held up by
// bad neighbours behind the same address. Tokens not verified before, of all such addresses
// together, get AUTH_CHECK_SHARE of the loop's time at most, and 429 beyond it, good ones too. Logs
// name a key's id or a token's `sub`, never the credential.
#ifndef STREAMLENS_AUTH_H
#define STREAMLENS_AUTH_H

#include "common/core/api_key.h"
#include "common/core/config.h"
#include "common/core/timeunit.h"
#include "common/io/http_server.h"

#define AUTH_JWT_LEEWAY_S 30
#define AUTH_RETRY_US (2 * US_PER_S)
#define AUTH_CHECK_SHARE 5      // one part of so many
#define AUTH_ADDRESSES_MAX 4096 // failures are counted for so many addresses at once

struct auth;
struct auth_stats; // auth_stats.h

// Starts reading keys and JWKS. stats is borrowed. NULL with the setting at fault.
struct auth *auth_new(struct event_base *base, const struct config *c, const char *service,
                      struct auth_stats *stats, struct err *e);
void auth_free(struct auth *a);
// Whether credentials can be judged; -1 says why not.
int auth_ready(const struct auth *a, struct err *why) MUST_CHECK;

struct auth_identity {
    bool authenticated;        // false with AUTH=none: all below is absent then
    struct str tenant;         // absent where the credential has admin alone
    unsigned scopes;           // enum scope
    int64_t events_per_second; // 0 = no limit
    struct str id;             // of the key, or `sub`: for logs and limits
};

// Judges the request's credential. 0: it has one of the scopes in any_of, *out is good until the
// exchange ends or the loop goes on, whichever is first. -1: answered already.
int auth_check(struct auth *a, struct http_exchange *x, unsigned any_of,
               struct auth_identity *out) MUST_CHECK;
// The same before the body is there, for http_server_guard_bodies(): whether auth_check() would now
// let the request pass, and who it is.
int auth_admit(struct auth *a, struct http_exchange *x, unsigned any_of,
               struct auth_identity *out) MUST_CHECK;

// For answers that take long: the request's credential, to be judged again later. The caller's to
// free; NULL with AUTH=none. After auth_check() let the request pass.
char *auth_keep(const struct auth *a, const struct http_exchange *x);
// Whether it still holds and has one of the scopes; *out as of auth_check().
bool auth_holds(struct auth *a, const char *credential, unsigned any_of, struct auth_identity *out);

#endif
