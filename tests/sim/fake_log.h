// SPDX-License-Identifier: Apache-2.0
// The broker's part of the simulation: both topics' partitions as arrays. Offsets may have gaps (as
// transaction markers leave them), append times may step back a little.
#ifndef SIM_FAKE_LOG_H
#define SIM_FAKE_LOG_H

#include "common/core/event.h"

#define SIM_MAX_PARTITIONS 3

// What the generator meant the record to be; the oracle reads this, the processor the bytes.
struct truth {
    bool tick, malformed;
    bool time_out_of_range;
    int id, tenant, route, model; // numbers that the names are made from
    int content;                  // equal iff the bytes are
    int64_t timestamp_us;
    int64_t latency_us, ttft_us; // EVENT_ABSENT where not sent
    int64_t prompt_tokens, completion_tokens;
    const char *error, *finish; // NULL where not sent
};

struct sim_record {
    int64_t offset, time_ms;
    char *value; // owned
    size_t value_n;
    char key[24];
    struct truth truth;
};

struct sim_topic {
    struct sim_record *v;
    size_t n, cap;
    int64_t next_offset;
};

struct sim_log {
    int partitions;
    struct sim_topic topic[2][SIM_MAX_PARTITIONS]; // by enum event_kind
};

void sim_log_append(struct sim_log *l, enum event_kind topic, int partition, int64_t time_ms,
                    int offset_gap, const struct truth *truth);
// The first record at or beyond the offset, NULL at the end.
const struct sim_record *sim_log_at(const struct sim_log *l, enum event_kind topic, int partition,
                                    int64_t offset);
void sim_log_free(struct sim_log *l);

#endif
