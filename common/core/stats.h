// SPDX-License-Identifier: Apache-2.0
// Self metrics in Prometheus' text format 0.0.4, from one X-macro list a service.
//
// A service declares its list once, in a header of its own:
//
//     #define INGEST_STATS(COUNTER, GAUGE, HISTOGRAM)  (and a backslash at the end of each line)
//         COUNTER(events_accepted, "streamlens_ingest_events_total", "result=\"accepted\"", "…")
//         COUNTER(events_rejected, "streamlens_ingest_events_total", "result=\"rejected\"", "…")
//         GAUGE(connections, "streamlens_http_connections", "", "…")
//         HISTOGRAM(request_seconds, "streamlens_http_request_duration_seconds", "", "…")
//     STATS_DECLARE(ingest_stats, INGEST_STATS)
//
// which declares struct ingest_stats with one member each (int64_t for counters and gauges, struct
// stats_histogram for histograms), `void ingest_stats_add(into, from)` (sums every member) and
// `void ingest_stats_render(const struct ingest_stats *, struct buf *)`; STATS_DEFINE in one source
// defines the two. Entries of the same metric name stand together, so HELP and TYPE come once.
// Counter names end in _total; units are base units (seconds, bytes).
#ifndef STREAMLENS_STATS_H
#define STREAMLENS_STATS_H

#include "common/core/buf.h"

#define STATS_BUCKETS 16
struct stats_histogram {
    int64_t bucket[STATS_BUCKETS + 1]; // not cumulative; the last is +Inf
    int64_t count, sum_us;
};
// Bounds: 100 µs · 2^i for i in 0…15, up to 3.2768 s. Rendered in seconds.
void stats_observe_us(struct stats_histogram *h, int64_t us);

enum stats_type { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM };
struct stats_desc {
    const char *name, *labels, *help;
    enum stats_type type;
    size_t offset;
};
void stats_add(const struct stats_desc *d, size_t n, void *into, const void *from);
void stats_render(const struct stats_desc *d, size_t n, const void *stats, struct buf *out);

#define STATS_MEMBER_INT_(member, name, labels, help) int64_t member;
#define STATS_MEMBER_HIST_(member, name, labels, help) struct stats_histogram member;
#define STATS_DECLARE(type, LIST)                                                                  \
    struct type {                                                                                  \
        LIST(STATS_MEMBER_INT_, STATS_MEMBER_INT_, STATS_MEMBER_HIST_)                             \
    };                                                                                             \
    void type##_add(struct type *into, const struct type *from);                                   \
    void type##_render(const struct type *stats, struct buf *out);

#define STATS_DEFINE(stats_type_name, LIST)                                                        \
    typedef struct stats_type_name stats_self_;                                                    \
    static const struct stats_desc stats_descs_[] = {                                              \
        LIST(STATS_DESC_COUNTER_, STATS_DESC_GAUGE_, STATS_DESC_HIST_)};                           \
    void stats_type_name##_add(struct stats_type_name *into, const struct stats_type_name *from)   \
    {                                                                                              \
        stats_add(stats_descs_, ARRAY_LEN(stats_descs_), into, from);                              \
    }                                                                                              \
    void stats_type_name##_render(const struct stats_type_name *stats, struct buf *out)            \
    {                                                                                              \
        stats_render(stats_descs_, ARRAY_LEN(stats_descs_), stats, out);                           \
    }
#define STATS_DESC_COUNTER_(member, name, labels, help)                                            \
    {name, labels, help, STATS_COUNTER, offsetof(stats_self_, member)},
#define STATS_DESC_GAUGE_(member, name, labels, help)                                              \
    {name, labels, help, STATS_GAUGE, offsetof(stats_self_, member)},
#define STATS_DESC_HIST_(member, name, labels, help)                                               \
    {name, labels, help, STATS_HISTOGRAM, offsetof(stats_self_, member)},

#endif
