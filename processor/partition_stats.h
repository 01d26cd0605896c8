// SPDX-License-Identifier: Apache-2.0
// What /metrics says of each partition that this process reads: how much it has still to read, how
// old that is, how far its two topics are apart, and how full its join table is. Seven samples a
// partition.
#ifndef STREAMLENS_PARTITION_STATS_H
#define STREAMLENS_PARTITION_STATS_H

#include "common/core/buf.h"

#include <stdint.h>

struct partition_topic {
    int64_t next, end; // offsets: the next one to read, and the log's end; end -1 = not known yet
    int64_t time_ms;   // of the topic, TIME_NONE before the first record
    int64_t waiting;   // records of it that wait for their other half
};
struct partition_stats {
    int partition;
    struct partition_topic topic[2]; // by enum event_kind
};

// now_ms: since 1970; max_joins: how many of a topic may wait. What is not known has no sample.
void partition_stats_render(const struct partition_stats *v, size_t n, int64_t now_ms,
                            int64_t max_joins, struct buf *out);

#endif
