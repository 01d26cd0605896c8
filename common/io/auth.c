// SPDX-License-Identifier: Apache-2.0
// A credential is judged whatever its address did before: an address may stand for a proxy and
// everybody behind it, and keys of 256 bits are not to be guessed at any rate. What the limit
// bounds is the noise, and what the noise may cost: a signature takes up to a millisecond, so that
// one sender of forged tokens could keep the loop from everybody else.
#include "common/io/auth.h"

#include "common/io/auth_credential.h"
#include "common/io/auth_failures.h"
#include "common/io/auth_keys.h"
#include "common/io/auth_stats.h"
#include "common/io/auth_tokens.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define LOG_REFUSED_EVERY_US US_PER_S

struct auth {
    struct auth_stats *stats;
    struct auth_keys *keys;     // NULL: AUTH has no key
    struct auth_tokens *tokens; // NULL: AUTH has no jwt
    struct auth_failures *failures;
    struct event *tick, *retry;
    int64_t check_again_us; // monotonic: no token of an address over its limit before that
    struct log_limit log_refused;
    char application_name[64];
};

static void on_tick(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct auth *a = arg;
    if (a->keys)
        auth_keys_tick(a->keys, clock_mono_us());
    if (a->tokens)
        auth_tokens_look(a->tokens);
}

// The next tick may be an hour away, and what failed may be well again in a second.
static void on_retry(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct auth *a = arg;
    if (a->keys)
        auth_keys_retry(a->keys, clock_mono_us());
    if (a->tokens)
        auth_tokens_retry(a->tokens);
}

static struct event *every(struct auth *a, struct event_base *base, int64_t us,
                           event_callback_fn callback)
{
    struct timeval tv = {.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
    struct event *timer = event_new(base, -1, EV_PERSIST, callback, a);
    event_add(timer, &tv);
    return timer;
}

static int start(struct auth *a, struct event_base *base, const struct config *c,
                 const char *service, struct err *e)
{
    unsigned char seed[16];
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return err_set(e, "no random bytes: %s", strerror(errno));
    a->failures = auth_failures_new(c->auth_failures_per_minute, AUTH_ADDRESSES_MAX, seed);
    snprintf(a->application_name, sizeof(a->application_name), "streamlens-%s-auth", service);
    if (strstr(c->auth, "jwt")) {
        a->tokens = auth_tokens_new(c, AUTH_JWT_LEEWAY_S * US_PER_S, a->stats, e);
        if (!a->tokens)
            return -1;
    }
    if (strstr(c->auth, "key")) {
        a->keys = auth_keys_new(base, c->postgres_dsn, a->application_name, a->stats, e);
        if (!a->keys)
            return -1;
    }
    a->tick = every(a, base, c->auth_refresh_ms * US_PER_MS, on_tick);
    a->retry = every(a, base, AUTH_RETRY_US, on_retry);
    return 0;
}

struct auth *auth_new(struct event_base *base, const struct config *c, const char *service,
                      struct auth_stats *stats, struct err *e)
{
    struct auth *a = xcalloc(1, sizeof(*a));
    a->stats = stats;
    if (strcmp(c->auth, "none") == 0)
        return a;
    if (start(a, base, c, service, e) == 0)
        return a;
    auth_free(a);
    return NULL;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    if (a->tick)
        event_free(a->tick);
    if (a->retry)
        event_free(a->retry);
    auth_keys_free(a->keys);
    auth_tokens_free(a->tokens);
    auth_failures_free(a->failures);
    free(a);
}

int auth_ready(const struct auth *a, struct err *why)
{
    return a->keys ? auth_keys_ready(a->keys, why) : 0;
}

// ---- one request ------------------------------------------------------------------------------

static enum auth_found find_credential(const struct http_exchange *x, struct str *out)
{
    struct auth_fields fields = {
        .authorization = http_header(x, "authorization"),
        .x_api_key = http_header(x, "x-api-key"),
        .authorization_count = http_header_count(x, "authorization"),
        .x_api_key_count = http_header_count(x, "x-api-key"),
    };
    return auth_credential(&fields, out);
}

// The same words for every reason.
static void reply_401(struct http_exchange *x)
{
    http_add_header(x, "WWW-Authenticate", "Bearer realm=\"streamlens\"");
    http_problemf(x, 401,
                  "a valid credential is wanted, as `Authorization: Bearer` or `X-API-Key`");
}

static void reply_unavailable(struct auth *a, struct http_exchange *x)
{
    a->stats->unavailable++;
    http_add_header(x, "Retry-After", "1");
    http_problemf(x, 503, "credentials cannot be judged yet");
}

static void refuse(struct auth *a, struct http_exchange *x, const char *why)
{
    int64_t now_us = clock_mono_us();
    int64_t wait_us = auth_failures_add(a->failures, http_peer(x), now_us);
    if (log_limit(&a->log_refused, now_us, LOG_REFUSED_EVERY_US))
        log_info("credential refused", "peer", http_peer(x), "reason", why, "unlogged",
                 log_num(a->log_refused.suppressed));
    if (wait_us == 0) {
        a->stats->refused++;
        reply_401(x);
        return;
    }
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)((wait_us + US_PER_S - 1) / US_PER_S));
    a->stats->limited++;
    http_add_header(x, "Retry-After", seconds);
    http_problemf(x, 429, "too many refused credentials from this address");
}

// 0, or -1 with the reason for logs.
static int judge_key(struct auth *a, struct str text, struct auth_identity *out, struct err *e)
{
    const struct key_record *k = auth_keys_find(a->keys, text, clock_wall_us());
    if (!k)
        return err_set(e, "it is no API key that holds");
    *out = (struct auth_identity){.authenticated = true,
                                  .tenant = str_of(*k->tenant ? k->tenant : NULL),
                                  .scopes = k->scopes,
                                  .events_per_second = k->events_per_second,
                                  .id = str_of(k->id)};
    return 0;
}

static const struct jwt_claims *check_token(struct auth *a, const char *peer, struct str text,
                                            struct err *e)
{
    int64_t begun_us = clock_mono_us(), now_us = clock_wall_us();
    if (!auth_failures_is_over(a->failures, peer, begun_us))
        return auth_tokens_check(a->tokens, text, true, now_us, e);
    if (begun_us < a->check_again_us)
        return auth_tokens_check(a->tokens, text, false, now_us, e);
    const struct jwt_claims *c = auth_tokens_check(a->tokens, text, true, now_us, e);
    a->check_again_us = begun_us + AUTH_CHECK_SHARE * (clock_mono_us() - begun_us);
    return c;
}

static int judge_token(struct auth *a, const char *peer, struct str text, struct auth_identity *out,
                       struct err *e)
{
    const struct jwt_claims *c = check_token(a, peer, text, e);
    if (!c)
        return -1;
    *out = (struct auth_identity){.authenticated = true,
                                  .tenant = str_of(c->tenant),
                                  .scopes = c->scopes,
                                  .id = str_of(c->subject)};
    return 0;
}

static bool is_key(const struct auth *a, struct str text)
{
    return a->keys && (!a->tokens || (text.n >= 4 && memcmp(text.p, "slk_", 4) == 0));
}

char *auth_keep(const struct auth *a, const struct http_exchange *x)
{
    struct str text = {NULL, 0};
    if ((!a->keys && !a->tokens) || find_credential(x, &text) != AUTH_FOUND)
        return NULL;
    char *kept = xmalloc(text.n + 1);
    memcpy(kept, text.p, text.n);
    kept[text.n] = '\0';
    return kept;
}

bool auth_holds(struct auth *a, const char *credential, unsigned any_of, struct auth_identity *out)
{
    struct str text = str_of(credential);
    struct err e;
    *out = (struct auth_identity){0};
    if (is_key(a, text))
        return judge_key(a, text, out, &e) == 0 && (out->scopes & any_of) != 0;
    return a->tokens && judge_token(a, "", text, out, &e) == 0 && (out->scopes & any_of) != 0;
}

static int lacks_scope(struct auth *a, struct http_exchange *x, unsigned any_of)
{
    static const char *const names[] = {"ingest", "read", "admin"};
    char wanted[32] = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (any_of & scope_of(str_of(names[i]))) {
            size_t n = strlen(wanted);
            snprintf(wanted + n, sizeof(wanted) - n, "%s%s", n ? " or " : "", names[i]);
        }
    }
    a->stats->lacks_scope++;
    http_problemf(x, 403, "the credential lacks the scope %s", wanted);
    return -1;
}

static int check(struct auth *a, struct http_exchange *x, unsigned any_of,
                 struct auth_identity *out)
{
    struct str text = {NULL, 0};
    struct err e;
    switch (find_credential(x, &text)) {
    case AUTH_FOUND_NONE:
        a->stats->absent++;
        reply_401(x);
        return -1;
    case AUTH_FOUND_BROKEN:
        refuse(a, x, "it is not one credential in one header field");
        return -1;
    case AUTH_FOUND:
        break;
    }
    bool key = is_key(a, text);
    if (key && auth_keys_ready(a->keys, &e) != 0) {
        reply_unavailable(a, x);
        return -1;
    }
    if ((key ? judge_key(a, text, out, &e) : judge_token(a, http_peer(x), text, out, &e)) != 0) {
        refuse(a, x, e.detail);
        return -1;
    }
    if (!(out->scopes & any_of))
        return lacks_scope(a, x, any_of);
    return 0;
}

int auth_check(struct auth *a, struct http_exchange *x, unsigned any_of, struct auth_identity *out)
{
    *out = (struct auth_identity){0};
    if (!a->keys && !a->tokens)
        return 0;
    if (check(a, x, any_of, out) != 0)
        return -1;
    a->stats->accepted++;
    http_note_key(x, out->id);
    return 0;
}

int auth_admit(struct auth *a, struct http_exchange *x, unsigned any_of, struct auth_identity *out)
{
    *out = (struct auth_identity){0};
    return a->keys || a->tokens ? check(a, x, any_of, out) : 0;
}
