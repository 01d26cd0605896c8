// SPDX-License-Identifier: Apache-2.0
// Hashes. murmur2 decides partitions and must equal the Java client's; the keyed hash guards tables
// against keys chosen to collide, and its values never leave the process.
#ifndef STREAMLENS_HASH_H
#define STREAMLENS_HASH_H

#include "common/core/base.h"

// org.apache.kafka.common.utils.Utils.murmur2, and DefaultPartitioner's toPositive(h) % n.
uint32_t hash_murmur2(const void *p, size_t n);
int32_t hash_partition(struct str key, int32_t partitions);

// XXH3 under a secret of the process. Init once from random (or, in tests, seeded) bytes.
struct hash_key {
    unsigned char secret[192];
};
struct hash128 {
    uint64_t hi, lo;
};
void hash_key_init(struct hash_key *k, const void *seed, size_t n);
uint64_t hash_keyed64(const struct hash_key *k, const void *p, size_t n);
struct hash128 hash_keyed128(const struct hash_key *k, const void *p, size_t n);

// Unkeyed and the same on every machine: for values that are stored (XXH64, seed 0).
uint64_t hash_stable64(const void *p, size_t n);

#endif
