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
    GAUGE(ready, "streamlens_ingest_ready", "", "1 while the log can be expected to take events.") \
    GAUGE(pending, "streamlens_ingest_pending_events", "",                                         \
          "Events whose senders wait for the log.")                                                \
    GAUGE(unreported, "streamlens_ingest_unreported_events", "",                                   \
          "Events handed to the producer and not reported on yet, given up ones included.")        \
    HISTOGRAM(ack_seconds, "streamlens_ingest_ack_duration_seconds", "",                           \
              "From handing a record to the producer to its acknowledgement.")
STATS_DECLARE(ingest_stats, INGEST_STATS)

#endif
