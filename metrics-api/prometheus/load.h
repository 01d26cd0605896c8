// SPDX-License-Identifier: Apache-2.0
// What queries select, brought: whose series there are, the facts of their minutes, and samples and
// percentiles made of them. From memory where that still holds, else through the repo. From one
// event loop.
//
// Of a scope (a tenant, or all) one load reads at a time, the others wait and then find what it
// read: a dashboard's panels all want the same at once.
#ifndef STREAMLENS_PROMETHEUS_LOAD_H
#define STREAMLENS_PROMETHEUS_LOAD_H

#include "common/core/config.h"
#include "metrics-api/freshness.h"
#include "metrics-api/metrics_stats.h"
#include "metrics-api/promql/promql.h"
#include "metrics-api/prometheus/write.h"
#include "metrics-api/repo.h"

#define PROM_LOADS_MAX 4         // that read at the same time
#define PROM_LOADS_WAITING 500   // further ones are refused
#define PROM_SERIES_LISTED 50000 // label sets of an answer

struct prom_loader;
// Borrows all.
struct prom_loader *prom_loader_new(struct event_base *base, struct repo *repo,
                                    const struct config *c, const struct hash_key *hash_key,
                                    const struct freshness *freshness, struct metrics_stats *stats);
// The repo is gone by then. Loads that still wait end with PROM_UNAVAILABLE from within this call.
void prom_loader_free(struct prom_loader *p);

enum prom_load_what {
    PROM_LOAD_SAMPLES, // of a query: `sets` and `quantiles`
    PROM_LOAD_SERIES,  // which label sets there are: `series`
    PROM_LOAD_LABELS,  // which labels they have: `names`
    PROM_LOAD_VALUES,  // and which values one of them: `names`
};
// All of it is borrowed until done.
struct prom_load_spec {
    enum prom_load_what what;
    struct str label;     // of values: whose
    size_t list_max;      // of label sets: no more than these, any of them; 0: more are an error
    struct str tenant_id; // p NULL: of all tenants
    bool open;            // windows that are not closed too
    const struct promql_select *selects;
    size_t select_count;
    const struct promql_quantile *quantiles; // of samples; by when
    size_t quantile_count;
    struct promql_when when;
    size_t samples_max;
    int64_t timeout_us; // from now on
};

// What was brought; good until prom_loaded_clear().
struct prom_loaded {
    struct promql_series_set *sets;           // one a select
    struct promql_quantile_answer *quantiles; // one a quantile
    bool by_the_hour;                         // hours were read for minutes
    struct labels *series;                    // sorted, each once
    size_t series_count;
    struct str *names; // likewise
    size_t name_count;
    struct prom_loaded_own *own;
};
void prom_loaded_clear(struct prom_loaded *l);

// done is called once, never from within prom_load_begin(). loaded is the callee's to clear; NULL:
// it failed, `type` and e tell how. The handle is good until then, or until prom_load_cancel().
struct prom_load;
typedef void (*prom_load_done)(void *arg, struct prom_loaded *loaded, enum prom_error type,
                               const struct err *e);
struct prom_load *prom_load_begin(struct prom_loader *p, const struct prom_load_spec *spec,
                                  prom_load_done done, void *arg);
void prom_load_cancel(struct prom_load *l);

#endif
