// SPDX-License-Identifier: Apache-2.0
// What a client of Prometheus' API asks for: decoded parameters in, a typed request or an error in
// Prometheus' words out. Pure: the time of asking is an argument.
//
// Other than with Prometheus: NaN and Inf are no times; a step below a millisecond is none; lists
// are of a day unless told, and their end is not before their start; exemplars are never refused;
// metadata's limit=0 is no limit; label names are taken as they stand (no "U__…").
#ifndef STREAMLENS_PROMETHEUS_REQUEST_H
#define STREAMLENS_PROMETHEUS_REQUEST_H

#include "common/core/buf.h"
#include "common/core/err.h"

enum prom_endpoint {
    PROM_QUERY,
    PROM_QUERY_RANGE,
    PROM_SERIES,
    PROM_LABELS,
    PROM_LABEL_VALUES,
    PROM_METADATA,
    PROM_QUERY_EXEMPLARS,
    PROM_RULES,
    PROM_ALERTS,
    PROM_BUILDINFO,
};

#define PROM_MATCHES_MAX 32 // match[] of a request
#define PROM_QUERY_BYTES_MAX 65536
#define PROM_PARAMETERS_MAX 300   // unknown ones too
#define PROM_STEPS_MAX 11000      // of a range, as Prometheus
#define PROM_SPAN_DEFAULT_S 86400 // of series and labels without a start
// Times beyond are these: their µs fit, with a thousand years to spare on either side.
#define PROM_TIME_MAX_MS INT64_C(8000000000000000)

// Zero-initialise it but for the endpoint to begin. Times in ms since 1970.
struct prom_request {
    enum prom_endpoint endpoint;
    char *query;                     // owned; of query, query_range (and exemplars)
    char *matches[PROM_MATCHES_MAX]; // owned; of series, labels, label values
    size_t match_count;
    char *label;                       // owned; whose values: prom_request_label()
    char *metric;                      // owned; of metadata; NULL: all
    int64_t start_ms, end_ms, step_ms; // of an instant: start = end = time, step 0
    int64_t timeout_ms;                // 0: not given
    int64_t lookback_ms;               // lookback_delta; 0: not given
    int64_t limit;                     // of series, names, metadata; 0: none
    bool open;                         // open_windows=true: windows that are not closed yet too
    // Of parameters: bits of those that came, of those that were not empty, and how many came.
    unsigned seen, given;
    size_t parameter_count;
};

// One parameter, of the body or the query string. Unknown names are ignored, an empty value counts
// as not given; match[] may be repeated, of others the first counts (as with Prometheus).
// -1: e.detail is all of Prometheus' text.
int prom_request_param(struct prom_request *r, struct str name, struct str value,
                       struct err *e) MUST_CHECK;
// The label of label values, decoded, once.
int prom_request_label(struct prom_request *r, struct str name, struct err *e) MUST_CHECK;
// Defaults, what has to be there, what goes together. now_ms: the time of asking. Where it
// succeeds, start_ms <= end_ms, and of ranges step_ms > 0.
int prom_request_finish(struct prom_request *r, int64_t now_ms, struct err *e) MUST_CHECK;
void prom_request_clear(struct prom_request *r);

#endif
