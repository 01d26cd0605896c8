// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_peers.h"

#include "common/core/hash.h"

#include <netinet/in.h>
#include <sys/queue.h>

#define SLOTS_MAX (1u << 16)

struct address {
    unsigned char family; // 4 or 6
    unsigned char bytes[8];
};

struct http_peer {
    LIST_ENTRY(http_peer) chain;
    struct address address;
    size_t connections;
};
LIST_HEAD(chain, http_peer);

struct http_peers {
    size_t max_per_address, count;
    struct hash_key key;
    size_t slots; // a power of two
    struct chain chains[];
};

struct http_peers *http_peers_new(size_t max_per_address, size_t connections,
                                  const unsigned char seed[16])
{
    size_t slots = 16;
    while (slots < connections && slots < SLOTS_MAX)
        slots *= 2;
    struct http_peers *p = xcalloc(1, sizeof(*p) + slots * sizeof(p->chains[0]));
    p->max_per_address = max_per_address;
    p->slots = slots;
    hash_key_init(&p->key, seed, 16);
    return p;
}

void http_peers_free(struct http_peers *p)
{
    assert(!p || p->count == 0);
    free(p);
}

static struct address address_of(const struct sockaddr *from)
{
    struct address a = {.family = 4};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        memcpy(a.bytes, &v4.sin_addr, 4);
        return a;
    }
    assert(from->sa_family == AF_INET6);
    struct sockaddr_in6 v6;
    memcpy(&v6, from, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        memcpy(a.bytes, &v6.sin6_addr.s6_addr[12], 4);
        return a;
    }
    a.family = 6;
    memcpy(a.bytes, v6.sin6_addr.s6_addr, 8);
    return a;
}

struct http_peer *http_peers_enter(struct http_peers *p, const struct sockaddr *address)
{
    struct address a = address_of(address);
    struct chain *chain = &p->chains[hash_keyed64(&p->key, &a, sizeof(a)) & (p->slots - 1)];
    struct http_peer *peer;
    LIST_FOREACH(peer, chain, chain)
    {
        if (memcmp(&peer->address, &a, sizeof(a)) != 0)
            continue;
        if (peer->connections == p->max_per_address)
            return NULL;
        peer->connections++;
        return peer;
    }
    peer = xcalloc(1, sizeof(*peer));
    peer->address = a;
    peer->connections = 1;
    LIST_INSERT_HEAD(chain, peer, chain);
    p->count++;
    return peer;
}

void http_peers_leave(struct http_peers *p, struct http_peer *peer)
{
    if (--peer->connections > 0)
        return;
    LIST_REMOVE(peer, chain);
    p->count--;
    free(peer);
}

size_t http_peers_count(const struct http_peers *p)
{
    return p->count;
}
