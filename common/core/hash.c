// SPDX-License-Identifier: Apache-2.0
#include "common/core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint32_t load_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t hash_murmur2(const void *data, size_t n)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *p = data;
    // Java's length is an int: only the low 32 bits take part.
    uint32_t h = 0x9747b28c ^ (uint32_t)n;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k = load_le32(p) * m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    if (n > 0) {
        for (size_t i = 0; i < n; i++)
            h ^= (uint32_t)p[i] << (8 * i);
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

int32_t hash_partition(struct str key, int32_t partitions)
{
    assert(partitions > 0);
    return (int32_t)(hash_murmur2(key.p, key.n) & 0x7fffffff) % partitions;
}

void hash_key_init(struct hash_key *k, const void *seed, size_t n)
{
    // XXH3's own generator of secrets is not part of the stable interface of 0.8.1.
    for (size_t i = 0; i < sizeof(k->secret); i += 16) {
        XXH128_hash_t h = XXH3_128bits_withSeed(seed, n, i + 1);
        memcpy(k->secret + i, &h.low64, 8);
        memcpy(k->secret + i + 8, &h.high64, 8);
    }
}

uint64_t hash_keyed64(const struct hash_key *k, const void *p, size_t n)
{
    return XXH3_64bits_withSecret(p, n, k->secret, sizeof(k->secret));
}

struct hash128 hash_keyed128(const struct hash_key *k, const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits_withSecret(p, n, k->secret, sizeof(k->secret));
    return (struct hash128){.hi = h.high64, .lo = h.low64};
}

uint64_t hash_stable64(const void *p, size_t n)
{
    assert(p || n == 0);
    return XXH64(p, n, 0);
}
