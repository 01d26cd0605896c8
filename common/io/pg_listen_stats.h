// SPDX-License-Identifier: Apache-2.0
// What a listener counts of itself (common/core/stats.h tells how the list works).
#ifndef STREAMLENS_PG_LISTEN_STATS_H
#define STREAMLENS_PG_LISTEN_STATS_H

#include "common/core/stats.h"

#define PG_LISTEN_STATS(COUNTER, GAUGE, HISTOGRAM)                                                 \
    COUNTER(notifications, "streamlens_pg_listen_notifications_total", "",                         \
            "Notifications received.")                                                             \
    COUNTER(connects_ok, "streamlens_pg_listen_connects_total", "result=\"ok\"",                   \
            "Attempts to connect and listen, by result.")                                          \
    COUNTER(connects_failed, "streamlens_pg_listen_connects_total", "result=\"failed\"", "")       \
    COUNTER(lost_broken, "streamlens_pg_listen_lost_total", "reason=\"broken\"",                   \
            "Connections that listened and were lost, by reason.")                                 \
    COUNTER(lost_silent, "streamlens_pg_listen_lost_total", "reason=\"silent\"", "")               \
    GAUGE(connected, "streamlens_pg_listen_connected", "", "1 while it listens.")
STATS_DECLARE(pg_listen_stats, PG_LISTEN_STATS)

#endif
