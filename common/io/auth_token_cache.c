// SPDX-License-Identifier: Apache-2.0
// The digest is its own hash: only tokens that somebody with a key has signed come in here.
#include "common/io/auth_token_cache.h"

#include <sys/queue.h>

struct entry {
    LIST_ENTRY(entry) chain;
    TAILQ_ENTRY(entry) link;
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct jwt_claims claims;
};
LIST_HEAD(chain, entry);

struct token_cache {
    struct chain *chains;
    size_t slots, count, max;
    TAILQ_HEAD(, entry) order; // asked for longest ago first
};

struct token_cache *token_cache_new(size_t max)
{
    struct token_cache *c = xcalloc(1, sizeof(*c));
    c->max = max;
    for (c->slots = 1; c->slots < max;)
        c->slots *= 2;
    c->chains = xcalloc(c->slots, sizeof(*c->chains));
    TAILQ_INIT(&c->order);
    return c;
}

static void entry_free(struct token_cache *c, struct entry *e)
{
    LIST_REMOVE(e, chain);
    TAILQ_REMOVE(&c->order, e, link);
    c->count--;
    jwt_claims_clear(&e->claims);
    free(e);
}

void token_cache_clear(struct token_cache *c)
{
    struct entry *e;
    while ((e = TAILQ_FIRST(&c->order)))
        entry_free(c, e);
}

void token_cache_free(struct token_cache *c)
{
    if (!c)
        return;
    token_cache_clear(c);
    free(c->chains);
    free(c);
}

static struct chain *chain_of(struct token_cache *c, const unsigned char *digest)
{
    size_t h;
    memcpy(&h, digest, sizeof(h));
    return &c->chains[h & (c->slots - 1)];
}

static struct entry *find(struct token_cache *c, const unsigned char *digest)
{
    struct entry *e;
    LIST_FOREACH(e, chain_of(c, digest), chain)
    {
        if (memcmp(e->digest, digest, TOKEN_DIGEST_BYTES) == 0)
            return e;
    }
    return NULL;
}

const struct jwt_claims *token_cache_find(struct token_cache *c,
                                          const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    struct entry *e = find(c, digest);
    if (!e)
        return NULL;
    TAILQ_REMOVE(&c->order, e, link);
    TAILQ_INSERT_TAIL(&c->order, e, link);
    return &e->claims;
}

const struct jwt_claims *token_cache_add(struct token_cache *c,
                                         const unsigned char digest[TOKEN_DIGEST_BYTES],
                                         struct jwt_claims *claims)
{
    assert(!find(c, digest));
    if (c->count == c->max)
        entry_free(c, TAILQ_FIRST(&c->order));
    struct entry *e = xmalloc(sizeof(*e));
    memcpy(e->digest, digest, sizeof(e->digest));
    e->claims = *claims;
    *claims = (struct jwt_claims){0};
    LIST_INSERT_HEAD(chain_of(c, digest), e, chain);
    TAILQ_INSERT_TAIL(&c->order, e, link);
    c->count++;
    return &e->claims;
}

void token_cache_drop(struct token_cache *c, const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    struct entry *e = find(c, digest);
    if (e)
        entry_free(c, e);
}

size_t token_cache_count(const struct token_cache *c)
{
    return c->count;
}
