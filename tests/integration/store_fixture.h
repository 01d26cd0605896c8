// SPDX-License-Identifier: Apache-2.0
// What test_store.c stands on, beside a database: stores, and a proxy that loses answers.
#ifndef STREAMLENS_TEST_STORE_FIXTURE_H
#define STREAMLENS_TEST_STORE_FIXTURE_H

#include <check.h>

#include "processor/store_pg.h"
#include "tests/integration/database_fixture.h"

// ---- one writer ----

// A store, with the partitions it has claimed and a dictionary of series.
struct writer {
    struct config config;
    struct store *store;
    struct hash_key key;
    struct series_table *series;
    int64_t series_epoch; // of the cells that are added; 1
    struct store_partition partitions[FIXTURE_PARTITIONS];
    size_t partition_count;
    struct store_cell cells[512];
    struct facts facts[512];
    size_t cell_count;
    struct store_flush flush;
    struct err err; // of the last call
    int idle_calls;
};

void writer_open(struct writer *w, const char *dsn, int64_t timeout_ms);
void writer_open_as(struct writer *w, const char *dsn, int64_t timeout_ms, const char *instance_id);
void writer_close(struct writer *w);
void writer_claim(struct writer *w, int partition); // must succeed
// One more cell of the flush to come. Its facts are empty: fill w->facts[…] as returned.
struct facts *writer_add(struct writer *w, const char *tenant, const char *route, const char *model,
                         int64_t window_start_us);
// n answered requests of the model, with tokens in both directions each.
void facts_use(struct facts *f, const char *model, int64_t n, int64_t prompt_tokens,
               int64_t completion_tokens);
// Forgets the cells of the flush before.
void writer_clear(struct writer *w);
// One call each, with the flush as it stands.
enum store_result writer_begin(struct writer *w);
enum store_result writer_write(struct writer *w);
enum store_result writer_commit(struct writer *w);
enum store_result writer_resolve(struct writer *w);
// The whole flush, begun anew on STORE_RETRY, resolved on STORE_UNKNOWN, as flush.c does; bounded.
// After STORE_OK the partitions' flush_seq is one further.
enum store_result writer_flush(struct writer *w);
void writer_flushed(struct writer *w); // flush_seq + 1, cells cleared

#define T0 INT64_C(1795241640000000) // 2026-11-21T06:14:00Z
#define TIMEOUT_MS 8000
#define ROW                                                                                        \
    "FROM llm_minute m JOIN llm_series s USING (series_id) WHERE route = 'r' AND model = 'm'"
// A cell of tenant t, route r and the model at T0.
void writer_add_simple(struct writer *w, const char *model, int64_t requests);

#define ck_ok(w, call)                                                                             \
    do {                                                                                           \
        enum store_result rc_ = (call);                                                            \
        ck_assert_msg(rc_ == STORE_OK, #call ": %d %s", rc_, (w)->err.detail);                     \
    } while (0)
#define ck_result(w, call, want)                                                                   \
    do {                                                                                           \
        enum store_result rc_ = (call);                                                            \
        ck_assert_msg(rc_ == (want), #call ": %d, not %d: %s", rc_, want, (w)->err.detail);        \
    } while (0)

// ---- a proxy to the database ----

enum proxy_mode {
    PROXY_PASS,
    PROXY_CUT_BEFORE_COMMIT, // closes both sides when the client sends COMMIT, which never arrives
    PROXY_CUT_AFTER_COMMIT, // passes COMMIT on, waits for the answer, and closes instead of passing
                            // it
    PROXY_HOLD_COMMIT,      // closes the client's side, and keeps COMMIT and the server's side
};
struct proxy;
struct proxy *proxy_start(void);
void proxy_stop(struct proxy *p);
const char *proxy_dsn(const struct proxy *p);
void proxy_set(struct proxy *p, enum proxy_mode mode);
// Sends what PROXY_HOLD_COMMIT has kept. True where the server's side still took it.
bool proxy_release(struct proxy *p);

#endif
