// SPDX-License-Identifier: Apache-2.0
// The metrics that /api/v1 serves, a table: names, types, help, and of which facts each is made.
// METRICS.md is generated from it.
//
// Names and label names: OpenTelemetry's semantic conventions for generative AI (gen_ai.*), as
// Prometheus translates them; gen_ai_usage_cost_USD as LiteLLM has it; else llm_*, as the tables.
#ifndef STREAMLENS_PROMETHEUS_METRIC_H
#define STREAMLENS_PROMETHEUS_METRIC_H

#include "common/core/buf.h"
#include "metrics-api/prometheus/facts.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_source {
    METRIC_COLUMNS, // `plus` less `minus`, by `divisor`
    METRIC_ERRORS,  // of error_classes, a variant a class
    METRIC_REASONS, // of finish_reasons, likewise
    METRIC_BUCKETS, // of the group's histogram, a variant a bound, cumulative, +Inf last
};

// A name that samples have. Several rows may share one, each with a fixed value of `label`.
struct metric {
    const char *name;      // "gen_ai_client_operation_duration_seconds_bucket"
    const char *family;    // "gen_ai_client_operation_duration_seconds"; of others the name itself
    const char *help;      // the family's
    const char *unit;      // "seconds", "" …, as /api/v1/metadata tells it
    enum metric_type type; // the family's
    bool gauge;            // samples are gauges (README.md, Samples); else counters
    const char *label;     // beyond the common ones; NULL: none
    const char *value;     // of that label; NULL: by the source
    enum metric_source source;
    enum facts_group group;
    uint64_t plus, minus; // bits by the group's columns
    int64_t divisor;      // 1; 1000000: µs to seconds; 10^12: picodollars to USD
};
extern const struct metric metrics[];
extern const size_t metric_count;

// The bounds of a histogram's buckets in µs, ascending, without +Inf; and as labels ("0.01",
// …, "+Inf": one more).
struct metric_bounds {
    const int64_t *upper_us;
    const char *const *le;
    size_t n;
};
const struct metric_bounds *metric_bounds(enum facts_group group);

// Labels that every series has, sorted: gen_ai_request_model, model, route, service_name,
// tenant_id. gen_ai_request_model is the model and service_name the route, under the names that
// dashboards for OpenTelemetry's metrics use.
enum { METRIC_LABELS = 5 };
extern const struct str metric_labels[METRIC_LABELS];
// Its values for a series, in that order.
void metric_label_values(struct str tenant_id, struct str route, struct str model,
                         struct str values[METRIC_LABELS]);

void metric_reference(struct buf *out); // METRICS.md

#endif
