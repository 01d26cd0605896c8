// SPDX-License-Identifier: Apache-2.0
// The API keys of the table streamlens_key, held in memory. auth.h has the rules; auth.c alone
// includes this.
#ifndef STREAMLENS_AUTH_KEYS_H
#define STREAMLENS_AUTH_KEYS_H

#include "common/core/key_table.h"

#include <event2/event.h>

#define AUTH_LAST_USED_US INT64_C(60000000) // last_used_at is written this often at most

struct auth_stats;
struct auth_keys;
// Begins to read at once. application_name and stats are borrowed. NULL where the DSN cannot be
// understood.
struct auth_keys *auth_keys_new(struct event_base *base, const char *dsn,
                                const char *application_name, struct auth_stats *stats,
                                struct err *e);
void auth_keys_free(struct auth_keys *k);
// Every AUTH_REFRESH_MS: reads all keys, and now and then writes which were used.
void auth_keys_tick(struct auth_keys *k, int64_t now_mono_us);
// Reads where the last reading failed.
void auth_keys_retry(struct auth_keys *k, int64_t now_mono_us);
// Whether they were read once; -1 says why not.
int auth_keys_ready(const struct auth_keys *k, struct err *why) MUST_CHECK;
// As key_table_find(); notes that the key was used. Good until the loop goes on.
const struct key_record *auth_keys_find(struct auth_keys *k, struct str text, int64_t now_wall_us);

#endif
