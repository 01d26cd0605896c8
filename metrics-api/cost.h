// SPDX-License-Identifier: Apache-2.0
// What groups cost in a range, beside the range before it. Pure.
#ifndef STREAMLENS_METRICS_COST_H
#define STREAMLENS_METRICS_COST_H

#include "common/core/fact_row.h"
#include "metrics-api/fields.h"
#include "metrics-api/fold.h"

// What names mean in a row of the metrics they mean here. Shares are from 0 to 1: `share` of all
// groups' cost, the others of the responses.
//
// reported_difference_usd: reported less estimated, where every response is in both.
// cost_per_request_usd: by priced responses; cost_per_million_tokens_usd: by their tokens.
// before_estimated_cost_usd: null where not all of the range before is kept.
#define COST_ROW_FIELDS(TEXT, COUNT, NUMBER, MAYBE, DECIMAL)                                       \
    TEXT(tenant_id)                                                                                \
    TEXT(route)                                                                                    \
    TEXT(model)                                                                                    \
    COUNT(requests)                                                                                \
    COUNT(responses)                                                                               \
    NUMBER(estimated_cost_usd)                                                                     \
    DECIMAL(estimated_cost_usd_decimal)                                                            \
    MAYBE(share)                                                                                   \
    NUMBER(uncached_prompt_cost_usd)                                                               \
    NUMBER(cached_prompt_cost_usd)                                                                 \
    NUMBER(cache_write_5m_cost_usd)                                                                \
    NUMBER(cache_write_1h_cost_usd)                                                                \
    NUMBER(completion_cost_usd)                                                                    \
    NUMBER(reasoning_cost_usd)                                                                     \
    NUMBER(request_cost_usd)                                                                       \
    NUMBER(cache_savings_usd)                                                                      \
    COUNT(unpriced_requests)                                                                       \
    COUNT(unpriced_tokens)                                                                         \
    MAYBE(unpriced_share)                                                                          \
    COUNT(guessed_requests)                                                                        \
    MAYBE(guessed_share)                                                                           \
    COUNT(reported_requests)                                                                       \
    MAYBE(reported_share)                                                                          \
    MAYBE(reported_cost_usd)                                                                       \
    MAYBE(reported_difference_usd)                                                                 \
    MAYBE(cost_per_request_usd)                                                                    \
    MAYBE(cost_per_million_tokens_usd)                                                             \
    MAYBE(before_estimated_cost_usd)                                                               \
    MAYBE(change_usd)                                                                              \
    MAYBE(change_percent)

struct cost_row {
#define COST_ROW_TEXT(name) struct str name;
#define COST_ROW_COUNT(name) int64_t name;
#define COST_ROW_NUMBER(name) double name; /* NAN: null */
    COST_ROW_FIELDS(COST_ROW_TEXT, COST_ROW_COUNT, COST_ROW_NUMBER, COST_ROW_NUMBER, COST_ROW_TEXT)
#undef COST_ROW_TEXT
#undef COST_ROW_COUNT
#undef COST_ROW_NUMBER
};
#define COST_FIELD_NUMBER(name) COST_FIELD_##name,
enum cost_field {
    COST_ROW_FIELDS(COST_FIELD_NUMBER, COST_FIELD_NUMBER, COST_FIELD_NUMBER, COST_FIELD_NUMBER,
                    COST_FIELD_NUMBER) COST_FIELD_COUNT
};
#undef COST_FIELD_NUMBER
extern const struct field_info cost_field_infos[COST_FIELD_COUNT];
// All of them, with those of the names that are grouped by (GROUP_… of question.h).
uint64_t cost_fields_shown(unsigned group_by);

// A group in both ranges; NULL where it has no windows. One of the two is there.
struct cost_sides {
    const struct fact_row *now, *before;
};
// Of cells of two steps, the later one beginning at from_us: the groups, those that cost most now
// first; those that cost as much by tenant_id, route, model, bytewise. out has room for `count`;
// returns how many.
size_t cost_pair(const struct cell *cells, size_t count, int64_t from_us, struct cost_sides *out);

// total: what all groups cost now. before_kept: else nothing is told of the range before. *scratch
// is cleared first and lives as long as out.
void cost_row_derive(const struct cost_sides *sides, money total, bool before_kept,
                     struct buf *scratch, struct cost_row *out);

#endif
