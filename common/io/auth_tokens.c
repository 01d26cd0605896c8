// SPDX-License-Identifier: Apache-2.0
// The file is small and local: it is read whole, while the loop waits.
#include "common/io/auth_tokens.h"

#include "common/io/auth_stats.h"
#include "common/io/auth_token_cache.h"
#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct auth_tokens {
    const char *path;
    struct jwt_rules rules;
    struct auth_stats *stats;
    struct jwks *keys;
    struct stat seen; // of the file that keys are from
    struct token_cache *cache;
    struct err failed; // what was logged last; detail "" = nothing is wrong
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_whole(int fd, struct buf *text)
{
    buf_reserve(text, AUTH_JWKS_BYTES_MAX + 1);
    ssize_t got;
    while (text->n <= AUTH_JWKS_BYTES_MAX &&
           (got = read(fd, text->p + text->n, AUTH_JWKS_BYTES_MAX + 1 - text->n)) != 0) {
        if (got > 0)
            text->n += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static int check_mode(const struct stat *st, bool secrets, struct err *e)
{
    if (st->st_mode & S_IWOTH)
        return err_set(e, "everybody may write to it, and so make keys: chmod o-w");
    if (secrets && (st->st_mode & S_IROTH))
        return err_set(e, "everybody may read it, and it holds symmetric keys: chmod o-rwx");
    return 0;
}

static struct jwks *parse_file(int fd, const struct stat *st, struct err *e)
{
    struct buf text = {0};
    struct jwks *keys = NULL;
    if (read_whole(fd, &text) != 0)
        err_set(e, "cannot be read: %s", strerror(errno));
    else if (text.n > AUTH_JWKS_BYTES_MAX)
        err_set(e, "has more than %d bytes", AUTH_JWKS_BYTES_MAX);
    else
        keys = jwks_parse((struct str){text.p, text.n}, e);
    if (text.p)
        explicit_bzero(text.p, text.cap);
    buf_free(&text);
    if (keys && check_mode(st, jwks_holds_secrets(keys), e) != 0) {
        jwks_free(keys);
        keys = NULL;
    }
    return keys;
}

// 1: read, 0: as it was, -1: of no use.
static int load(struct auth_tokens *t, struct err *e)
{
    struct stat st;
    // A pipe must not make the loop wait.
    int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, "cannot be opened: %s", strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, "is no regular file");
    }
    bool same = t->keys && same_file(&st, &t->seen);
    struct jwks *keys = same ? NULL : parse_file(fd, &st, e);
    close(fd);
    if (!keys)
        return same ? 0 : -1;
    jwks_free(t->keys);
    t->keys = keys;
    t->seen = st;
    token_cache_clear(t->cache);
    return 1;
}

void auth_tokens_look(struct auth_tokens *t)
{
    struct err e = {.offset = -1};
    int rc = load(t, &e);
    if (rc < 0) {
        t->stats->jwks_readings_failed++;
        if (strcmp(t->failed.detail, e.detail) != 0)
            log_error("JWT_JWKS_FILE cannot be used; its keys stay as they were", "file", t->path,
                      "error", e.detail);
        t->failed = e;
        return;
    }
    if (rc > 0 || t->failed.detail[0])
        log_info("JWT_JWKS_FILE read", "file", t->path, "keys",
                 log_num((int64_t)jwks_count(t->keys)));
    t->failed = (struct err){0};
    t->stats->jwks_readings_ok += rc;
    t->stats->jwks_keys = (int64_t)jwks_count(t->keys);
}

void auth_tokens_retry(struct auth_tokens *t)
{
    if (t->failed.detail[0])
        auth_tokens_look(t);
}

struct auth_tokens *auth_tokens_new(const struct config *c, int64_t leeway_us,
                                    struct auth_stats *stats, struct err *e)
{
    struct auth_tokens *t = xcalloc(1, sizeof(*t));
    t->path = c->jwt_jwks_file;
    t->rules = (struct jwt_rules){.issuer = c->jwt_issuer,
                                  .audience = c->jwt_audience,
                                  .tenant_claim = c->jwt_tenant_claim,
                                  .leeway_us = leeway_us};
    t->stats = stats;
    t->cache = token_cache_new(AUTH_TOKENS_MAX);
    auth_tokens_look(t);
    if (t->keys)
        return t;
    (void)err_field(e, "JWT_JWKS_FILE", -1, "%.200s %.250s", t->path, t->failed.detail);
    auth_tokens_free(t);
    return NULL;
}

void auth_tokens_free(struct auth_tokens *t)
{
    if (!t)
        return;
    token_cache_free(t->cache);
    jwks_free(t->keys);
    free(t);
}

const struct jwt_claims *auth_tokens_check(struct auth_tokens *t, struct str token, bool may_check,
                                           int64_t now_us, struct err *e)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    _Static_assert(TOKEN_DIGEST_BYTES == API_KEY_HASH_BYTES, "both are SHA-256");
    api_key_hash(token, digest);
    const struct jwt_claims *known = token_cache_find(t->cache, digest);
    if (known && jwt_check_time(&t->rules, known, now_us, e) == 0) {
        t->stats->tokens_cached++;
        return known;
    }
    if (known) {
        token_cache_drop(t->cache, digest);
        return NULL;
    }
    if (!may_check) {
        (void)err_set(e, "the token is new, and its address over the limit");
        return NULL;
    }
    t->stats->tokens_checked++;
    struct jwt_claims claims;
    if (jwt_check(t->keys, &t->rules, token, now_us, &claims, e) != 0)
        return NULL;
    return token_cache_add(t->cache, digest, &claims);
}
