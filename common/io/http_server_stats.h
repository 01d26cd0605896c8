// SPDX-License-Identifier: Apache-2.0
// What the HTTP server counts of itself (common/core/stats.h tells how the list works). A service
// renders them with http_stats_render() beside its own; what is counted by route stands beside them
// in http_render_routes().
#ifndef STREAMLENS_HTTP_SERVER_STATS_H
#define STREAMLENS_HTTP_SERVER_STATS_H

#include "common/core/stats.h"

#define HTTP_STATS(COUNTER, GAUGE, HISTOGRAM)                                                      \
    COUNTER(answers_dropped, "streamlens_http_answers_dropped_total", "",                          \
            "Answers to clients that had gone before.")                                            \
    COUNTER(refused_framing, "streamlens_http_refused_total", "reason=\"framing\"",                \
            "Requests refused before a handler saw them, by reason.")                              \
    COUNTER(refused_too_large, "streamlens_http_refused_total", "reason=\"too_large\"", "")        \
    COUNTER(refused_busy, "streamlens_http_refused_total", "reason=\"busy\"", "")                  \
    COUNTER(refused_draining, "streamlens_http_refused_total", "reason=\"draining\"", "")          \
    COUNTER(timeouts_header, "streamlens_http_timeouts_total", "phase=\"header\"",                 \
            "Deadlines passed, by phase of the connection.")                                       \
    COUNTER(timeouts_body, "streamlens_http_timeouts_total", "phase=\"body\"", "")                 \
    COUNTER(timeouts_idle, "streamlens_http_timeouts_total", "phase=\"idle\"", "")                 \
    COUNTER(timeouts_write, "streamlens_http_timeouts_total", "phase=\"write\"", "")               \
    COUNTER(connections_accepted, "streamlens_http_connections_accepted_total", "",                \
            "Connections accepted.")                                                               \
    COUNTER(connections_refused_address, "streamlens_http_connections_refused_total",              \
            "reason=\"address\"", "Connections closed unanswered right after accept, by reason.")  \
    COUNTER(listener_paused_cap, "streamlens_http_listener_paused_total",                          \
            "reason=\"max_connections\"", "Times that accepting was paused, by reason.")           \
    COUNTER(listener_paused_error, "streamlens_http_listener_paused_total",                        \
            "reason=\"accept_error\"", "")                                                         \
    COUNTER(pipelined, "streamlens_http_pipelined_requests_total", "",                             \
            "Requests read while an earlier one of their connection was unanswered.")              \
    COUNTER(received_bytes, "streamlens_http_received_bytes_total", "",                            \
            "Bytes of requests, headers included.")                                                \
    COUNTER(sent_bytes, "streamlens_http_sent_bytes_total", "",                                    \
            "Bytes of answers, headers included.")                                                 \
    COUNTER(stream_refused_slow, "streamlens_http_stream_refused_total", "reason=\"slow\"",        \
            "Pieces of streaming answers that were not kept for their clients, by reason.")        \
    COUNTER(stream_refused_busy, "streamlens_http_stream_refused_total", "reason=\"busy\"", "")    \
    GAUGE(connections, "streamlens_http_connections", "", "Open connections.")                     \
    GAUGE(in_flight, "streamlens_http_in_flight_requests", "",                                     \
          "Requests handed to a handler and not answered yet.")                                    \
    GAUGE(streams, "streamlens_http_streams", "", "Streaming answers under way.")                  \
    GAUGE(memory_bytes, "streamlens_http_memory_bytes", "",                                        \
          "Bytes of requests, answers and unread input that count against HTTP_MEMORY_BYTES.")
STATS_DECLARE(http_stats, HTTP_STATS)

#endif
