// SPDX-License-Identifier: Apache-2.0
// Inside the evaluator: what its files share.
//
// A vector is evaluated for all steps at once: rows of as many values as there are steps, where
// promql_stale() is "no value". (No operation makes that NaN of others, and no selector lets it
// in.) A scalar is one row without labels. Functions return 0, or -1 once eval_fail() has said why.
#ifndef STREAMLENS_PROMQL_EVAL_H
#define STREAMLENS_PROMQL_EVAL_H

#include "metrics-api/promql/keymap.h"
#include "metrics-api/promql/notes.h"
#include "metrics-api/promql/query.h"

struct row {
    struct labels labels;
    bool drop_name; // the name is still there but does not belong to the result
    double *v;      // one a step; owned by the evaluator
};
struct vector {
    struct row *rows; // in the arena
    size_t n, cap;
};

struct eval_slab;
struct eval {
    const struct promql_query *query;
    const struct promql_when *when;
    const struct promql_limits *limits;
    const struct promql_input *input;
    size_t steps;
    int64_t step_ms, lookback_ms;
    struct arena *arena;
    struct notes notes;
    size_t samples; // in memory
    struct eval_slab *slabs;
    double **free_rows; // given back, to be used again
    size_t free_count, free_cap;
    struct buf key; // scratch
    // Of each select: its series without staleness markers, made when first asked for.
    struct promql_series_set *windows;
    enum promql_verdict verdict;
    struct err *e;
};

int eval_fail(struct eval *ev, enum promql_verdict verdict, const char *fmt, ...) PRINTF_LIKE(3, 4);
int eval_fail_duplicate(struct eval *ev); // "vector cannot contain metrics with the same labelset"
int eval_node(struct eval *ev, const struct node *n, struct vector *out) MUST_CHECK;
// Whether there is still time and memory; asked once a row or so.
int eval_check(struct eval *ev) MUST_CHECK;

static inline int64_t eval_time_ms(const struct eval *ev, size_t step)
{
    return ev->when->start_ms + (int64_t)step * ev->step_ms;
}
static inline bool eval_is_instant(const struct eval *ev)
{
    return ev->steps == 1;
}

// --- rows ----------------------------------------------------------------------------------------

// A new row without any value. NULL: a limit was met, and eval_fail() called.
double *vector_add(struct eval *ev, struct vector *v, struct labels labels, bool drop_name);
double *eval_row(struct eval *ev);                // the same, of no vector
void eval_row_free(struct eval *ev, double *row); // takes it; NULL is fine
void vector_free(struct eval *ev, struct vector *v);
void vector_drop_last(struct eval *ev, struct vector *v);
void eval_rows_free(struct eval *ev); // all of them
// Without the rows that have no value at all.
void vector_compact(struct eval *ev, struct vector *v);
// Rows with the same labels become one. -1: two have a value at the same step.
int vector_merge(struct eval *ev, struct vector *v) MUST_CHECK;
// The result is no longer what the metric's name says: drops it, now or at the end.
int vector_drop_names(struct eval *ev, struct vector *v) MUST_CHECK;
struct labels eval_without_name(struct eval *ev,
                                struct labels l); // now, unless it is dropped later

// Output rows by their labels, for operations that find them out step by step.
struct outlet {
    struct vector *out;
    struct keymap map;
};
void outlet_init(struct eval *ev, struct outlet *o, struct vector *out);
// The number of the row with these labels; SIZE_MAX as vector_add().
size_t outlet_row(struct eval *ev, struct outlet *o, struct labels labels, bool drop_name);
int outlet_put(struct eval *ev, struct outlet *o, size_t row, size_t step, double v) MUST_CHECK;

// --- parts ---------------------------------------------------------------------------------------

int eval_number(struct eval *ev, double value, struct vector *out) MUST_CHECK;
int eval_selector(struct eval *ev, const struct node_selector *s, bool times,
                  struct vector *out) MUST_CHECK;
// The series of a select without staleness markers.
const struct promql_series_set *eval_windows(struct eval *ev, size_t select);
int eval_over_time(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
// Warns of a φ that is none.
void eval_note_quantile(struct eval *ev, double phi, size_t at);
int eval_absent(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
int eval_call(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
int eval_date(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
int eval_label_replace(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
int eval_label_join(struct eval *ev, const struct node *call, struct vector *out) MUST_CHECK;
int eval_histogram_quantile(struct eval *ev, const struct node *call,
                            struct vector *out) MUST_CHECK;
int eval_histogram_fraction(struct eval *ev, const struct node *call,
                            struct vector *out) MUST_CHECK;
int eval_aggregation(struct eval *ev, const struct node *n, struct vector *out) MUST_CHECK;
int eval_top(struct eval *ev, const struct node_aggregation *a, const struct vector *in,
             const size_t *group_of, size_t groups, const double *param,
             struct vector *out) MUST_CHECK;
int eval_count_values(struct eval *ev, const struct node_aggregation *a, const struct vector *in,
                      struct vector *out) MUST_CHECK;
int eval_binary(struct eval *ev, const struct node *n, struct vector *out) MUST_CHECK;
int eval_matched(struct eval *ev, const struct node_binary *b, const struct vector *left,
                 const struct vector *right, struct vector *out) MUST_CHECK;
int eval_set(struct eval *ev, const struct node_binary *b, const struct vector *left,
             const struct vector *right, struct vector *out) MUST_CHECK;
// The two sides' match groups, numbered: one number a row. `groups` is how many there are.
void eval_signatures(struct eval *ev, const struct node_binary *b, const struct vector *left,
                     const struct vector *right, size_t **left_of, size_t **right_of,
                     size_t *groups);

// --- numbers -------------------------------------------------------------------------------------

// Of an arithmetic operator or a comparison, whose value is then the left side. False: the
// comparison does not hold.
bool eval_operate(enum token_kind op, double left, double right, double *value);
// As Go's math.Max and math.Min: NaN wins over all but the infinity that is sure to win.
double eval_max(double a, double b);
double eval_min(double a, double b);
// The φ-quantile of values, which are sorted by it.
double eval_quantile(double phi, double *values, size_t n);
// Sorted ascending with NaN first, stable.
void eval_sort(double *values, size_t n);

#endif
