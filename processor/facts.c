// SPDX-License-Identifier: Apache-2.0
#include "processor/facts.h"

#include "common/core/event.h"

void facts_generated(struct facts *f, int64_t latency_us, int64_t ttft_us, int64_t tokens)
{
    // An absent latency is less than any time to first token.
    if (ttft_us == EVENT_ABSENT || ttft_us >= latency_us || tokens == 0)
        return;
    f->generation_us = add_sat_i64(f->generation_us, latency_us - ttft_us);
    f->generation_tokens = add_sat_i64(f->generation_tokens, tokens);
}

void facts_prefetch(const struct facts *f)
{
    __builtin_prefetch(f->finish_reasons.v, 1);
    __builtin_prefetch(f->usage.v);
    if (f->usage.n > 0)
        __builtin_prefetch((const char *)f->usage.v + sizeof(*f->usage.v) - 1, 1);
    if (f->latency.more)
        __builtin_prefetch(f->latency.more + f->latency.listed, 1);
    if (f->ttft.more)
        __builtin_prefetch(f->ttft.more + f->ttft.listed, 1);
}

void facts_add(struct facts *into, const struct facts *from)
{
#define ADD(name) into->name = add_sat_i64(into->name, from->name);
    FACTS_SUMS(ADD)
#undef ADD
    usage_lines_merge(&into->usage, &from->usage);
    into->reported_cost = money_add(into->reported_cost, from->reported_cost);
    hist_add(&into->latency, &from->latency);
    hist_add(&into->ttft, &from->ttft);
    name_counts_merge(&into->error_classes, &from->error_classes);
    name_counts_merge(&into->finish_reasons, &from->finish_reasons);
}

void facts_clear(struct facts *f)
{
    usage_lines_clear(&f->usage);
    hist_clear(&f->latency);
    hist_clear(&f->ttft);
    name_counts_clear(&f->error_classes);
    name_counts_clear(&f->finish_reasons);
    *f = (struct facts){0};
}
