// SPDX-License-Identifier: Apache-2.0
// Shared by load*.c alone: one load, and what it needs.
#ifndef STREAMLENS_PROMETHEUS_LOAD_INTERNAL_H
#define STREAMLENS_PROMETHEUS_LOAD_INTERNAL_H

#include <event2/event.h>
#include <sys/queue.h>

#include "metrics-api/prometheus/facts_cache.h"
#include "metrics-api/prometheus/load.h"
#include "metrics-api/prometheus/quantiles.h"
#include "metrics-api/prometheus/samples.h"
#include "metrics-api/prometheus/selection.h"
#include "metrics-api/prometheus/series_names.h"
#include "metrics-api/prometheus/spread.h"

// Minutes times series that a load reads before it takes hours: some three seconds.
#define LOAD_MINUTES 600000

// ---- blocks -------------------------------------------------------------------------------------

// A block that is needed: in use, or yet to be read.
struct need_block {
    uint32_t series; // place in the names
    enum facts_unit unit;
    enum facts_group group;
    int64_t start_us;
    int64_t to_us; // what of it is looked at ends there
    const struct facts_block *block;
    struct facts_filling *filling; // while it is being read
};
struct need_blocks {
    struct need_block *v; // owned
    size_t n;
    uint32_t *table; // places in v plus 1; owned
    size_t table_size;
    size_t bytes; // of those that are to be read, about
};
// The one, NULL: it is not needed.
struct need_block *need_find(const struct need_blocks *b, uint32_t series, enum facts_unit unit,
                             enum facts_group group, int64_t start_us);
// Adds those of [from_us, to_us).
void need_add(struct need_blocks *b, uint32_t series, enum facts_unit unit, enum facts_group group,
              int64_t from_us, int64_t to_us);
void need_let_go(struct need_blocks *b, struct facts_cache *cache); // leaves none
// The rows of a series as far as they are there, in the arena. Hours that end up to spread_us (a
// whole hour) stand for their minutes.
struct facts_rows need_rows(const struct need_blocks *b, uint32_t series, const struct metric *m,
                            const struct samples_need *need, int64_t spread_us, struct arena *a);

// ---- what is wanted -----------------------------------------------------------------------------

// A metric of a select, and which series.
struct want {
    size_t select;
    const struct metric *metric;
    const uint32_t *series; // places in the names
    size_t n;
    size_t quantile; // it is for that one alone; SIZE_MAX: for samples
};

struct prom_loaded_own {
    struct arena arena; // labels, samples
    struct quantiles **quantiles;
    size_t quantile_count;
    struct facts_cache *cache;
    struct need_blocks blocks; // which the quantiles borrow
};

struct prom_load {
    TAILQ_ENTRY(prom_load) all;  // in the loader's list of all
    TAILQ_ENTRY(prom_load) link; // of those who wait, or of those who are to go on
    struct prom_loader *loader;
    struct prom_load_spec spec;
    struct str tenant_id; // the scope's; p NULL: all
    prom_load_done done;
    void *arg;
    struct event *deadline;
    int64_t now_us; // wall clock, at its begin
    struct repo_request *pending;
    bool waits, goes_on, has_turn;
    // Rows that change while it reads: what of it was read before they did, and what after, do not
    // belong together, and then it begins anew. begun_at: freshness when it did; heard: whether it
    // was listening.
    uint64_t begun_at;
    unsigned passes;
    bool has_read, heard;
    int64_t work_until_us; // of the turn it has on the event loop

    struct names *names; // in use; NULL: not there yet
    int64_t names_from_us, names_to_us;
    struct arena arena; // of wants
    struct want *wants;
    size_t want_count;
    // Hours that end up to there are spread over their minutes: those of before kept_from_us are
    // gone, those of more series and hours than LOAD_MINUTES are too many to be read.
    int64_t spread_us, kept_from_us;
    size_t planned;
    struct facts_series **handles; // by place in the names; NULL: not wanted
    struct need_blocks blocks;
    enum facts_group reading;
    uint32_t last_series; // of the last row
    uint64_t since;       // freshness and time when what is being read was asked for
    int64_t read_us;
    struct err e;
    enum prom_error failure;
};

// Names of a scope and hours, in use by loads; kept for the next as long as nothing was heard.
struct names {
    TAILQ_ENTRY(names) link;
    struct buf key;
    size_t uses; // one is the list's
    uint64_t since;
    int64_t read_us, closed_through_us;
    struct series_names series;
};

struct prom_loader {
    struct event_base *base;
    struct repo *repo;
    const struct hash_key *hash_key;
    const struct freshness *freshness;
    struct metrics_stats *stats;
    struct facts_cache *cache;
    struct merged_cache *merged;
    int64_t max_age_us;
    size_t load_bytes;     // of facts, of one load
    struct plan_kept kept; // as the last reading saw it
    TAILQ_HEAD(names_list, names) names;
    size_t names_count;
    TAILQ_HEAD(load_list, prom_load) loads, waiting, going_on;
    size_t waiting_count;
    struct event *next; // one load goes on, and then whoever else has something to do
    struct prom_load *reading[PROM_LOADS_MAX];
};

// Which rows a want is made of, within the range that may have windows at all.
struct samples_need load_need(const struct prom_load *l, const struct want *w);
// What of a load is wanted and where it lies, once the names are there. -1: e and failure.
int load_plan(struct prom_load *l);
// Windows that end up to there are shown.
int64_t load_through(const struct prom_load *l);
// Whether it has kept everybody waiting for long enough: e and failure.
bool load_expired(struct prom_load *l);
// The range of windows that any select of it needs, in whole hours; false: none.
bool load_range(const struct prom_load *l, int64_t now_us, int64_t *from_us, int64_t *to_us);
// Labels, samples and percentiles of what was read. -1: e and failure.
int load_make(struct prom_load *l, struct prom_loaded *out);

#endif
