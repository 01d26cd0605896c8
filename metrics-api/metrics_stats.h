// SPDX-License-Identifier: Apache-2.0
// What the metrics API counts of itself, beside the HTTP server's and the connection pool's lists
// (common/core/stats.h tells how a list works).
#ifndef STREAMLENS_METRICS_STATS_H
#define STREAMLENS_METRICS_STATS_H

#include "common/core/stats.h"

#define METRICS_STATS(COUNTER, GAUGE, HISTOGRAM)                                                   \
    COUNTER(answers_ok, "streamlens_metrics_answers_total", "result=\"ok\"",                       \
            "Answers to questions for metrics, by result.")                                        \
    COUNTER(answers_bad_request, "streamlens_metrics_answers_total", "result=\"bad_request\"", "") \
    COUNTER(answers_forbidden, "streamlens_metrics_answers_total", "result=\"forbidden\"", "")     \
    COUNTER(answers_unavailable, "streamlens_metrics_answers_total", "result=\"unavailable\"", "") \
    COUNTER(answers_failed, "streamlens_metrics_answers_total", "result=\"failed\"", "")           \
    COUNTER(answers_client_gone, "streamlens_metrics_answers_total", "result=\"client_gone\"", "") \
    COUNTER(rows, "streamlens_metrics_rows_total", "", "Rows answered.")                           \
    COUNTER(                                                                                       \
        cache_hits, "streamlens_metrics_cache_total", "result=\"hit\"",                            \
        "Questions, by whether the cache had their answer, others were being answered the same,"   \
        " or the database was asked.")                                                             \
    COUNTER(cache_joined, "streamlens_metrics_cache_total", "result=\"joined\"", "")               \
    COUNTER(cache_misses, "streamlens_metrics_cache_total", "result=\"miss\"", "")                 \
    GAUGE(cache_bytes, "streamlens_metrics_cache_bytes", "", "Memory of kept answers.")            \
    COUNTER(facts_cache_hits, "streamlens_metrics_facts_cache_total", "result=\"hit\"",            \
            "Blocks of minutes that queries of /api/v1 needed, by whether they were in memory or"  \
            " were read.")                                                                         \
    COUNTER(facts_cache_misses, "streamlens_metrics_facts_cache_total", "result=\"miss\"", "")     \
    GAUGE(facts_cache_bytes, "streamlens_metrics_facts_cache_bytes", "",                           \
          "Memory of kept minutes.")                                                               \
    GAUGE(loads_reading, "streamlens_metrics_loads_reading", "",                                   \
          "Queries of /api/v1 that read the database.")                                            \
    GAUGE(loads_waiting, "streamlens_metrics_loads_waiting", "",                                   \
          "Queries of /api/v1 that wait until others have read.")                                  \
    COUNTER(loads_begun_anew, "streamlens_metrics_loads_begun_anew_total", "",                     \
            "Times that a query of /api/v1 was read again, since rows changed while it read.")     \
    COUNTER(loads_unsure, "streamlens_metrics_loads_unsure_total", "",                             \
            "Queries of /api/v1 whose rows may be of several states: they changed each time that"  \
            " they were read, or no notifications were heard.")                                    \
    GAUGE(stream_clients, "streamlens_stream_clients", "", "Clients of /v1/stream.")               \
    COUNTER(stream_rows, "streamlens_stream_rows_total", "",                                       \
            "Rows sent to clients of /v1/stream.")                                                 \
    COUNTER(stream_behind, "streamlens_stream_behind_total", "",                                   \
            "Times that a client took rows too slowly, and had to catch up.")                      \
    COUNTER(stream_catch_ups, "streamlens_stream_catch_ups_total", "",                             \
            "Times that what a single client had not got was read.")                               \
    COUNTER(stream_missed, "streamlens_stream_missed_total", "",                                   \
            "Times that a client was told that it missed something.")                              \
    COUNTER(stream_looks, "streamlens_stream_looks_total", "result=\"ok\"",                        \
            "Looks at what has changed, for all clients at once, by result.")                      \
    COUNTER(stream_looks_failed, "streamlens_stream_looks_total", "result=\"failed\"", "")         \
    GAUGE(database_up, "streamlens_metrics_database_up", "",                                       \
          "1 while a connection to PostgreSQL serves.")                                            \
    HISTOGRAM(answer_seconds, "streamlens_metrics_answer_duration_seconds", "",                    \
              "From a question to its answer, waiting for the database included.")
STATS_DECLARE(metrics_stats, METRICS_STATS)

#endif
