// SPDX-License-Identifier: Apache-2.0
// Questions over HTTP: from the cache where an answer still holds, together with others who ask the
// same just now, or through answer.h; with entity tags and compression.
//
// How old an answer may be: what a flush committed shows once its notification is here, which takes
// milliseconds; where none comes, CACHE_MAX_AGE_MS. While notifications cannot be heard nothing is
// answered from the cache.
#ifndef STREAMLENS_SERVE_H
#define STREAMLENS_SERVE_H

#include "common/core/config.h"
#include "common/io/http_server.h"
#include "metrics-api/answer.h"
#include "metrics-api/freshness.h"
#include "metrics-api/metrics_stats.h"

struct serve;
// Borrows all.
struct serve *serve_new(struct answerer *an, const struct config *c,
                        const struct hash_key *hash_key, struct metrics_stats *stats);
// No question is under way any more.
void serve_free(struct serve *s);

// Answers x, now or later. Takes what q owns over and leaves it empty.
void serve_question(struct serve *s, struct http_exchange *x, struct question *q);

// The notifications' channel.
void serve_listening(struct serve *s, bool up);
void serve_notified(struct serve *s, const char *payload);
// What was heard there.
const struct freshness *serve_freshness(const struct serve *s);

#endif
