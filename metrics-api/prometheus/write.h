// SPDX-License-Identifier: Apache-2.0
// Answers as Prometheus writes them. Pure. Format: the HTTP API of Prometheus 3
// (https://prometheus.io/docs/prometheus/latest/querying/api/).
#ifndef STREAMLENS_PROMETHEUS_WRITE_H
#define STREAMLENS_PROMETHEUS_WRITE_H

#include "metrics-api/prometheus/request.h"
#include "metrics-api/promql/promql.h"

// {"status":"success","data":{"resultType":…,"result":[…]},"warnings":[…],"infos":[…]}. Of more
// than `limit` series (0: any number) the first, and a warning. time_ms: of the question, which a
// string shows. -1: it is longer than max_bytes; out is as it was.
int prom_write_result(const struct promql_result *r, int64_t time_ms, int64_t limit,
                      size_t max_bytes, struct buf *out) MUST_CHECK;
// Strings, sorted by the caller; of more than `limit` the first, with a warning.
void prom_write_names(const struct str *names, size_t n, int64_t limit, struct buf *out);
// Label sets, likewise. -1 as above.
int prom_write_series(const struct labels *series, size_t n, int64_t limit, size_t max_bytes,
                      struct buf *out) MUST_CHECK;
// By the table: of one metric's family, or all. limit: of families.
void prom_write_metadata(const char *metric, int64_t limit, struct buf *out);
void prom_write_buildinfo(const char *version, const char *revision, struct buf *out);
void prom_write_empty_groups(struct buf *out); // rules
void prom_write_empty_alerts(struct buf *out);
void prom_write_empty_list(struct buf *out); // exemplars

enum prom_error {
    PROM_BAD_DATA,     // 400
    PROM_EXECUTION,    // 422
    PROM_TIMEOUT,      // 503
    PROM_UNAVAILABLE,  // 503
    PROM_NOT_FOUND,    // 404
    PROM_UNAUTHORIZED, // 401
    PROM_FORBIDDEN,    // 403
    PROM_INTERNAL,     // 500
};
int prom_error_status(enum prom_error type);
// {"status":"error","errorType":…,"error":…}. Prometheus has no types for 401 and 403:
// "unauthorized", "forbidden".
void prom_write_error(enum prom_error type, const char *text, struct buf *out);

// A sample's value as strconv.FormatFloat(v, 'f' or 'e', -1, 64) has it: 'e' below 1e-6 and from
// 1e21 on; NaN, +Inf, -Inf. A timestamp as seconds with up to three decimals.
void prom_write_value(double v, struct buf *out);
void prom_write_time(int64_t t_ms, struct buf *out);

#endif
