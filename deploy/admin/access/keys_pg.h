// SPDX-License-Identifier: Apache-2.0
// API keys in the database. Which keys are active is judged by the database's clock.
#ifndef STREAMLENS_ADMIN_KEYS_PG_H
#define STREAMLENS_ADMIN_KEYS_PG_H

#include "common/core/config.h"
#include "common/core/key_table.h"

// Of one (tenant, name): enough to change from one key to the next without a gap.
#define KEYS_ACTIVE_MAX 2

struct keys;
struct keys *keys_open(const struct config *c, struct err *e) MUST_CHECK;
void keys_close(struct keys *k);
int64_t keys_now_us(const struct keys *k); // as of keys_open

enum key_state { KEY_ACTIVE, KEY_EXPIRED, KEY_REVOKED };

struct key_row {
    char id[API_KEY_ID_LEN + 1];
    unsigned char hash[API_KEY_HASH_BYTES]; // written, never read
    char *tenant, *name;                    // owned where the row was read
    unsigned scopes;
    int64_t events_per_second; // 0: no limit
    int64_t expires_us;        // INT64_MAX: never
    enum key_state state;
    int64_t created_us, last_used_us; // INT64_MIN: not known, never
};
void key_row_clear(struct key_row *row);

// Ordered by tenant, name and time. tenant NULL: all. The caller clears the rows and frees them.
int keys_list(struct keys *k, const char *tenant, struct key_row **rows, size_t *count,
              struct err *e) MUST_CHECK;

// Refused where as many as may be are active already, or services could not keep one more.
int keys_create(struct keys *k, const struct key_row *row, struct err *e) MUST_CHECK;

// *again: it was revoked before.
int keys_revoke(struct keys *k, const char *id, bool *again, struct err *e) MUST_CHECK;

// *next comes with id, hash and expires_us (0: it lives as long as the old one was made for) and
// takes the rest from the old key, which expires after overlap_us at the latest: *old_expires_us.
int keys_rotate(struct keys *k, const char *id, int64_t overlap_us, struct key_row *next,
                int64_t *old_expires_us, struct err *e) MUST_CHECK;

#endif
