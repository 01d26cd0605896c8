// SPDX-License-Identifier: Apache-2.0
// What a result comes with: warnings and infos, each text once, with the place that gave cause.
#ifndef STREAMLENS_PROMQL_NOTES_H
#define STREAMLENS_PROMQL_NOTES_H

#include "metrics-api/promql/promql.h"

struct note {
    struct str text; // begins with "PromQL warning: " or "PromQL info: "
    bool warning;
    size_t at; // of the last cause, in the query
    // Of buckets that had to be made monotonic: how many, when, between which bounds, how far.
    size_t count; // 0: of another kind
    int64_t min_ms, max_ms;
    double min_bucket, max_bucket, max_difference;
};
struct notes {
    struct arena *arena;
    struct note v[2 * PROMQL_NOTES_MAX];
    size_t n, warnings;
};

void notes_warn(struct notes *notes, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void notes_inform(struct notes *notes, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void notes_monotonic(struct notes *notes, size_t at, struct str metric, int64_t t_ms,
                     double min_bucket, double max_bucket, double difference);
// The texts, into memory of the arena.
void notes_texts(const struct notes *notes, struct str query, struct promql_result *result);

#endif
