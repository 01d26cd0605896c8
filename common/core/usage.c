// SPDX-License-Identifier: Apache-2.0
#include "common/core/usage.h"

#include <ctype.h>
#include <strings.h>

static const int64_t bands[] = USAGE_BANDS;

void usage_add(struct usage *into, const struct usage *u)
{
    into->requests = add_sat_i64(into->requests, u->requests);
#define ADD(name) into->name = add_sat_i64(into->name, u->name);
    USAGE_CLASSES(ADD)
#undef ADD
}

int64_t usage_prompt_tokens(const struct usage *u)
{
    return add_sat_i64(add_sat_i64(u->uncached_prompt_tokens, u->cached_prompt_tokens),
                       add_sat_i64(u->cache_write_5m_tokens, u->cache_write_1h_tokens));
}

int64_t usage_tokens(const struct usage *u)
{
    return add_sat_i64(usage_prompt_tokens(u), u->completion_tokens);
}

static bool is_one_of(struct str s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == s.n && strncasecmp(names[i], s.p, s.n) == 0)
            return true;
    return false;
}

bool usage_excludes_cached(struct str provider)
{
    static const char *const names[] = {"anthropic", "aws.bedrock", "aws_bedrock", "amazon_bedrock",
                                        "bedrock"};
    return is_one_of(provider, names, ARRAY_LEN(names));
}

// What is left of the whole without its part. A whole that was not sent has no rest.
static int64_t rest_of(int64_t whole, int64_t part, bool *clamped)
{
    if (whole == EVENT_ABSENT)
        return 0;
    if (whole < part)
        *clamped = true;
    return max_i64(0, whole - part);
}

static int64_t sent(int64_t tokens)
{
    return tokens == EVENT_ABSENT ? 0 : tokens;
}

bool usage_of_answer(const struct event *answer, int64_t request_prompt_tokens,
                     bool excludes_cached, struct usage *out)
{
    bool clamped = false;
    int64_t prompt =
        answer->prompt_tokens != EVENT_ABSENT ? answer->prompt_tokens : request_prompt_tokens;
    int64_t cached = sent(answer->cached_prompt_tokens);
    int64_t write_1h = sent(answer->cache_write_1h_tokens);
    int64_t write_5m = rest_of(answer->cache_write_tokens, write_1h, &clamped);
    int64_t reasoning = sent(answer->reasoning_tokens);
    *out = (struct usage){
        .requests = 1,
        .uncached_prompt_tokens = excludes_cached
                                      ? sent(prompt)
                                      : rest_of(prompt, cached + write_5m + write_1h, &clamped),
        .cached_prompt_tokens = cached,
        .cache_write_5m_tokens = write_5m,
        .cache_write_1h_tokens = write_1h,
        .completion_tokens = rest_of(answer->completion_tokens, reasoning, &clamped) + reasoning,
        .reasoning_tokens = reasoning,
    };
    return clamped;
}

int64_t usage_context_above(const struct usage *u)
{
    int64_t tokens = usage_prompt_tokens(u), above = 0;
    for (size_t i = 0; i < ARRAY_LEN(bands) && tokens > bands[i]; i++)
        above = bands[i];
    return above;
}

bool usage_is_band(int64_t above)
{
    for (size_t i = 0; i < ARRAY_LEN(bands); i++)
        if (bands[i] == above)
            return true;
    return above == 0;
}

struct str usage_tier(struct str tier, char *scratch)
{
    static const char *const standard[] = {"auto", "default", "standard", "on_demand"};
    if (tier.n == 0 || is_one_of(tier, standard, ARRAY_LEN(standard)))
        return (struct str){"", 0};
    assert(tier.n <= EVENT_NAME_MAX);
    for (size_t i = 0; i < tier.n; i++)
        scratch[i] = (char)tolower((unsigned char)tier.p[i]);
    return (struct str){scratch, tier.n};
}
