// SPDX-License-Identifier: Apache-2.0
// The API keys that a service knows. Pure: filled by who reads them from the database, asked on
// every request.
#ifndef STREAMLENS_KEY_TABLE_H
#define STREAMLENS_KEY_TABLE_H

#include "common/core/api_key.h"

#define KEY_TABLE_MAX 100000

struct key_record {
    char id[API_KEY_ID_LEN + 1];
    unsigned char hash[API_KEY_HASH_BYTES];
    char *tenant; // owned; "" for a key that has admin alone
    unsigned scopes;
    int64_t expires_us;        // wall clock; INT64_MAX = never
    int64_t events_per_second; // 0 = no limit
    bool used;                 // since the flag was last cleared
};

struct key_table;
struct key_table *key_table_new(void);
void key_table_free(struct key_table *t);
// Takes over what the record owns (r->tenant is NULL then). Revoked keys are not added. -1, and
// nothing taken: KEY_TABLE_MAX, or the id is there. Records move when others are added.
int key_table_add(struct key_table *t, struct key_record *r) MUST_CHECK;
size_t key_table_count(const struct key_table *t);
struct key_record *key_table_at(struct key_table *t, size_t i);
// By the API_KEY_ID_LEN characters of an id; NULL where it is not there. Proves nothing.
struct key_record *key_table_by_id(struct key_table *t, const char *id);

// Sets `used` of every record whose id is also in `from`, and used there.
void key_table_carry_used(struct key_table *t, struct key_table *from);

// The record of a presented key: NULL where its form, id, hash (compared in constant time) or time
// is wrong. Which of them is not told.
struct key_record *key_table_find(struct key_table *t, struct str text, int64_t now_us);

#endif
