// SPDX-License-Identifier: Apache-2.0
// Where the metrics are read: a question in, rows of facts out, as they come and from the same
// loop. repo_pg.c is PostgreSQL, repo_sql_pg.c its statements; tests may link another.
//
// Every statement for rows has the tenant as a predicate, in one place (repo_sql_pg.c).
#ifndef STREAMLENS_REPO_H
#define STREAMLENS_REPO_H

#include "common/core/config.h"
#include "common/core/fact_row.h"
#include "metrics-api/plan.h"
#include "metrics-api/price_book.h"
#include "metrics-api/question.h"

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

// What holds for all rows, of the same snapshot as they. Arrays are owned by who gives it.
struct repo_meta {
    int64_t closed_through_us; // INT64_MIN: nothing has closed yet
    struct plan_kept kept;
    int64_t *open, *partly;          // windows that are not closed; closed without some partitions
    size_t open_count, partly_count; // both sorted
    struct plan_span *gaps;          // windows that overlap one may lack lost records
    size_t gap_count;
};

enum repo_status {
    REPO_OK,
    REPO_UNAVAILABLE, // ask again later: no database, no room, or it took too long
    REPO_FAILED,      // asking again will not help
    REPO_STOPPED,     // by on_row
};
// A row, good until it returns; complete, lossy and closed are not set. -1 ends the request with
// REPO_STOPPED.
typedef int (*repo_row_fn)(void *arg, const struct fact_row *row);
// meta with REPO_OK only, good until it returns; e with REPO_UNAVAILABLE and REPO_FAILED.
typedef void (*repo_done)(void *arg, enum repo_status status, const struct repo_meta *meta,
                          const struct err *e);

// done is called once, never from within these calls; the handle is good until then, or until
// repo_cancel(). The question is not needed any more when they return. wants: bits of
// common/io/fact_row_pg.h.
struct repo_request;

// Stored windows: the first q->limit + 1 of the question's order, behind q->after, in any order.
struct repo_request *repo_rows(struct repo *r, const struct question *q, int wants,
                               repo_row_fn on_row, repo_done done, void *arg);
// All rows of the plan's spans, minutes and hours, in any order.
struct repo_request *repo_facts(struct repo *r, const struct question *q, const struct plan *plan,
                                int wants, repo_row_fn on_row, repo_done done, void *arg);
// What exists: of each name (by the endpoint a series, tenant, route or model) its names, and in
// window_start_us and window_end_us the starts of its first and last window of the range, in
// `requests` how many series it has. The first q->limit + 1 by name, behind q->after. Of meta there
// is closed_through_us, and that only where there are names.
struct repo_request *repo_names(struct repo *r, const struct question *q, repo_row_fn on_row,
                                repo_done done, void *arg);

// What has changed: rows of windows that some transaction has changed that is not visible in
// `since`. Rows may be among them that have not changed; none is missing. The callbacks come in
// this order: on_look once, on_row or on_key, done (without meta).
struct repo_look {
    const char *position;   // of this look, as text (position.h)
    int64_t windows;        // that have changed, of all tenants
    int64_t from_us, to_us; // around them
};
struct repo_look_reader {
    // meta is good until done, and of repo_look_keys() empty; look is NULL of repo_look_rows(). -1
    // ends the request with REPO_STOPPED.
    int (*on_look)(void *arg, const struct repo_meta *meta, const struct repo_look *look);
    repo_row_fn on_row;
    int (*on_key)(void *arg, int64_t series_id, int64_t window_start_us);
    repo_done done;
    void *arg;
};
// Rows of some tenants. `since` is a pg_snapshot, NULL: nothing but where it stands. Of more than
// windows_max windows no row is given.
struct repo_request *repo_look(struct repo *r, const char *const *tenants, size_t n,
                               const char *since, int64_t windows_max, int wants,
                               const struct repo_look_reader *reader);
// The keys of the question's.
struct repo_request *repo_look_keys(struct repo *r, const struct question *q, const char *since,
                                    int64_t windows_max, const struct repo_look_reader *reader);
struct repo_key {
    int64_t series_id, window_start_us;
};
// Rows by their keys, those that are the question's.
struct repo_request *repo_look_rows(struct repo *r, const struct question *q,
                                    const struct repo_key *keys, size_t n, int wants,
                                    const struct repo_look_reader *reader);
void repo_cancel(struct repo_request *req); // nobody waits any more: done is not called

// The price catalogue, as new as when it was asked for. Likewise but for the row; book with REPO_OK
// only, good until done returns.
typedef void (*repo_prices_done)(void *arg, enum repo_status status, const struct price_book *book,
                                 const struct err *e);
struct repo_prices;
struct repo_prices_request;
struct repo_prices *repo_prices(struct repo *r);
struct repo_prices_request *repo_prices_ask(struct repo_prices *p, repo_prices_done done,
                                            void *arg);
void repo_prices_cancel(struct repo_prices_request *req);

#endif
