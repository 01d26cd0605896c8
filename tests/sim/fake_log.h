// SPDX-License-Identifier: Apache-2.0
// The broker's part of the simulation: both topics' partitions as arrays. Offsets may have gaps (as
// transaction markers leave them), append times may step back and jump ahead, the beginning may be
// deleted and the end be lost.
#ifndef SIM_FAKE_LOG_H
#define SIM_FAKE_LOG_H

#include "common/core/event.h"

#define SIM_MAX_PARTITIONS 3
#define SIM_NOBODY (-1)

// What the generator meant the record to be; the oracle reads this, the processor the bytes.
struct truth {
    bool tick, malformed;
    bool time_out_of_range;
    int sender;                   // the authenticated tenant, SIM_NOBODY without one
    int id, tenant, route, model; // numbers that the names are made from; tenant may be SIM_NOBODY
    int answered_by;              // the model that a response names, SIM_NOBODY where it names none
    int content;                  // equal iff the bytes are
    int64_t timestamp_us;
    int64_t latency_us, ttft_us; // EVENT_ABSENT where not sent
    int64_t prompt_tokens, completion_tokens, cached_prompt_tokens, cache_write_tokens,
        cache_write_1h_tokens, reasoning_tokens, cost_pusd; // EVENT_ABSENT where not sent
    const char *error, *finish, *tier, *provider;           // NULL where not sent
};
// The tenant that a request counts for: that of the sender, else the one that it names.
static inline int truth_tenant(const struct truth *t)
{
    return t->sender != SIM_NOBODY ? t->sender : t->tenant;
}
// The name of a model: m0, m1, … but that one is called as the line for whatever has no room.
#define SIM_MODEL_OTHER 999
void sim_model_name(int model, char name[16]);

struct sim_record {
    int64_t offset, time_ms;
    char *value; // owned
    size_t value_n;
    char key[24], tenant[16]; // tenant: of the header, "" without one
    int identity;             // who it is to its own topic: sender and id in one number
    bool lost;                // deleted before it was consumed, as far as the database says
    struct truth truth;
};

struct sim_topic {
    struct sim_record *v;
    size_t n, cap;
    int64_t next_offset;
    int64_t low;    // first offset that is not deleted
    size_t visible; // records that can be read; less than n while a log is told again
};

struct sim_log {
    int partitions;
    struct sim_topic topic[2][SIM_MAX_PARTITIONS]; // by enum event_kind
};

void sim_log_append(struct sim_log *l, enum event_kind topic, int partition, int64_t time_ms,
                    int offset_gap, const struct truth *truth);
// The first visible record at or beyond the offset, NULL at the end.
const struct sim_record *sim_log_at(const struct sim_log *l, enum event_kind topic, int partition,
                                    int64_t offset);
int64_t sim_log_high(const struct sim_log *l, enum event_kind topic, int partition);
// Retention: what lies before the offset is gone for whoever has not read it.
void sim_log_delete(struct sim_log *l, enum event_kind topic, int partition, int64_t before);
// An unclean election: the records from the offset on are gone, and their offsets are used again.
void sim_log_truncate(struct sim_log *l, enum event_kind topic, int partition, int64_t from);
void sim_log_free(struct sim_log *l);

#endif
