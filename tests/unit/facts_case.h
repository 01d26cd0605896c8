// SPDX-License-Identifier: Apache-2.0
// A cache of facts, and rows for it: what tests of it share.
#ifndef STREAMLENS_TESTS_FACTS_CASE_H
#define STREAMLENS_TESTS_FACTS_CASE_H

#include <check.h>

#include "common/core/timeunit.h"
#include "metrics-api/prometheus/facts_cache.h"

#define MAX_AGE_US 1000
#define CLOSED_MAX_AGE_US 5000
#define ROOM (1024 * 1024)
#define DAY (20000 * US_PER_DAY)

static struct hash_key key;
static struct freshness f;
static struct facts_cache *cache;
static struct facts_series *series;

static inline void setup_with(size_t room)
{
    hash_key_init(&key, "seed", 4);
    f = (struct freshness){0};
    freshness_up(&f);
    cache = facts_cache_new(room, MAX_AGE_US, CLOSED_MAX_AGE_US, &key);
    series = facts_cache_series(cache, STR_LIT("acme"), STR_LIT("/chat"), STR_LIT("gpt"));
}

static inline void setup(void)
{
    setup_with(ROOM);
}

static inline void teardown(void)
{
    facts_series_let_go(cache, series);
    facts_cache_free(cache); // that nothing is left of it, asserts there and LeakSanitizer tell
}

static inline struct facts_filling *filling(enum facts_unit unit, enum facts_group group)
{
    return facts_filling_new(cache, series, unit, group, DAY, f.now, 0);
}

static inline void add(struct facts_filling *b, const struct fact_row *row)
{
    struct err e = {.detail = ""};
    ck_assert_msg(facts_filling_add(b, row, &e) == 0, "%s: %s", e.field, e.detail);
}

#endif
