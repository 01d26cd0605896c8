// SPDX-License-Identifier: Apache-2.0
// PromQL, pure: a text becomes a query, the query says which series it selects, and with these it
// becomes a result. Semantics, results' order and texts of errors are those of Prometheus 3.
//
//     struct promql_query *q;
//     if (promql_parse(text, &limits, &q, &e) != PROMQL_OK) …
//     const struct promql_select *selects = promql_selects(q, &when, &n);   // fetch these n
//     verdict = promql_eval(q, &when, &input, &limits, &result, &e);
#ifndef STREAMLENS_PROMQL_H
#define STREAMLENS_PROMQL_H

#include "common/core/err.h"
#include "common/core/hash.h"
#include "metrics-api/promql/function.h"
#include "metrics-api/promql/source.h"

// How an answer is refused. The comments are the errorType of Prometheus' API.
enum promql_verdict {
    PROMQL_OK,
    PROMQL_BAD_DATA,    // bad_data: the text is wrong, or asks for too many steps
    PROMQL_UNSUPPORTED, // execution: Prometheus has it, we do not; e.field is its name
    PROMQL_EXECUTION,   // execution: it cannot be evaluated with these series, or within the limits
    PROMQL_TIMEOUT,     // timeout: `expired` said so
};

#define PROMQL_SAMPLE_BYTES 16

struct promql_limits {
    size_t query_bytes; // of a text
    size_t depth;       // of the expression's tree: stack is bounded by it
    size_t selectors;   // of an expression
    size_t names;       // matchers of a selector, labels of a list
    size_t regexes;     // of its matchers; each may take megabytes
    size_t steps;       // of a range
    size_t series;      // of any vector on the way, and of each select
    // In memory at once: what was brought, and steps times series on the way. What else evaluating
    // takes counts as one every PROMQL_SAMPLE_BYTES.
    size_t samples;
    // Asked now and then while evaluating; true ends it. NULL: never.
    bool (*expired)(void *arg);
    void *expired_arg;
};
extern const struct promql_limits promql_limits_default; // 64 KiB, 250, 1000, 200, 64, 11000,
                                                         // 50000, 50 million

#define PROMQL_LOOKBACK_MS (INT64_C(5) * 60 * 1000)

// When to evaluate: at one instant (step_ms 0, end_ms as start_ms), or at start, start + step, … up
// to end.
struct promql_when {
    int64_t start_ms, end_ms, step_ms;
    int64_t lookback_ms; // how old a sample may be and still hold; 0: PROMQL_LOOKBACK_MS
    // Functions take the metric's name from the result only, not from what is computed on the way
    // (Prometheus' feature promql-delayed-name-removal).
    bool delayed_name_removal;
};

struct promql_query;
// 0 with a query that the caller frees; else why not, with its position in e.detail ("1:5: parse
// error: …") and e.offset. The text is copied.
enum promql_verdict promql_parse(struct str text, const struct promql_limits *limits,
                                 struct promql_query **query, struct err *e) MUST_CHECK;
void promql_free(struct promql_query *q);
enum promql_type promql_type_of(const struct promql_query *q);
void promql_print(const struct promql_query *q, struct buf *out); // in one way of writing it

// Only a selector with its matchers, as match[] has it: the matchers are the query's first select.
bool promql_is_selector(const struct promql_query *q);

// Good until the next call or promql_free().
const struct promql_select *promql_selects(struct promql_query *q, const struct promql_when *when,
                                           size_t *n);

// --- percentiles from merged histograms ----------------------------------------------------------

enum promql_grouping {
    PROMQL_EACH, // not aggregated: one group a series (without le)
    PROMQL_BY,
    PROMQL_WITHOUT,
};

// histogram_quantile(φ, sum by (le, …) (rate(x_bucket{…}[r])) ), or with increase(), or without the
// sum: a percentile of all that was recorded in (t - offset - r, t - offset], of each group.
// Whoever has the histograms themselves can answer it better than from buckets.
struct promql_quantile {
    const struct matcher *matchers; // of x_bucket
    size_t matcher_count;
    struct str metric; // x, where the name is given as such; else n 0
    int64_t range_ms, offset_ms;
    enum promql_grouping grouping;
    const struct str *labels; // of by() or without(), le left out
    size_t label_count;
    size_t select; // which of promql_selects()
};
const struct promql_quantile *promql_quantiles(const struct promql_query *q, size_t *n);

// An answer to one of them: `value` is asked for each group at each step (from 0), φ from 0 to 1;
// promql_stale() where the group has none. groups NULL: from the buckets, as Prometheus does.
struct promql_quantile_answer {
    const struct labels *groups; // sorted, each once, without le and __name__
    size_t group_count;
    double (*value)(void *arg, size_t group, size_t step, double phi);
    void *arg;
};

// --- evaluating ----------------------------------------------------------------------------------

struct promql_input {
    const struct promql_series_set *sets;           // one a select, in their order
    const struct promql_quantile_answer *quantiles; // one a quantile; NULL: none is answered
    const struct hash_key *hash_key;                // labels are strangers'
};

struct promql_points {
    struct labels labels;
    const int64_t *t_ms;
    const double *v;
    size_t n; // at least 1; exactly 1 in a vector and a scalar
};

#define PROMQL_NOTES_MAX 32 // of each kind: what comes after them is not told

// Owns what it shows, but for labels that came with the series.
struct promql_result {
    enum promql_type type; // of a range: PROMQL_MATRIX, sorted by labels
    struct promql_points *series;
    size_t n;
    struct str string;            // of PROMQL_STRING; any bytes
    struct str *warnings, *infos; // "PromQL info: … (1:5)"
    size_t warning_count, info_count;
    struct promql_memory *memory;
};

enum promql_verdict promql_eval(const struct promql_query *q, const struct promql_when *when,
                                const struct promql_input *input,
                                const struct promql_limits *limits, struct promql_result *result,
                                struct err *e) MUST_CHECK;
// Also after a refusal.
void promql_result_clear(struct promql_result *r);

#endif
