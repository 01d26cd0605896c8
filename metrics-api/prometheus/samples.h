// SPDX-License-Identifier: Apache-2.0
// Facts to samples, as README.md tells. Pure.
#ifndef STREAMLENS_PROMETHEUS_SAMPLES_H
#define STREAMLENS_PROMETHEUS_SAMPLES_H

#include "metrics-api/prometheus/metric.h"
#include "metrics-api/promql/arena.h"

#define SAMPLES_FILL_MINUTES 5 // as long as Prometheus looks back

struct samples_spec {
    const struct metric *metric;
    struct facts_rows rows; // of the metric's group; from samples_needs() on
    // Stamps of the samples that are wanted, both included.
    int64_t from_ms, to_ms;
    // Windows that end later are not there: data_through, or where open ones are wanted the end of
    // the minute under way. A whole minute.
    int64_t through_us;
    // Windows that begin before are not there: retention has dropped them. A midnight, or
    // INT64_MIN.
    int64_t kept_from_us;
};

// Which rows samples of these stamps are made of. Of counters, hours from hours_from_us (a
// midnight) up to minutes_from_us (a whole hour), none where the two are the same, and minutes from
// there up to to_us. Of gauges minutes alone, from a multiple of FACTS_BLOCK_MINUTES on.
struct samples_need {
    int64_t hours_from_us, minutes_from_us, to_us;
};
struct samples_need samples_need(bool gauge, int64_t from_ms, int64_t to_ms);

// Names of a metric's own label that are told apart; the bytewise greatest of more are __other__.
#define SAMPLES_NAMES_MAX 128

// A series' samples for one value of the metric's own label (empty where it has none, or a fixed
// one). Times rise strictly; variants may share them.
struct samples {
    struct str label;
    const int64_t *t_ms;
    const double *v;
    size_t n; // at least 1
};
// Variants that have samples, by label (of buckets by bound, +Inf last; labels are the table's);
// how many. All is in the arena but for that. `wants` (NULL: all) tells for which labels: it is
// asked once for each that there is, where the source makes them.
size_t samples_make(const struct samples_spec *spec, bool (*wants)(void *arg, struct str label),
                    void *arg, struct arena *a, struct samples **out);

#endif
