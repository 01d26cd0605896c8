// SPDX-License-Identifier: Apache-2.0
// Whether two events, read by whoever, are the same.
#ifndef STREAMLENS_TESTS_EVENT_SAME_H
#define STREAMLENS_TESTS_EVENT_SAME_H

#include "common/core/event.h"

// NULL, or the first field that differs. An absent string is none that is empty.
static inline const char *event_difference(const struct event *a, const struct event *b)
{
#define SAME_STR(field)                                                                            \
    if (!str_eq(a->field, b->field) || !a->field.p != !b->field.p)                                 \
        return #field;
#define SAME(field)                                                                                \
    if (a->field != b->field)                                                                      \
        return #field;
    SAME(kind)
    SAME_STR(request_id)
    SAME(timestamp_us)
    SAME_STR(tenant_id)
    SAME_STR(route)
    SAME_STR(model)
    SAME_STR(provider)
    SAME_STR(finish_reason)
    SAME_STR(error)
    SAME_STR(service_tier)
    SAME(prompt_tokens)
    SAME(completion_tokens)
    SAME(cached_prompt_tokens)
    SAME(cache_write_tokens)
    SAME(cache_write_1h_tokens)
    SAME(reasoning_tokens)
    SAME(latency_us)
    SAME(ttft_us)
    SAME(cost_pusd)
    SAME(stream)
#undef SAME
#undef SAME_STR
    return NULL;
}

#endif
