// SPDX-License-Identifier: Apache-2.0
// The processor's own metrics, listed once (common/core/stats.h says how). Counters of records are
// those of live processing; what a replay reads again counts in replayed_records alone.
#ifndef STREAMLENS_PROCESSOR_STATS_H
#define STREAMLENS_PROCESSOR_STATS_H

#include "common/core/stats.h"

#define REJECTED_ "streamlens_processor_dead_letters_total"
#define DUPLICATES_ "streamlens_processor_duplicates_total"
#define PARTITIONS_ "streamlens_processor_partitions"
#define FLUSHES_ "streamlens_processor_flushes_total"
#define LIMITS_ "streamlens_processor_limit_reached_total"

#define PROCESSOR_STATS(COUNTER, GAUGE, HISTOGRAM)                                                 \
    COUNTER(requests, "streamlens_processor_requests_total", "", "Distinct requests counted")      \
    COUNTER(responses, "streamlens_processor_responses_total", "", "Requests answered")            \
    COUNTER(unanswered, "streamlens_processor_unanswered_total", "",                               \
            "Requests whose TTL passed without an answer")                                         \
    COUNTER(duplicate_requests, DUPLICATES_, "topic=\"requests\",content=\"same\"",                \
            "Records whose identity the topic saw within TTL + skew")                              \
    COUNTER(conflicting_requests, DUPLICATES_, "topic=\"requests\",content=\"differs\"", "")       \
    COUNTER(duplicate_responses, DUPLICATES_, "topic=\"responses\",content=\"same\"", "")          \
    COUNTER(conflicting_responses, DUPLICATES_, "topic=\"responses\",content=\"differs\"", "")     \
    COUNTER(malformed, REJECTED_, "reason=\"malformed\"",                                          \
            "Records that went to the dead-letter topic, by reason")                               \
    COUNTER(missing_tenant, REJECTED_, "reason=\"missing_tenant\"", "")                            \
    COUNTER(time_out_of_range, REJECTED_, "reason=\"time_out_of_range\"", "")                      \
    COUNTER(id_conflict, REJECTED_, "reason=\"id_conflict\"", "")                                  \
    COUNTER(unmatched, REJECTED_, "reason=\"unmatched\"", "")                                      \
    COUNTER(without_latency, "streamlens_processor_responses_without_latency_total", "",           \
            "Answers with neither latency_ms nor a usable difference of timestamps")               \
    COUNTER(clamped_usage, "streamlens_processor_usage_clamped_total", "",                         \
            "Answers with token counts of which a part is larger than its whole")                  \
    COUNTER(ticks, "streamlens_processor_ticks_total", "direction=\"read\"",                       \
            "Ticks, which move the time of a silent topic")                                        \
    COUNTER(ticks_sent, "streamlens_processor_ticks_total", "direction=\"written\"", "")           \
    COUNTER(replayed_records, "streamlens_processor_replayed_records_total", "",                   \
            "Records read again to rebuild the state of a partition")                              \
    COUNTER(degraded_replays, "streamlens_processor_degraded_replays_total", "",                   \
            "Replays of a log that no longer reaches back far enough")                             \
    COUNTER(skipped_records, "streamlens_processor_skipped_records_total", "",                     \
            "Records below the position, handed out again by the client library")                  \
    COUNTER(full_of_joins, LIMITS_, "limit=\"MAX_JOINS\"",                                         \
            "Times that a limit held a partition back, or made a flush begin early")               \
    COUNTER(full_of_cells, LIMITS_, "limit=\"MAX_DELTA_CELLS\"", "")                               \
    COUNTER(full_of_letters, LIMITS_, "limit=\"MAX_DEAD_LETTERS\"", "")                            \
    COUNTER(series_over_cap, "streamlens_processor_series_over_cap_total", "",                     \
            "Series that count under __other__, their tenant being at MAX_SERIES_PER_TENANT")      \
    COUNTER(flushes, FLUSHES_, "result=\"committed\"", "Flushes to PostgreSQL")                    \
    COUNTER(flush_retries, FLUSHES_, "result=\"retried\"", "")                                     \
    COUNTER(flush_unknown, FLUSHES_, "result=\"unknown\"", "")                                     \
    COUNTER(flush_fenced, FLUSHES_, "result=\"fenced\"", "")                                       \
    COUNTER(flushed_rows, "streamlens_processor_flushed_rows_total", "",                           \
            "Rows of minutes that flushes wrote")                                                  \
    COUNTER(database_errors, "streamlens_processor_database_errors_total", "",                     \
            "Calls that PostgreSQL did not answer, or refused")                                    \
    COUNTER(claims, "streamlens_processor_claims_total", "", "Partitions taken over")              \
    COUNTER(tasks_kept, "streamlens_processor_tasks_kept_total", "",                               \
            "Partitions that came back with their state still in memory")                          \
    COUNTER(unpriced_requests, "streamlens_processor_unpriced_requests_total", "",                 \
            "Answered requests for which no price was found")                                      \
    COUNTER(refused_catalogues, "streamlens_processor_refused_catalogues_total", "",               \
            "Price catalogues that could not be used; rows go on with the one before")             \
    GAUGE(ready, "streamlens_processor_ready", "", "1 while /readyz is 200")                       \
    GAUGE(database_up, "streamlens_processor_database_up", "",                                     \
          "1 while the connection to PostgreSQL stands")                                           \
    GAUGE(price_version, "streamlens_processor_price_version", "",                                 \
          "Version of the price catalogue that new rows are priced by; 0 = none yet")              \
    GAUGE(tasks, PARTITIONS_, "state=\"live\"",                                                    \
          "Partitions owned: live, replaying or halted; one that is degraded, or held back "       \
          "at MAX_JOINS (full), is one of these as well")                                          \
    GAUGE(tasks_replaying, PARTITIONS_, "state=\"replaying\"", "")                                 \
    GAUGE(tasks_halted, PARTITIONS_, "state=\"halted\"", "")                                       \
    GAUGE(tasks_degraded, PARTITIONS_, "state=\"degraded\"", "")                                   \
    GAUGE(tasks_full, PARTITIONS_, "state=\"full\"", "")                                           \
    GAUGE(prefetched, "streamlens_processor_prefetched_records", "",                               \
          "Records fetched from the broker and not taken yet")                                     \
    GAUGE(waiting_requests, "streamlens_processor_waiting", "kind=\"requests\"",                   \
          "Records that wait for their other half")                                                \
    GAUGE(waiting_responses, "streamlens_processor_waiting", "kind=\"responses\"", "")             \
    GAUGE(identities, "streamlens_processor_identities", "",                                       \
          "Identities remembered to recognise duplicates")                                         \
    GAUGE(join_bytes, "streamlens_processor_join_bytes", "",                                       \
          "Memory of the join tables and of the answers that wait in them")                        \
    GAUGE(series, "streamlens_processor_series", "", "Series referred to in memory")               \
    GAUGE(delta_cells, "streamlens_processor_delta_cells", "",                                     \
          "Series-windows changed since the last flush")                                           \
    GAUGE(closed_through_s, "streamlens_processor_closed_through_timestamp_seconds", "",           \
          "Every window that ends at or before this is closed; 0 = not known yet")                 \
    HISTOGRAM(flush_seconds, "streamlens_processor_flush_duration_seconds", "",                    \
              "Time from the begin of a flush to its commit")

STATS_DECLARE(processor_stats, PROCESSOR_STATS)

#endif
