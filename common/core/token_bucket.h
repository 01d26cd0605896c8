// SPDX-License-Identifier: Apache-2.0
// A token bucket: `per_second` tokens come in each second, up to `burst`, and a charge takes some
// out. Pure: time is an argument, of one clock that never goes back.
//
// A charge of n is admitted where the bucket holds min(n, burst), and then takes n. So one of more
// than the burst is admitted too, by a full bucket, which is then in debt and pays it off before it
// admits anything. Where no charge exceeds the burst, what is admitted in any t seconds is at most
// per_second · t + burst.
//
// Exact: it counts millionths of a token, so each microsecond brings in per_second of them, and
// nothing is ever rounded, at whatever rate and however often it is asked.
#ifndef STREAMLENS_TOKEN_BUCKET_H
#define STREAMLENS_TOKEN_BUCKET_H

#include "common/core/base.h"

#define TOKEN_BUCKET_MOST INT64_C(1000000000000) // of a rate, a burst and a charge

struct token_limit {
    int64_t per_second; // 0: no limit, and burst means nothing; every charge is admitted then
    int64_t burst;      // 1 or more
};
bool token_limit_equal(struct token_limit a, struct token_limit b);
// Where `processes` share the load evenly: each one's part, rounded down, but 1 at least.
struct token_limit token_limit_share(struct token_limit limit, int64_t processes);
// What keeps to both: the smaller rate and the smaller burst.
struct token_limit token_limit_lesser(struct token_limit a, struct token_limit b);

struct token_bucket {
    struct token_limit limit;
    int64_t level; // millionths of a token; below 0 in debt
    int64_t at_us; // when it was so
};

void token_bucket_fill(struct token_bucket *b, struct token_limit limit, int64_t now_us);
// What it holds, or owes, stays, cut to the new burst: a change gives nobody tokens, and what a
// larger burst has room for comes in at the new rate. One without a limit so far becomes full.
void token_bucket_change(struct token_bucket *b, struct token_limit limit, int64_t now_us);
// The same, but what is missing stays, also where that is more than the new burst: so it is full
// again only once all has come in that was taken out, whatever the limits were meanwhile.
void token_bucket_change_shared(struct token_bucket *b, struct token_limit limit, int64_t now_us);

// How long until a charge of n (0 to TOKEN_BUCKET_MOST) is admitted, if none comes before; 0: now.
int64_t token_bucket_wait_us(struct token_bucket *b, int64_t n, int64_t now_us);
// Takes n, which token_bucket_wait_us() has just admitted.
void token_bucket_take(struct token_bucket *b, int64_t n, int64_t now_us);
// Undoes a take, also a while later: the bucket is then as if it had never been.
void token_bucket_give_back(struct token_bucket *b, int64_t n, int64_t now_us);

int64_t token_bucket_holds(struct token_bucket *b, int64_t now_us); // whole tokens; 0 in debt
int64_t token_bucket_full_in_us(struct token_bucket *b, int64_t now_us);

#endif
