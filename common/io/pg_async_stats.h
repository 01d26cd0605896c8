// SPDX-License-Identifier: Apache-2.0
// What the connection pool counts of itself (common/core/stats.h tells how the list works).
#ifndef STREAMLENS_PG_ASYNC_STATS_H
#define STREAMLENS_PG_ASYNC_STATS_H

#include "common/core/stats.h"

#define PG_STATS(COUNTER, GAUGE, HISTOGRAM)                                                        \
    COUNTER(queries_ok, "streamlens_pg_queries_total", "result=\"ok\"",                            \
            "Queries ended, by result.")                                                           \
    COUNTER(queries_unavailable, "streamlens_pg_queries_total", "result=\"unavailable\"", "")      \
    COUNTER(queries_busy, "streamlens_pg_queries_total", "result=\"queue_full\"", "")              \
    COUNTER(queries_timeout, "streamlens_pg_queries_total", "result=\"timeout\"", "")              \
    COUNTER(queries_failed, "streamlens_pg_queries_total", "result=\"failed\"", "")                \
    COUNTER(queries_stopped, "streamlens_pg_queries_total", "result=\"stopped\"", "")              \
    COUNTER(queries_cancelled, "streamlens_pg_queries_total", "result=\"cancelled\"", "")          \
    COUNTER(connects_ok, "streamlens_pg_connects_total", "result=\"ok\"",                          \
            "Connection attempts ended, by result.")                                               \
    COUNTER(connects_failed, "streamlens_pg_connects_total", "result=\"failed\"", "")              \
    COUNTER(connections_lost, "streamlens_pg_connections_closed_total", "reason=\"lost\"",         \
            "Connections closed, by reason.")                                                      \
    COUNTER(connections_abandoned, "streamlens_pg_connections_closed_total",                       \
            "reason=\"query_abandoned\"", "")                                                      \
    GAUGE(connections, "streamlens_pg_connections", "", "Connections up.")                         \
    GAUGE(connections_busy, "streamlens_pg_connections_busy", "", "Connections that run a query.") \
    GAUGE(queue, "streamlens_pg_queue_length", "", "Queries waiting for a connection.")            \
    HISTOGRAM(query_seconds, "streamlens_pg_query_duration_seconds", "",                           \
              "From the query to its result, waiting for a connection included.")
STATS_DECLARE(pg_stats, PG_STATS)

#endif
