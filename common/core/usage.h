// SPDX-License-Identifier: Apache-2.0
// Tokens of an answer, split into classes that are billed apart (DESIGN 2.5). A function of the
// events alone, so that what is counted never depends on which prices were known when: prices are
// applied to the sums (price.h).
#ifndef STREAMLENS_USAGE_H
#define STREAMLENS_USAGE_H

#include "common/core/event.h"

// Disjoint, but for the last, which is a part of completion_tokens. Names are those of the columns.
#define USAGE_CLASSES(X)                                                                           \
    X(uncached_prompt_tokens)                                                                      \
    X(cached_prompt_tokens)                                                                        \
    X(cache_write_5m_tokens)                                                                       \
    X(cache_write_1h_tokens)                                                                       \
    X(completion_tokens)                                                                           \
    X(reasoning_tokens) /* of completion_tokens */

// Additive.
struct usage {
    int64_t requests; // answered
#define USAGE_MEMBER(name) int64_t name;
    USAGE_CLASSES(USAGE_MEMBER)
#undef USAGE_MEMBER
};
void usage_add(struct usage *into, const struct usage *u); // saturates at INT64_MAX
// Prompt tokens of every class; and those with the completion.
int64_t usage_prompt_tokens(const struct usage *u);
int64_t usage_tokens(const struct usage *u);

// The model's name under which usage of several models is kept together that a row has no more room
// for. As a name it means that.
#define USAGE_OTHER "__other__"

// Whether prompt_tokens of this provider leave out what was read from and written to its cache.
// OpenAI and OpenTelemetry's conventions include it (gen_ai.usage.input_tokens: "SHOULD include all
// types of input tokens, including cached tokens"); Anthropic's raw usage does not (input_tokens
// beside cache_read_input_tokens and cache_creation_input_tokens), nor does Amazon Bedrock's
// Converse (inputTokens beside cacheReadInputTokens and cacheWriteInputTokens).
bool usage_excludes_cached(struct str provider);

// The classes of one answer. The answer's own prompt_tokens come before the request's. What is
// named more closely is a part of the wider count: cached and written tokens of prompt_tokens
// (unless `excludes_cached`), cache_write_1h_tokens of cache_write_tokens, reasoning_tokens of
// completion_tokens. Where a part is larger than its whole, the rest is 0 and the whole is the sum
// of its parts; true then, for a count of such answers. A wide count that was not sent is the sum
// of its parts, and no contradiction.
bool usage_of_answer(const struct event *answer, int64_t request_prompt_tokens,
                     bool excludes_cached, struct usage *out);

// The context band of one answer: the greatest of these numbers that its prompt tokens exceed, 0
// below all. Providers charge the whole request at another price beyond a length that depends on
// the model. Counting at fixed bounds keeps the count independent of the prices: price lists may
// only name these.
#define USAGE_BANDS                                                                                \
    {                                                                                              \
        32000, 100000, 128000, 200000, 256000, 272000, 512000, 1000000                             \
    }
int64_t usage_context_above(const struct usage *u);
bool usage_is_band(int64_t above);

// The service tier as counted and priced: in lower case; "" for the standard one (not sent, auto,
// default, standard, on_demand). *scratch takes EVENT_NAME_MAX bytes.
struct str usage_tier(struct str tier, char *scratch);

#endif
