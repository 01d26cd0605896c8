// SPDX-License-Identifier: Apache-2.0
// API keys: their text and its hash. Pure.
//
//   slk_<id>_<secret>_<crc>
//     id      12 characters of base62 (0-9A-Za-z), not secret: what logs and lists name
//     secret  43 characters of base62, 256 bits
//     crc     6 characters of base62: CRC-32 (zlib's) of all before the last '_', so that a typing
//             error is told from a wrong key, and scanners of leaked secrets can be sure
//
// The hash is SHA-256 of the whole text: a random key of 256 bits needs no slow hash.
#ifndef STREAMLENS_API_KEY_H
#define STREAMLENS_API_KEY_H

#include "common/core/err.h"

#define API_KEY_ID_LEN 12
#define API_KEY_LEN (4 + API_KEY_ID_LEN + 1 + 43 + 1 + 6)
#define API_KEY_HASH_BYTES 32
#define API_KEY_RANDOM_BYTES 80 // more than base62 takes: bytes that would bias it are skipped

// What a credential allows.
enum scope { SCOPE_INGEST = 1, SCOPE_READ = 2, SCOPE_ADMIN = 4 };
// "ingest", "read", "admin"; 0 for any other.
unsigned scope_of(struct str name);

// Makes a key of random bytes; -1 where they do not suffice (ask again with others).
int api_key_make(const unsigned char random[API_KEY_RANDOM_BYTES],
                 char out[API_KEY_LEN + 1]) MUST_CHECK;
// Whether the text has the form and the checksum of a key. Its id is text.p + 4.
bool api_key_is_well_formed(struct str text);
void api_key_hash(struct str text, unsigned char out[API_KEY_HASH_BYTES]);

#endif
