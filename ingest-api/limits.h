// SPDX-License-Identifier: Apache-2.0
// How much a sender may send: token buckets of its tenant and of its key. Pure; limits_pg.h reads
// the tenants' limits.
//
// A limit is the authenticated tenant's. Without authentication nobody is known, and the row
// TENANT_LIMIT_OTHERS holds for all senders together. A key's own events_per_second, with a burst
// of one second, holds beside its tenant's limit, also where tenants have none.
//
// Of a limit each of `processes` takes its part (token_limit_share()); they do not know of each
// other, so the load has to be shared evenly for a tenant to have all of it.
//
// Bytes are those of the body as sent; events are the good ones of a request, all or none. A charge
// is for the attempt: it stays, also where the log then does not take the events, and a retry is
// charged again. What is refused for a limit is charged nothing.
#ifndef STREAMLENS_LIMITS_H
#define STREAMLENS_LIMITS_H

#include "common/core/err.h"
#include "ingest-api/bucket_table.h"

enum limit_kind { LIMIT_EVENTS, LIMIT_BYTES, LIMIT_KEY, LIMIT_KINDS };

// What tenants are held to, as once read.
struct limit_rows;
struct limit_rows *limit_rows_new(void);
void limit_rows_free(struct limit_rows *r);
// -1: there are TENANT_LIMITS_MAX, or one of this tenant.
int limit_rows_add(struct limit_rows *r, struct str tenant,
                   const struct tenant_limit *limit) MUST_CHECK;
size_t limit_rows_count(const struct limit_rows *r);

struct limits_options {
    bool tenants;       // false: only keys have limits, and no rows are waited for
    int64_t processes;  // that share the load
    size_t buckets_max; // of tenants, and of keys
    unsigned char seed[16];
};

struct limits;
struct limits *limits_new(const struct limits_options *o);
void limits_free(struct limits *l);
// Stolen; they hold from now on. Buckets change as token_bucket_change() says.
void limits_take_rows(struct limits *l, struct limit_rows *rows);
// Why there are no rows yet, for limits_ready().
void limits_not_read(struct limits *l, const struct err *why);
// Whether requests can be judged; -1 says why not.
int limits_ready(const struct limits *l, struct err *why) MUST_CHECK;
size_t limits_buckets(const struct limits *l); // tenants and keys that have buckets of their own
int64_t limits_shared(const struct limits *l); // times that one found no room for its own

struct limits_sender {
    struct str tenant, key_id;     // absent where not known
    int64_t key_events_per_second; // 0: no limit
};
// The buckets that a sender is charged to, NULL where no limit holds. Good until the next
// limits_find(), and for its time.
struct limits_account {
    struct buckets *tenant, *key;
    int64_t now_us;
};
// Only where limits_ready().
void limits_find(struct limits *l, const struct limits_sender *who, int64_t now_us,
                 struct limits_account *out);

struct limits_refusal {
    enum limit_kind kind;  // the one that holds it back longest
    int64_t retry_after_s; // 1 or more; then the same charge is admitted, if none comes before
};
// 0: charged. -1: refused, nothing charged.
int limits_charge_bytes(const struct limits_account *a, int64_t n,
                        struct limits_refusal *why) MUST_CHECK;
// To the tenant and the key, both or neither.
int limits_charge_events(const struct limits_account *a, int64_t n,
                         struct limits_refusal *why) MUST_CHECK;
// The request was refused otherwise: its bytes were never charged.
void limits_give_back_bytes(const struct limits_account *a, int64_t n);

// The values of RateLimit-Policy and RateLimit as in draft-ietf-httpapi-ratelimit-headers-11, with
// the policies "events", "bytes" and "key", of those that hold; false, and nothing written, where
// none does.
//   q: the burst; w: the seconds at the rate that make one, rounded up. Both are this process'
//   part. qu: "content-bytes" of bytes. Of events the draft's registry has no unit; a request with
//   one
//       event counts as one of its default, "requests", and a batch as many.
//   r: what the bucket holds; t: the seconds until it is full, rounded up, and in a refusal not
//       beyond Retry-After.
#define LIMITS_FIELD_MAX 256
bool limits_render(const struct limits_account *a, const struct limits_refusal *refusal,
                   char policy[LIMITS_FIELD_MAX], char state[LIMITS_FIELD_MAX]);

#endif
