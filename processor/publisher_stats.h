// SPDX-License-Identifier: Apache-2.0
// The publisher's metrics, listed once (common/core/stats.h says how).
#ifndef STREAMLENS_PUBLISHER_STATS_H
#define STREAMLENS_PUBLISHER_STATS_H

#include "common/core/stats.h"

#define TRANSACTIONS_ "streamlens_publisher_transactions_total"

#define PUBLISHER_STATS(COUNTER, GAUGE, HISTOGRAM)                                                 \
    COUNTER(published, "streamlens_publisher_records_total", "", "Rows published to llm.metrics")  \
    COUNTER(committed, TRANSACTIONS_, "result=\"committed\"", "Transactions of the publisher")     \
    COUNTER(broken, TRANSACTIONS_, "result=\"broken\"", "")                                        \
    COUNTER(resumed, "streamlens_publisher_resumed_records_total", "",                             \
            "Rows that had been sequenced before and were not in the log")                         \
    COUNTER(advanced, "streamlens_publisher_database_behind_total", "",                            \
            "Times that the log was ahead of the database, which was set back to an older state")  \
    COUNTER(missing, "streamlens_publisher_log_behind_total", "",                                  \
            "Times that the log lacked what had been published")                                   \
    COUNTER(fenced, "streamlens_publisher_fenced_total", "",                                       \
            "Times that another process turned out to own partition 0")                            \
    GAUGE(is_publisher, "streamlens_publisher_active", "",                                         \
          "1 while this process publishes: it owns partition 0 and has a producer")                \
    GAUGE(sequence, "streamlens_publisher_sequence", "", "Last sequence known to be in the log")   \
    GAUGE(caught_up_s, "streamlens_publisher_caught_up_timestamp_seconds", "",                     \
          "When this process last had published all that was due; 0 = never")                      \
    HISTOGRAM(delay_seconds, "streamlens_publisher_delay_seconds", "",                             \
              "Time from the moment a window was closed to its rows being committed to the log")

STATS_DECLARE(publisher_stats, PUBLISHER_STATS)

#endif
