// SPDX-License-Identifier: Apache-2.0
// A record of an input topic, as a task takes it. All strings are borrowed.
#ifndef STREAMLENS_RECORD_H
#define STREAMLENS_RECORD_H

#include "common/core/event.h"
#include "common/core/hash.h"

struct task_record {
    enum event_kind topic;
    int64_t offset, time_ms; // time_ms: the broker's LogAppendTime
    struct str key, value;
    struct str tenant; // header "tenant", absent where the sender was not authenticated
    bool tick;         // header "streamlens-tick": the record only moves the time
    // Of tenant and key, where task_expect() has made it: 0 where not, or where a name is too long.
    struct hash128 identity;
};

#endif
