// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL holds in the simulation: rows, series, positions, windows, settings. Every change
// is one of a committed transaction, and is checked against what must never happen. Sessions, locks
// and lost answers are fake_store's.
#ifndef SIM_FAKE_DB_H
#define SIM_FAKE_DB_H

#include "processor/store.h"
#include "tests/sim/fake_log.h"
#include "tests/sim/random.h"

// Why a row was published.
enum fake_why { WHY_NOT, WHY_FIRST, WHY_CHANGED, WHY_SETTLED, WHY_AGAIN };

// llm_publish: the last publication of a row; seq 0 before the first.
struct fake_published {
    int64_t seq, revision, at_ms, first_seq, first_events;
    bool settled;
    enum fake_why why;
};

struct fake_row {
    int series; // id
    int64_t window_start_us;
    struct facts facts;
    int64_t revision, flushed_by; // flushed_by: the number of the last flush that touched it
    struct fake_published published;
};

struct fake_series { // its id is its index + 1
    char tenant[16], route[16], model[16];
    int64_t epoch; // the series epoch that made it
};

struct fake_tenant {
    char name[16];
    int64_t epoch; // the newest series epoch in which a name of it was resolved
};

struct fake_position {
    int64_t epoch, token, flush_seq;
    int owner_id; // 0 = without one
    bool stored;
    struct position position;
    struct settings settings;
};

struct fake_window {
    int64_t start_us, held_since_ms; // TIME_NONE while nobody holds it back
    bool closed, complete;
    int64_t closed_at_ms;
    // As in llm_window (sql/README.md): what the publisher has looked through, and when it must
    // again; rows whose last sequence is above the one and not above the other are sent again.
    int64_t changes, looked_changes, looked_at_ms, due_at_ms, again_above, again_to;
};

struct fake_gap {
    int partition;
    enum event_kind topic;
    struct log_gap gap;
};

struct fake_epoch {
    int64_t epoch, ttl_ms, skew_ms, max_series, series_epoch;
};

// An array that grows; X is its element.
#define FAKE_ARRAY(X)                                                                              \
    struct {                                                                                       \
        struct X *v;                                                                               \
        size_t n, cap;                                                                             \
    }

#define FAKE_ADD(array)                                                                            \
    (((array)->n == (array)->cap                                                                   \
          ? ((array)->cap = (array)->cap ? (array)->cap * 2 : 16,                                  \
             (array)->v = xrealloc((array)->v, (array)->cap * sizeof(*(array)->v)))                \
          : NULL),                                                                                 \
     &(array)->v[(array)->n++])

// All that a backup holds.
struct fake_state {
    FAKE_ARRAY(fake_row) rows;
    FAKE_ARRAY(fake_series) series;
    FAKE_ARRAY(fake_tenant) tenants;
    FAKE_ARRAY(fake_window) windows;
    FAKE_ARRAY(fake_gap) gaps;
    FAKE_ARRAY(fake_epoch) epochs;
    struct fake_position position[SIM_MAX_PARTITIONS];
    int64_t last_seq, batch_first_seq; // streamlens_publisher
};

struct backend;
struct fake_db {
    struct random *random;
    int partitions;
    struct fake_state now, saved; // saved: an older state to go back to
    bool has_saved;
    struct backend *backends; // sessions; those of dead processes too, until the server notices
    struct backend *locked_by[SIM_MAX_PARTITIONS]; // position rows
    bool may_lose_state; // a log that was deleted before its time: rows may miss what was there
    int fault_percent;   // chance of a fault at each call
    enum lost_commit { COMMIT_BY_CHANCE, COMMIT_LANDS_UNHEARD, COMMIT_IS_LOST } next_commit;
    int64_t commits, restores;
    int64_t publishes; // changes that a publisher made: closing, looking, sequencing
    // The lists of settings that a restored backup took away: dead letters of then were right.
    struct settings *history; // owned, partitions a piece
    size_t history_count;
    const char *violation; // an invariant that did not hold, NULL while all do
};

void fake_db_init(struct fake_db *db, struct random *random, int partitions,
                  const struct fake_epoch *first);
void fake_db_free(struct fake_db *db);
void fake_db_violated(struct fake_db *db, const char *what); // the first one stands

// The id of the series that a name belongs to in a series epoch, made if there is room (processor's
// README, DESIGN 4 rule 9).
int fake_db_resolve(struct fake_db *db, const struct series *series);
// What fake_db_resolve has said, or would say without making anything; 0 where it never was asked.
int fake_db_series_of(const struct fake_db *db, const char *tenant, const char *route,
                      const char *model, int64_t series_epoch);
bool fake_db_has_other(const struct fake_db *db); // whether some name has no row of its own
void fake_db_make_window(struct fake_db *db, int64_t start_us);

// A flush that is committed: cells carry the ids of fake_db_resolve.
struct fake_cell {
    int series;
    int64_t window_start_us;
    const struct facts *facts;
};
void fake_db_flush(struct fake_db *db, int64_t token, const struct store_partition *partitions,
                   size_t partition_count, const struct fake_cell *cells, size_t cell_count);

struct fake_window *fake_db_window(const struct fake_db *db, int64_t start_us); // there is one
// Whether a gap was noted that may concern the window.
bool fake_db_is_lossy(const struct fake_db *db, int64_t start_us);
// What has been published of the window is to be published again.
void fake_db_mark_again(struct fake_db *db, struct fake_window *w);

struct closing_progress fake_db_progress(const struct fake_db *db);
bool fake_db_would_close(const struct fake_db *db, const struct closing_rule *rule, int64_t now_ms);
void fake_db_close(struct fake_db *db, const struct closing_rule *rule, int64_t now_ms);

// streamlens-admin settings: a new epoch from that time on, and every owner is fenced.
void fake_db_open_epoch(struct fake_db *db, const struct fake_epoch *e, int64_t from_ms);
// As another database that was empty would have them.
void fake_db_take_settings(struct fake_db *db, const struct fake_db *from);
const struct fake_epoch *fake_db_newest(const struct fake_db *db);

// A backup of what is committed, and going back to it. Sessions do not outlive that.
void fake_db_save(struct fake_db *db);
void fake_db_restore(struct fake_db *db);

#endif
