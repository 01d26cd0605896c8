// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and strings of PromQL, read and written.
#ifndef STREAMLENS_PROMQL_LITERAL_H
#define STREAMLENS_PROMQL_LITERAL_H

#include "common/core/buf.h"
#include "common/core/err.h"
#include "metrics-api/promql/arena.h"

// All three: -1 with e.detail, in Prometheus' words.
int literal_number(struct str text, double *value, struct err *e) MUST_CHECK;
int literal_duration_ms(struct str text, int64_t *ms, struct err *e) MUST_CHECK;
// The bytes between the quotes, escapes read; they need not be UTF-8.
int literal_string(struct arena *a, struct str text, struct str *value, struct err *e) MUST_CHECK;

// A number as Go's strconv.ParseFloat would take it, all of the text: what bucket bounds are.
bool literal_float(struct str text, double *value);

// The fewest digits that read back as the same number: without an exponent; as %g; and as samples
// are written, with an exponent below 1e-06 and from 1e+21 on.
void literal_print(double value, struct buf *out);
void literal_print_g(double value, struct buf *out);
void literal_print_sample(double value, struct buf *out);

#endif
