// SPDX-License-Identifier: Apache-2.0
// The join table of one task (DESIGN 4, rule 3): which identities each topic has seen as far back
// as the settings remember, and which requests and responses still wait for their other half.
//
// All times are topic times in ms (running maximum of LogAppendTime), given by the caller and never
// going back within a topic. Nothing here depends on the order in which the two topics are fed:
//   - a record is a duplicate iff it repeats a sighting of the identity in its own topic
//     (settings_repeat_until), duplicates included, so that a duplicate refreshes it; a request so
//     seen is a conflict unless its own tenant was among those that named the id as recently;
//   - a response at s and a request at t match iff s <= settings_answer_by(t) and
//     t <= settings_request_by(s); of the survivors of the dedup at most one can;
//   - a request waits until the response time is past settings_answer_by(t), a response until the
//     request time is past settings_request_by(s).
//
// An identity costs 64 bytes for both topics together, plus a waiting record while there is one.
#ifndef STREAMLENS_JOIN_H
#define STREAMLENS_JOIN_H

#include "common/core/event.h"
#include "common/core/hash.h"
#include "processor/series.h"
#include "processor/settings.h"

// What of a request its answer is counted with.
struct join_request {
    // The caller's to take and drop.
    union {
        struct series *series; // one reference
        char *names;           // where names_n > 0: of series_names_keep()
    };
    int64_t timestamp_us, prompt_tokens;
    uint16_t names_n;
    bool excludes_cached; // usage_excludes_cached() of its provider
};

struct join_response {
    int64_t offset;
    char *bytes; // owned by whoever takes the record out: key, value, authenticated tenant
    size_t key_n, value_n, tenant_n;
};

// A request that waits for its answer, or a response that waits for its request.
struct join_waiting {
    struct hash128 identity;
    int64_t time_ms;
    int64_t until_ms; // the other topic's time up to which it waits; the table's to fill
    union {
        struct join_request request;
        struct join_response response;
    };
    enum event_kind kind;
    uint32_t next_same;            // chain of one identity
    uint32_t fifo_prev, fifo_next; // in order of time, per kind
};

enum join_seen {
    JOIN_NEW,
    JOIN_DUPLICATE,    // seen, same content
    JOIN_CONFLICTING,  // seen, other content: counted, otherwise the same
    JOIN_OTHER_TENANT, // a request seen with other tenant_ids alone
};

struct join;
// The settings are borrowed. max_waiting: records of each kind; the caller asks join_full() before
// it adds one.
struct join *join_new(const struct settings *settings, size_t max_waiting);
// Waiting records still inside are handed to `drop` first (may be NULL), which frees what they own.
void join_free(struct join *j, void (*drop)(struct join_waiting *w, void *arg), void *arg);
// Each that waits, in order of time. What it owns may be changed, nothing else.
void join_each(struct join *j, enum event_kind kind,
               void (*each)(struct join_waiting *w, void *arg), void *arg);

// Room for as many identities, in a table that has seen none: it need not be made anew while they
// come. More of them are taken as well.
void join_reserve(struct join *j, size_t identities);

// Notes that the topic saw the identity at time_ms. content and tenant are hashes; the tenant is
// compared for requests alone (0 for responses). now_ms: both topics' current times, for eviction.
enum join_seen join_see(struct join *j, enum event_kind kind, struct hash128 identity,
                        int64_t time_ms, uint32_t content, uint32_t tenant,
                        const int64_t now_ms[2]);

// The waiting record of the other kind that a record of `kind` at time_ms matches, taken out of the
// table into *out: true. False where none waits.
bool join_match(struct join *j, enum event_kind kind, struct hash128 identity, int64_t time_ms,
                struct join_waiting *out);

// Adds a waiting record (the identity was seen just before). The links are the table's to fill.
void join_wait(struct join *j, const struct join_waiting *w);
bool join_full(const struct join *j, enum event_kind kind);

// The oldest waiting record of the kind whose wait is over, given the other topic's time, taken out
// into *out: true; call again until false.
bool join_expire(struct join *j, enum event_kind kind, int64_t other_time_ms,
                 struct join_waiting *out);
// The other topic's time that the oldest waiting record of the kind waits to be *passed*;
// INT64_MAX where none waits.
int64_t join_deadline(const struct join *j, enum event_kind kind);

size_t join_waiting_count(const struct join *j, enum event_kind kind);
// The first that waits under the identity, of either kind; NULL where none does. For fetching it.
const struct join_waiting *join_first_waiting(const struct join *j, struct hash128 identity);
// Has the memory fetched that the next look at the identity needs. Looking is mostly waiting for
// it.
void join_prefetch(const struct join *j, struct hash128 identity);
size_t join_identity_count(const struct join *j);
size_t join_bytes(const struct join *j); // memory of the tables, without what waiting records own

#endif
