// SPDX-License-Identifier: Apache-2.0
// ingest-api's own metrics, listed once (common/core/stats.h says how). Those of the HTTP server
// and of the process are rendered beside them.
#ifndef STREAMLENS_INGEST_STATS_H
#define STREAMLENS_INGEST_STATS_H

#include "common/core/stats.h"

#define INGEST_STATS(COUNTER, GAUGE, HISTOGRAM)                                                    \
    COUNTER(events_accepted, "streamlens_ingest_events_total", "result=\"accepted\"",              \
            "Events by what their sender was told.")                                               \
    COUNTER(events_rejected, "streamlens_ingest_events_total", "result=\"rejected\"", "")          \
    COUNTER(events_unacknowledged, "streamlens_ingest_events_total", "result=\"unacknowledged\"",  \
            "")                                                                                    \
    COUNTER(batches, "streamlens_ingest_batches_total", "", "Batches read.")                       \
    COUNTER(compressed, "streamlens_ingest_compressed_requests_total", "",                         \
            "Requests whose body came as gzip, refused ones included.")                            \
    COUNTER(inflated_bytes, "streamlens_ingest_inflated_bytes_total", "",                          \
            "Bytes that gzip bodies held, without those that were refused.")                       \
    COUNTER(refused_coding, "streamlens_ingest_bodies_refused_total", "reason=\"coding\"",         \
            "Bodies that were not read, by reason.")                                               \
    COUNTER(refused_type, "streamlens_ingest_bodies_refused_total", "reason=\"type\"", "")         \
    COUNTER(refused_gzip, "streamlens_ingest_bodies_refused_total", "reason=\"gzip\"", "")         \
    COUNTER(refused_inflated, "streamlens_ingest_bodies_refused_total",                            \
            "reason=\"inflated_size\"", "")                                                        \
    COUNTER(refused_ratio, "streamlens_ingest_bodies_refused_total", "reason=\"ratio\"", "")       \
    COUNTER(accepted_bytes, "streamlens_ingest_accepted_bytes_total", "",                          \
            "Bytes of events that the log acknowledged.")                                          \
    COUNTER(failed_not_ready, "streamlens_ingest_produce_failures_total", "reason=\"not_ready\"",  \
            "Records that the log did not take in time, by reason.")                               \
    COUNTER(failed_queue_full, "streamlens_ingest_produce_failures_total",                         \
            "reason=\"queue_full\"", "")                                                           \
    COUNTER(failed_deadline, "streamlens_ingest_produce_failures_total", "reason=\"deadline\"",    \
            "")                                                                                    \
    COUNTER(failed_too_large, "streamlens_ingest_produce_failures_total", "reason=\"too_large\"",  \
            "")                                                                                    \
    COUNTER(failed_broker, "streamlens_ingest_produce_failures_total", "reason=\"broker\"", "")    \
    COUNTER(late_reports, "streamlens_ingest_late_reports_total", "",                              \
            "Delivery reports of records whose sender had been answered before.")                  \
    COUNTER(producers, "streamlens_ingest_producers_total", "",                                    \
            "Producers made; more than one means fatal errors.")                                   \
    COUNTER(probes_failed, "streamlens_ingest_probes_failed_total", "",                            \
            "Looks at the topics that the broker did not answer.")                                 \
    COUNTER(limited_events, "streamlens_ingest_rate_limited_total", "limit=\"events\"",            \
            "Requests that were answered 429, by the limit that they met.")                        \
    COUNTER(limited_bytes, "streamlens_ingest_rate_limited_total", "limit=\"bytes\"", "")          \
    COUNTER(limited_key, "streamlens_ingest_rate_limited_total", "limit=\"key\"", "")              \
    COUNTER(limit_buckets_shared, "streamlens_ingest_rate_limit_buckets_shared_total", "",         \
            "Looks for a tenant's or key's buckets that found no room for ones of its own.")       \
    COUNTER(limit_readings_ok, "streamlens_ingest_rate_limit_readings_total", "result=\"ok\"",     \
            "Readings of all rate limits from PostgreSQL, by result.")                             \
    COUNTER(limit_readings_failed, "streamlens_ingest_rate_limit_readings_total",                  \
            "result=\"failed\"", "")                                                               \
    GAUGE(limit_buckets, "streamlens_ingest_rate_limit_buckets", "",                               \
          "Tenants and keys that have buckets of their own.")                                      \
    GAUGE(limit_reading_age_seconds, "streamlens_ingest_rate_limit_reading_age_seconds", "",       \
          "Time since rate limits were last read, as of the last look at them.")                   \
    GAUGE(limits, "streamlens_ingest_rate_limits", "", "Rows of streamlens_limit that hold.")      \
    GAUGE(limits_left_out, "streamlens_ingest_rate_limits_left_out", "",                           \
          "Rows of streamlens_limit that were not taken: too many, or of another form.")           \
    GAUGE(ready, "streamlens_ingest_ready", "", "1 while the log can be expected to take events.") \
    GAUGE(pending, "streamlens_ingest_pending_events", "",                                         \
          "Events whose senders wait for the log.")                                                \
    GAUGE(unreported, "streamlens_ingest_unreported_events", "",                                   \
          "Events handed to the producer and not reported on yet, given up ones included.")        \
    HISTOGRAM(ack_seconds, "streamlens_ingest_ack_duration_seconds", "",                           \
              "From handing a record to the producer to its acknowledgement.")
STATS_DECLARE(ingest_stats, INGEST_STATS)

#endif
