// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/metric.h"

#define BIT(column) (UINT64_C(1) << FACTS_##column)
#define PLAIN 1
#define SECONDS INT64_C(1000000)   // of µs
#define USD INT64_C(1000000000000) // of picodollars

#define PROMPT_TOKENS                                                                              \
    (BIT(uncached_prompt_tokens) | BIT(cached_prompt_tokens) | BIT(cache_write_5m_tokens) |        \
     BIT(cache_write_1h_tokens))

// A row of FACTS_SUMS or FACTS_COSTS.
#define COLUMNS(name, family, help, unit, type, gauge, label, value, group, plus, minus, divisor)  \
    {                                                                                              \
        name, family, help, unit, type, gauge, label, value, METRIC_COLUMNS, group, plus, minus,   \
            divisor                                                                                \
    }
#define COUNTER(name, unit, group, plus, minus, divisor, help)                                     \
    COLUMNS(name, name, help, unit, METRIC_COUNTER, false, NULL, NULL, group, plus, minus, divisor)
#define COUNTER_OF(name, unit, label, value, group, plus, minus, divisor, help)                    \
    COLUMNS(name, name, help, unit, METRIC_COUNTER, false, label, value, group, plus, minus,       \
            divisor)
#define GAUGE(field, unit, group, plus, minus, divisor, help)                                      \
    COLUMNS("llm_minute_" field, "llm_minute_" field, help, unit, METRIC_GAUGE, true, NULL, NULL,  \
            group, plus, minus, divisor)
#define COUNTED(name, label, source, help)                                                         \
    {                                                                                              \
        name, name, help, "", METRIC_COUNTER, false, label, NULL, source, FACTS_OBJECTS, 0, 0,     \
            PLAIN                                                                                  \
    }

// What a histogram's family is exposed as.
#define BUCKETS(family, unit, group, help)                                                         \
    {                                                                                              \
        family "_bucket", family, help, unit, METRIC_HISTOGRAM, false, "le", NULL, METRIC_BUCKETS, \
            group, 0, 0, PLAIN                                                                     \
    }
#define PART(family, suffix, unit, label, value, group, plus, minus, divisor, help)                \
    COLUMNS(family suffix, family, help, unit, METRIC_HISTOGRAM, false, label, value, group, plus, \
            minus, divisor)

#define DURATION "gen_ai_client_operation_duration_seconds"
#define DURATION_HELP "Latency of calls: from sending the prompt to the end of the answer."
#define TTFT "gen_ai_server_time_to_first_token_seconds"
#define TTFT_HELP "Time to first token, of the answers that tell it."
#define TOKEN_USAGE "gen_ai_client_token_usage"
#define TOKEN_USAGE_HELP                                                                           \
    "Tokens of answered calls, by type (input: all of the prompt, cached ones too). A histogram "  \
    "without buckets."
#define COST "gen_ai_usage_cost_USD"
#define COST_HELP                                                                                  \
    "Estimated cost of the responses that have a price, in USD. A histogram without buckets."
#define TOKEN_TYPE "gen_ai_token_type"

#define TOKENS(class, plus, minus)                                                                 \
    COUNTER_OF("llm_tokens_total", "tokens", "class", class, FACTS_SUMS, plus, minus, PLAIN,       \
               "Tokens of answered calls, by class of price; each token is of one class.")
#define CLASS_COST(class, column)                                                                  \
    COUNTER_OF("llm_cost_usd_total", "USD", "class", class, FACTS_COSTS, BIT(column), 0, USD,      \
               "Estimated cost in USD, by class of price; the classes sum to all of it.")

// Sorted by name.
const struct metric metrics[] = {
    BUCKETS(DURATION, "seconds", FACTS_LATENCY, DURATION_HELP),
    PART(DURATION, "_count", "seconds", NULL, NULL, FACTS_SUMS, BIT(latency_count), 0, PLAIN,
         DURATION_HELP),
    PART(DURATION, "_sum", "seconds", NULL, NULL, FACTS_SUMS, BIT(latency_sum_us), 0, SECONDS,
         DURATION_HELP),
    PART(TOKEN_USAGE, "_count", "tokens", TOKEN_TYPE, "input", FACTS_SUMS, BIT(responses), 0, PLAIN,
         TOKEN_USAGE_HELP),
    PART(TOKEN_USAGE, "_count", "tokens", TOKEN_TYPE, "output", FACTS_SUMS, BIT(responses), 0,
         PLAIN, TOKEN_USAGE_HELP),
    PART(TOKEN_USAGE, "_sum", "tokens", TOKEN_TYPE, "input", FACTS_SUMS, PROMPT_TOKENS, 0, PLAIN,
         TOKEN_USAGE_HELP),
    PART(TOKEN_USAGE, "_sum", "tokens", TOKEN_TYPE, "output", FACTS_SUMS, BIT(completion_tokens), 0,
         PLAIN, TOKEN_USAGE_HELP),
    BUCKETS(TTFT, "seconds", FACTS_TTFT, TTFT_HELP),
    PART(TTFT, "_count", "seconds", NULL, NULL, FACTS_SUMS, BIT(ttft_count), 0, PLAIN, TTFT_HELP),
    PART(TTFT, "_sum", "seconds", NULL, NULL, FACTS_SUMS, BIT(ttft_sum_us), 0, SECONDS, TTFT_HELP),
    PART(COST, "_count", "USD", NULL, NULL, FACTS_SUMS, BIT(responses), BIT(unpriced_requests),
         PLAIN, COST_HELP),
    PART(COST, "_sum", "USD", NULL, NULL, FACTS_COSTS, BIT(cost), 0, USD, COST_HELP),
    COUNTER("llm_clamped_usage_total", "", FACTS_SUMS, BIT(clamped_usage), 0, PLAIN,
            "Responses whose classes of tokens exceeded their prompt's, and were cut."),
    CLASS_COST("cache_write_1h", cost_cache_write_1h),
    CLASS_COST("cache_write_5m", cost_cache_write_5m),
    CLASS_COST("cached_input", cost_cached_input),
    CLASS_COST("input", cost_input),
    CLASS_COST("output", cost_output),
    CLASS_COST("reasoning", cost_reasoning),
    CLASS_COST("request", cost_request),
    COUNTED("llm_errors_total", "error_type", METRIC_ERRORS,
            "Calls answered with an error, by its class."),
    COUNTED("llm_finish_reasons_total", "gen_ai_response_finish_reasons", METRIC_REASONS,
            "Responses by why the model stopped, of those that tell it."),
    COUNTER("llm_generation_seconds_total", "seconds", FACTS_SUMS, BIT(generation_us), 0, SECONDS,
            "Time from first token to last, of the responses that took longer than their time to "
            "first token."),
    COUNTER("llm_generation_tokens_total", "tokens", FACTS_SUMS, BIT(generation_tokens), 0, PLAIN,
            "Completion tokens of the responses in llm_generation_seconds_total."),
    COUNTER("llm_guessed_requests_total", "", FACTS_SUMS, BIT(guessed_requests), 0, PLAIN,
            "Responses that PRICE_DEFAULT priced."),
    GAUGE("cache_savings_usd", "USD", FACTS_COSTS, BIT(cache_savings), 0, USD,
          "What the tokens read from a cache or written to one would have cost more as uncached "
          "ones, in USD; below 0 where writing cost more than reading saved."),
    GAUGE("cache_write_tokens", "tokens", FACTS_SUMS,
          BIT(cache_write_5m_tokens) | BIT(cache_write_1h_tokens), 0, PLAIN,
          "Prompt tokens written to a cache."),
    GAUGE("cached_prompt_tokens", "tokens", FACTS_SUMS, BIT(cached_prompt_tokens), 0, PLAIN,
          "Prompt tokens read from a cache."),
    GAUGE("completion_tokens", "tokens", FACTS_SUMS, BIT(completion_tokens), 0, PLAIN,
          "Completion tokens, those of reasoning too."),
    GAUGE("errors", "", FACTS_SUMS, BIT(errors), 0, PLAIN, "Requests answered with an error."),
    GAUGE("estimated_cost_usd", "USD", FACTS_COSTS, BIT(cost), 0, USD, "Estimated cost in USD."),
    GAUGE("generation_seconds", "seconds", FACTS_SUMS, BIT(generation_us), 0, SECONDS,
          "Time from first token to last, of the responses that took longer than their time to "
          "first token."),
    GAUGE("generation_tokens", "tokens", FACTS_SUMS, BIT(generation_tokens), 0, PLAIN,
          "Completion tokens of the responses in llm_minute_generation_seconds."),
    GAUGE("guessed_requests", "", FACTS_SUMS, BIT(guessed_requests), 0, PLAIN,
          "Responses that PRICE_DEFAULT priced."),
    GAUGE("in_flight", "", FACTS_SUMS, BIT(requests), BIT(responses) | BIT(unanswered), PLAIN,
          "Requests of this minute that are still open, as of now."),
    GAUGE("latency_count", "", FACTS_SUMS, BIT(latency_count), 0, PLAIN,
          "Responses that had a latency."),
    GAUGE("latency_seconds", "seconds", FACTS_SUMS, BIT(latency_sum_us), 0, SECONDS,
          "Sum of latencies."),
    GAUGE("max_latency_seconds", "seconds", FACTS_SUMS, BIT(latency_max_us), 0, SECONDS,
          "Greatest latency, exact; over minutes by max_over_time."),
    GAUGE("max_ttft_seconds", "seconds", FACTS_SUMS, BIT(ttft_max_us), 0, SECONDS,
          "Greatest time to first token, exact; over minutes by max_over_time."),
    GAUGE("prompt_tokens", "tokens", FACTS_SUMS, PROMPT_TOKENS, 0, PLAIN,
          "Prompt tokens, cached and cache-writing ones too."),
    GAUGE("reasoning_tokens", "tokens", FACTS_SUMS, BIT(reasoning_tokens), 0, PLAIN,
          "Completion tokens that were reasoning."),
    GAUGE("reported_cost_usd", "USD", FACTS_COSTS, BIT(reported_cost), 0, USD,
          "Cost in USD by the providers' own figures."),
    GAUGE("reported_requests", "", FACTS_SUMS, BIT(reported_requests), 0, PLAIN,
          "Responses that came with their provider's own cost."),
    GAUGE("requests", "", FACTS_SUMS, BIT(requests), 0, PLAIN, "Distinct requests."),
    GAUGE("responses", "", FACTS_SUMS, BIT(responses), 0, PLAIN, "Requests that were answered."),
    GAUGE("ttft_count", "", FACTS_SUMS, BIT(ttft_count), 0, PLAIN,
          "Responses that had a time to first token."),
    GAUGE("ttft_seconds", "seconds", FACTS_SUMS, BIT(ttft_sum_us), 0, SECONDS,
          "Sum of times to first token."),
    GAUGE("unanswered", "", FACTS_SUMS, BIT(unanswered), 0, PLAIN,
          "Requests given up on after their time to live."),
    GAUGE("uncached_prompt_tokens", "tokens", FACTS_SUMS, BIT(uncached_prompt_tokens), 0, PLAIN,
          "Prompt tokens without any cache."),
    GAUGE("unpriced_requests", "", FACTS_SUMS, BIT(unpriced_requests), 0, PLAIN,
          "Responses of models without a price."),
    GAUGE("unpriced_tokens", "tokens", FACTS_SUMS, BIT(unpriced_tokens), 0, PLAIN,
          "Tokens of models without a price."),
    COUNTER("llm_reported_cost_usd_total", "USD", FACTS_COSTS, BIT(reported_cost), 0, USD,
            "Cost in USD by the providers' own figures."),
    COUNTER("llm_reported_requests_total", "", FACTS_SUMS, BIT(reported_requests), 0, PLAIN,
            "Responses that came with their provider's own cost."),
    COUNTER("llm_requests_total", "", FACTS_SUMS, BIT(requests), 0, PLAIN, "Distinct requests."),
    COUNTER("llm_responses_total", "", FACTS_SUMS, BIT(responses), 0, PLAIN,
            "Requests that were answered."),
    TOKENS("cache_write_1h", BIT(cache_write_1h_tokens), 0),
    TOKENS("cache_write_5m", BIT(cache_write_5m_tokens), 0),
    TOKENS("cached_input", BIT(cached_prompt_tokens), 0),
    TOKENS("input", BIT(uncached_prompt_tokens), 0),
    TOKENS("output", BIT(completion_tokens), BIT(reasoning_tokens)),
    TOKENS("reasoning", BIT(reasoning_tokens), 0),
    COUNTER("llm_unanswered_total", "", FACTS_SUMS, BIT(unanswered), 0, PLAIN,
            "Requests given up on after their time to live."),
    COUNTER("llm_unpriced_requests_total", "", FACTS_SUMS, BIT(unpriced_requests), 0, PLAIN,
            "Responses of models without a price; they are not in any cost."),
    COUNTER("llm_unpriced_tokens_total", "tokens", FACTS_SUMS, BIT(unpriced_tokens), 0, PLAIN,
            "Tokens of models without a price."),
    COUNTER("llm_without_latency_total", "", FACTS_SUMS, BIT(without_latency), 0, PLAIN,
            "Responses that had no latency to be measured."),
};
const size_t metric_count = ARRAY_LEN(metrics);

// The conventions' bounds. Labels are as Prometheus 3 writes whole numbers: "1.0".
static const int64_t latency_upper_us[] = {10000,    20000,    40000,    80000,   160000,
                                           320000,   640000,   1280000,  2560000, 5120000,
                                           10240000, 20480000, 40960000, 81920000};
static const char *const latency_le[] = {"0.01",  "0.02",  "0.04",  "0.08",  "0.16",
                                         "0.32",  "0.64",  "1.28",  "2.56",  "5.12",
                                         "10.24", "20.48", "40.96", "81.92", "+Inf"};
static const int64_t ttft_upper_us[] = {1000,    5000,    10000,   20000,   40000,  60000,
                                        80000,   100000,  250000,  500000,  750000, 1000000,
                                        2500000, 5000000, 7500000, 10000000};
static const char *const ttft_le[] = {"0.001", "0.005", "0.01", "0.02", "0.04", "0.06",
                                      "0.08",  "0.1",   "0.25", "0.5",  "0.75", "1.0",
                                      "2.5",   "5.0",   "7.5",  "10.0", "+Inf"};

const struct metric_bounds *metric_bounds(enum facts_group group)
{
    static const struct metric_bounds latency = {latency_upper_us, latency_le,
                                                 ARRAY_LEN(latency_upper_us)};
    static const struct metric_bounds ttft = {ttft_upper_us, ttft_le, ARRAY_LEN(ttft_upper_us)};
    _Static_assert(ARRAY_LEN(latency_le) == ARRAY_LEN(latency_upper_us) + 1, "+Inf is one more");
    _Static_assert(ARRAY_LEN(ttft_le) == ARRAY_LEN(ttft_upper_us) + 1, "+Inf is one more");
    return group == FACTS_LATENCY ? &latency : group == FACTS_TTFT ? &ttft : NULL;
}

#define LABELS(X)                                                                                  \
    X(gen_ai_request_model, model)                                                                 \
    X(model, model)                                                                                \
    X(route, route)                                                                                \
    X(service_name, route)                                                                         \
    X(tenant_id, tenant_id)

#define LABEL_NAME(name, from) {#name, sizeof(#name) - 1},
const struct str metric_labels[METRIC_LABELS] = {LABELS(LABEL_NAME)};
#undef LABEL_NAME

void metric_label_values(struct str tenant_id, struct str route, struct str model,
                         struct str values[METRIC_LABELS])
{
    size_t n = 0;
#define LABEL_VALUE(name, from) values[n++] = from;
    LABELS(LABEL_VALUE)
#undef LABEL_VALUE
    assert(n == METRIC_LABELS);
}
