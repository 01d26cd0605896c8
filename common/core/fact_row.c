// SPDX-License-Identifier: Apache-2.0
// The formulas are those of the view llm_metrics (sql/), and divide once, as doubles do there.
#include "common/core/fact_row.h"

#include <math.h>

#define DECIMAL_MAX 64 // bytes of an amount: 39 digits, a sign and a point

const double fact_quantiles[FACT_QUANTILE_COUNT] = {0.5, 0.9, 0.95, 0.99};

static double ratio(int64_t sum, int64_t count)
{
    return count ? (double)sum / (double)count : 0;
}

// µs in all, by how many, in ms. The product is rounded once however large the count is.
static double average_ms(int64_t sum_us, int64_t count)
{
    return (double)sum_us / (double)((__int128)count * 1000);
}

static double ms_or(double nothing, int64_t us)
{
    return us < 0 ? nothing : (double)us / 1000;
}

static void derive_durations(const struct fact_row *f, struct metrics_row *out)
{
    out->avg_latency_ms = f->latency_count ? average_ms(f->latency_sum_us, f->latency_count) : 0;
    out->max_latency_ms = (double)f->latency_max_us / 1000;
    out->avg_ttft_ms = f->ttft_count ? average_ms(f->ttft_sum_us, f->ttft_count) : NAN;
    out->max_ttft_ms = f->ttft_count ? (double)f->ttft_max_us / 1000 : NAN;
#define QUANTILE(name)                                                                             \
    out->name##_latency_ms = ms_or(0, f->latency_us[FACT_##name]);                                 \
    out->name##_ttft_ms = ms_or(NAN, f->ttft_us[FACT_##name]);
    FACT_QUANTILES(QUANTILE)
#undef QUANTILE
}

static void derive_tokens(const struct fact_row *f, struct metrics_row *out)
{
    out->cache_write_5m_tokens = f->cache_write_5m_tokens;
    out->cache_write_1h_tokens = f->cache_write_1h_tokens;
    out->cache_write_tokens = add_sat_i64(f->cache_write_5m_tokens, f->cache_write_1h_tokens);
    out->uncached_prompt_tokens = f->uncached_prompt_tokens;
    out->cached_prompt_tokens = f->cached_prompt_tokens;
    out->prompt_tokens = add_sat_i64(
        add_sat_i64(f->uncached_prompt_tokens, f->cached_prompt_tokens), out->cache_write_tokens);
    out->completion_tokens = f->completion_tokens;
    out->reasoning_tokens = f->reasoning_tokens;
    out->avg_prompt_tokens = ratio(out->prompt_tokens, f->responses);
    out->avg_completion_tokens = ratio(f->completion_tokens, f->responses);
    out->generation_tokens = f->generation_tokens;
    out->generation_ms = (double)f->generation_us / 1000;
    out->output_tokens_per_second =
        f->generation_us > 0 ? (double)f->generation_tokens / ((double)f->generation_us / 1000000)
                             : NAN;
}

static struct str add_decimal(struct buf *scratch, money m)
{
    size_t from = scratch->n;
    money_add_decimal(scratch, m);
    return (struct str){scratch->p + from, scratch->n - from};
}

static void derive_costs(const struct fact_row *f, struct buf *scratch, struct metrics_row *out)
{
    buf_clear(scratch);
    buf_reserve(scratch, 2 * DECIMAL_MAX); // so that the first does not move
    out->estimated_cost_usd = money_usd(f->cost);
    out->estimated_cost_usd_decimal = add_decimal(scratch, f->cost);
    out->unpriced_requests = f->unpriced_requests;
    out->unpriced_tokens = f->unpriced_tokens;
    out->guessed_requests = f->guessed_requests;
    out->price_version = f->price_version;
    out->uncached_prompt_cost_usd = money_usd(f->cost_input);
    out->cached_prompt_cost_usd = money_usd(f->cost_cached_input);
    out->cache_write_5m_cost_usd = money_usd(f->cost_cache_write_5m);
    out->cache_write_1h_cost_usd = money_usd(f->cost_cache_write_1h);
    out->completion_cost_usd = money_usd(money_add(f->cost_output, f->cost_reasoning));
    out->reasoning_cost_usd = money_usd(f->cost_reasoning);
    out->request_cost_usd = money_usd(f->cost_request);
    out->cache_savings_usd = money_usd(f->cache_savings);
    out->reported_requests = f->reported_requests;
    out->reported_cost_usd = NAN;
    out->reported_cost_usd_decimal = (struct str){NULL, 0};
    if (f->reported_requests > 0) {
        out->reported_cost_usd = money_usd(f->reported_cost);
        out->reported_cost_usd_decimal = add_decimal(scratch, f->reported_cost);
    }
}

static struct str object_of(struct str json)
{
    return json.p ? json : STR_LIT("{}");
}

void fact_row_derive(const struct fact_row *f, struct buf *scratch, struct metrics_row *out)
{
    int64_t done = add_sat_i64(f->responses, f->unanswered);
    out->tenant_id = f->tenant_id;
    out->route = f->route;
    out->model = f->model;
    out->window_start_us = f->window_start_us;
    out->window_end_us = f->window_end_us;
    out->requests = f->requests;
    out->responses = f->responses;
    out->unanswered = f->unanswered;
    out->in_flight = f->requests - done;
    out->errors = f->errors;
    out->without_latency = f->without_latency;
    out->clamped_usage = f->clamped_usage;
    derive_durations(f, out);
    derive_tokens(f, out);
    derive_costs(f, scratch, out);
    out->error_classes = object_of(f->error_classes);
    out->finish_reasons = object_of(f->finish_reasons);
    out->revision = f->revision;
    out->updated_at_us = f->updated_at_us;
    out->complete = f->complete;
    out->lossy = f->lossy;
    out->publish_seq = f->publish_seq;
    out->late = f->late;
    out->settled = f->requests == done && f->closed;
}
