// SPDX-License-Identifier: Apache-2.0
// What /metrics says of the process itself: streamlens_build_info, process_start_time_seconds,
// process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, process_max_fds.
#ifndef STREAMLENS_PROCESS_STATS_H
#define STREAMLENS_PROCESS_STATS_H

#include "common/core/buf.h"

void process_stats_render(const char *program, struct buf *out);

#endif
