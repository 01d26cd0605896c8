// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_log.h"

#include <stdio.h>

#include "common/core/buf.h"
#include "common/core/money.h"

static void add_optional(struct buf *b, const char *name, int64_t value)
{
    if (value != EVENT_ABSENT)
        buf_addf(b, ",\"%s\":%lld", name, (long long)value);
}

static void add_ms(struct buf *b, const char *name, int64_t us)
{
    if (us != EVENT_ABSENT)
        buf_addf(b, ",\"%s\":%.3f", name, (double)us / 1000.0);
}

void sim_model_name(int model, char name[16])
{
    if (model == SIM_MODEL_OTHER)
        snprintf(name, 16, "__other__");
    else
        snprintf(name, 16, "m%d", model);
}

static void add_text(struct buf *b, const char *name, const char *value)
{
    if (value)
        buf_addf(b, ",\"%s\":\"%s\"", name, value);
}

static void add_names(struct buf *b, const struct truth *t)
{
    if (t->tenant != SIM_NOBODY)
        buf_addf(b, ",\"tenant_id\":\"t%d\"", t->tenant);
    buf_addf(b, ",\"route\":\"r%d\",\"model\":\"m%d\"", t->route, t->model);
    add_text(b, "provider", t->provider);
}

static void add_answer(struct buf *b, const struct truth *t)
{
    char model[16];
    sim_model_name(t->answered_by, model);
    add_text(b, "model", t->answered_by != SIM_NOBODY ? model : NULL);
    add_text(b, "service_tier", t->tier);
    add_optional(b, "completion_tokens", t->completion_tokens);
    add_optional(b, "cached_prompt_tokens", t->cached_prompt_tokens);
    add_optional(b, "cache_write_tokens", t->cache_write_tokens);
    add_optional(b, "cache_write_1h_tokens", t->cache_write_1h_tokens);
    add_optional(b, "reasoning_tokens", t->reasoning_tokens);
    if (t->cost_pusd != EVENT_ABSENT)
        buf_addf(b, ",\"cost_usd\":%lld.%012lld", (long long)(t->cost_pusd / MONEY_PER_USD),
                 (long long)(t->cost_pusd % MONEY_PER_USD));
    add_ms(b, "latency_ms", t->latency_us);
    add_ms(b, "time_to_first_token_ms", t->ttft_us);
    add_text(b, "error", t->error);
    add_text(b, "finish_reason", t->finish);
}

static void render(struct buf *b, enum event_kind kind, const struct truth *t)
{
    if (t->tick)
        return;
    if (t->malformed) {
        buf_addf(b, "{\"request_id\":\"id-%d\",broken", t->id);
        return;
    }
    buf_addf(b, "{\"request_id\":\"id-%d\",\"timestamp\":%.3f", t->id,
             (double)t->timestamp_us / 1000.0);
    if (kind == EVENT_REQUEST)
        add_names(b, t);
    else
        add_answer(b, t);
    add_optional(b, "prompt_tokens", t->prompt_tokens);
    buf_addf(b, ",\"x\":%d}", t->content);
}

void sim_log_append(struct sim_log *l, enum event_kind kind, int partition, int64_t time_ms,
                    int offset_gap, const struct truth *truth)
{
    struct sim_topic *t = &l->topic[kind][partition];
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->v = xrealloc(t->v, t->cap * sizeof(*t->v));
    }
    t->next_offset += offset_gap;
    struct sim_record *r = &t->v[t->n++];
    *r = (struct sim_record){.offset = t->next_offset++, .time_ms = time_ms, .truth = *truth};
    t->visible = t->n;
    r->identity = truth->id * 64 + truth->sender + 1;
    if (!truth->tick)
        snprintf(r->key, sizeof(r->key), "id-%d", truth->id);
    if (!truth->tick && truth->sender != SIM_NOBODY)
        snprintf(r->tenant, sizeof(r->tenant), "t%d", truth->sender);
    struct buf b = {0};
    render(&b, kind, truth);
    r->value_n = b.n;
    r->value = buf_steal(&b);
}

// The number of the first record at or beyond the offset.
static size_t number_at(const struct sim_topic *t, int64_t offset)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->v[mid].offset < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct sim_record *sim_log_at(const struct sim_log *l, enum event_kind kind, int partition,
                                    int64_t offset)
{
    const struct sim_topic *t = &l->topic[kind][partition];
    size_t i = number_at(t, offset);
    return i < t->visible ? &t->v[i] : NULL;
}

int64_t sim_log_high(const struct sim_log *l, enum event_kind kind, int partition)
{
    const struct sim_topic *t = &l->topic[kind][partition];
    if (t->visible == t->n)
        return t->next_offset;
    return t->visible ? t->v[t->visible - 1].offset + 1 : 0;
}

void sim_log_delete(struct sim_log *l, enum event_kind kind, int partition, int64_t before)
{
    struct sim_topic *t = &l->topic[kind][partition];
    assert(before <= t->next_offset);
    t->low = max_i64(t->low, before);
}

void sim_log_truncate(struct sim_log *l, enum event_kind kind, int partition, int64_t from)
{
    struct sim_topic *t = &l->topic[kind][partition];
    size_t keep = number_at(t, from);
    for (size_t i = keep; i < t->n; i++)
        free(t->v[i].value);
    t->n = t->visible = keep;
    t->next_offset = min_i64(t->next_offset, from);
    t->low = min_i64(t->low, t->next_offset);
}

void sim_log_free(struct sim_log *l)
{
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < l->partitions; p++) {
            for (size_t i = 0; i < l->topic[k][p].n; i++)
                free(l->topic[k][p].v[i].value);
            free(l->topic[k][p].v);
        }
}
