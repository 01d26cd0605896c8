// SPDX-License-Identifier: Apache-2.0
// Where the metrics are read: a typed query in, rows out, later and from the same loop. repo_pg.c
// is PostgreSQL; tests may link another.
//
// Every statement has the tenant as a predicate, in one place (repo_pg.c).
#ifndef STREAMLENS_REPO_H
#define STREAMLENS_REPO_H

#include "common/core/config.h"
#include "common/core/metrics_row.h"
#include "metrics-api/query.h"

enum repo_state {
    REPO_AWAY,     // not to be reached; tried again by itself
    REPO_UNUSABLE, // reached, but not ours: credentials, database, schema; tried again as well
    REPO_UP,
};
typedef void (*repo_state_fn)(void *arg, enum repo_state state, const struct err *e);

struct event_base;
struct pg_stats;
struct repo;
struct repo *repo_new(struct event_base *base, const struct config *c, repo_state_fn on_state,
                      void *arg, struct pg_stats *stats, struct err *e) MUST_CHECK;
// Requests still under way end with REPO_UNAVAILABLE from within this call.
void repo_free(struct repo *r);
bool repo_up(const struct repo *r);

enum repo_status {
    REPO_OK,
    REPO_UNAVAILABLE, // ask again later: no database, no room, or it took too long
    REPO_FAILED,      // asking again will not help
};

struct repo_rows;
size_t repo_rows_count(const struct repo_rows *rows);
// Fills row; its strings are good as long as rows. -1 where the database's answer has another form.
int repo_rows_get(const struct repo_rows *rows, size_t i, struct metrics_row *row,
                  struct err *e) MUST_CHECK;

// rows with REPO_OK only, good until it returns; otherwise e says why.
typedef void (*repo_done)(void *arg, enum repo_status status, const struct repo_rows *rows,
                          const struct err *e);

// The newest windows first, then by route and model. Takes what q owns over and leaves it empty.
// done is called once, never from within this call. The handle is good until done or repo_cancel().
struct repo_request;
struct repo_request *repo_metrics(struct repo *r, struct query *q, repo_done done, void *arg);
void repo_cancel(struct repo_request *req); // nobody waits any more: done is not called

#endif
