// SPDX-License-Identifier: Apache-2.0
// No overflow: a burst or a charge is at most 10^12 tokens, 10^18 millionths. A bucket is charged
// only when it owes nothing, so it never lacks more than a burst and a charge, 2 · 10^18.
#include "common/core/token_bucket.h"

#include "common/core/timeunit.h"

#define WHOLE INT64_C(1000000) // millionths

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

bool token_limit_equal(struct token_limit a, struct token_limit b)
{
    return a.per_second == b.per_second && a.burst == b.burst;
}

struct token_limit token_limit_share(struct token_limit limit, int64_t processes)
{
    if (limit.per_second == 0)
        return limit;
    return (struct token_limit){.per_second = max_i64(limit.per_second / processes, 1),
                                .burst = max_i64(limit.burst / processes, 1)};
}

struct token_limit token_limit_lesser(struct token_limit a, struct token_limit b)
{
    if (a.per_second == 0 || b.per_second == 0)
        return a.per_second == 0 ? b : a;
    return (struct token_limit){.per_second = min_i64(a.per_second, b.per_second),
                                .burst = min_i64(a.burst, b.burst)};
}

static bool has_limit(const struct token_bucket *b)
{
    return b->limit.per_second > 0;
}

void token_bucket_fill(struct token_bucket *b, struct token_limit limit, int64_t now_us)
{
    assert(limit.per_second >= 0 && limit.per_second <= TOKEN_BUCKET_MOST);
    assert(limit.per_second == 0 || (limit.burst >= 1 && limit.burst <= TOKEN_BUCKET_MOST));
    *b = (struct token_bucket){
        .limit = limit, .level = limit.per_second > 0 ? limit.burst * WHOLE : 0, .at_us = now_us};
}

// What is missing until it is full, after what has come in since it was last looked at.
static int64_t refill(struct token_bucket *b, int64_t now_us)
{
    int64_t missing = b->limit.burst * WHOLE - b->level, gained;
    if (now_us <= b->at_us)
        return missing;
    if (__builtin_mul_overflow(now_us - b->at_us, b->limit.per_second, &gained) || gained > missing)
        gained = missing;
    b->level += gained;
    b->at_us = now_us;
    return missing - gained;
}

void token_bucket_change(struct token_bucket *b, struct token_limit limit, int64_t now_us)
{
    if (token_limit_equal(b->limit, limit))
        return;
    if (!has_limit(b) || limit.per_second == 0) {
        token_bucket_fill(b, limit, now_us);
        return;
    }
    refill(b, now_us);
    b->limit = limit;
    b->level = min_i64(b->level, limit.burst * WHOLE);
}

void token_bucket_change_shared(struct token_bucket *b, struct token_limit limit, int64_t now_us)
{
    int64_t missing = has_limit(b) && limit.per_second > 0 ? refill(b, now_us) : 0;
    token_bucket_fill(b, limit, now_us);
    b->level -= missing;
}

int64_t token_bucket_wait_us(struct token_bucket *b, int64_t n, int64_t now_us)
{
    assert(n >= 0 && n <= TOKEN_BUCKET_MOST);
    if (!has_limit(b))
        return 0;
    refill(b, now_us);
    int64_t lacking = min_i64(n, b->limit.burst) * WHOLE - b->level;
    return lacking <= 0 ? 0 : ceil_div(lacking, b->limit.per_second);
}

void token_bucket_take(struct token_bucket *b, int64_t n, int64_t now_us)
{
    if (!has_limit(b))
        return;
    refill(b, now_us);
    assert(b->level >= min_i64(n, b->limit.burst) * WHOLE);
    b->level -= n * WHOLE;
}

void token_bucket_give_back(struct token_bucket *b, int64_t n, int64_t now_us)
{
    if (!has_limit(b))
        return;
    int64_t missing = refill(b, now_us);
    b->level += min_i64(n * WHOLE, missing);
}

int64_t token_bucket_holds(struct token_bucket *b, int64_t now_us)
{
    if (!has_limit(b))
        return TOKEN_BUCKET_MOST;
    refill(b, now_us);
    return max_i64(b->level / WHOLE, 0);
}

int64_t token_bucket_full_in_us(struct token_bucket *b, int64_t now_us)
{
    return has_limit(b) ? ceil_div(refill(b, now_us), b->limit.per_second) : 0;
}
