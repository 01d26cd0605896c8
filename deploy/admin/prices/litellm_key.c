// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/litellm_key.h"

#define ABOVE_DIGITS_MAX 9 // with its k far beyond every band

const char *litellm_billed_name(enum litellm_billed by)
{
#define NAME(what, name) name,
    static const char *const names[] = {LITELLM_BILLED(NAME)};
#undef NAME
    return names[by];
}

// Moves *rest behind the word; false where it does not begin with it.
static bool skip(const char **rest, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*rest, word, n) != 0)
        return false;
    *rest += n;
    return true;
}

static const struct {
    const char *name;
    enum price_class price_class;
} token_prices[] = {
    {"input_cost_per_token", PRICE_input},
    {"output_cost_per_token", PRICE_output},
    {"cache_read_input_token_cost", PRICE_cached_input},
    {"cache_creation_input_token_cost", PRICE_cache_write_5m},
    {"output_cost_per_reasoning_token", PRICE_reasoning},
    {"input_cost_per_request", PRICE_request},
};

static bool skip_tier(const char **rest, struct litellm_key *key)
{
#define SUFFIX(tier, name, suffix) suffix,
    static const char *const suffixes[] = {LITELLM_TIERS(SUFFIX)};
#undef SUFFIX
    for (size_t i = LITELLM_standard + 1; i < ARRAY_LEN(suffixes); i++) {
        if (key->tier == LITELLM_standard && skip(rest, suffixes[i])) {
            key->tier = (enum litellm_tier)i;
            return true;
        }
    }
    return false;
}

// _above_200k_tokens, _above_1500_tokens
static bool skip_band(const char **rest, struct litellm_key *key)
{
    const char *p = *rest;
    int64_t n = 0;
    if (key->above != 0 || !skip(&p, "_above_"))
        return false;
    for (int digits = 0; *p >= '0' && *p <= '9' && digits < ABOVE_DIGITS_MAX; digits++)
        n = 10 * n + (*p++ - '0');
    if (skip(&p, "k"))
        n *= 1000;
    if (n == 0 || !skip(&p, "_tokens"))
        return false;
    key->above = n;
    *rest = p;
    return true;
}

// How long a write is kept: _above_1hr, _above_12hr.
static bool skip_kept(const char **rest, struct litellm_key *key)
{
    if (key->price_class != PRICE_cache_write_5m || key->kind != LITELLM_TOKENS)
        return false;
    if (skip(rest, "_above_1hr")) {
        key->price_class = PRICE_cache_write_1h;
        return true;
    }
    if (skip(rest, "_above_12hr")) {
        key->kind = LITELLM_BESIDE;
        key->by = LITELLM_BY_writes_12h;
        return true;
    }
    return false;
}

static bool skip_decisions(const char **rest, struct litellm_key *key)
{
    if (!skip(rest, "_decisions"))
        return false;
    key->kind = LITELLM_BESIDE;
    key->by = LITELLM_BY_decisions;
    return true;
}

static bool is_token_price(const char *rest, struct litellm_key *key)
{
    size_t i = 0;
    while (i < ARRAY_LEN(token_prices) && !skip(&rest, token_prices[i].name))
        i++;
    if (i == ARRAY_LEN(token_prices))
        return false;
    key->kind = LITELLM_TOKENS;
    key->price_class = token_prices[i].price_class;
    if (key->price_class == PRICE_input && strcmp(rest, "_cache_hit") == 0) {
        key->kind = LITELLM_CACHED_OLDER;
        return true;
    }
    // The suffixes come in more than one order.
    while (*rest != '\0' && (skip_tier(&rest, key) || skip_band(&rest, key) ||
                             skip_kept(&rest, key) || skip_decisions(&rest, key)))
        ;
    return *rest == '\0';
}

// What else is paid for, by a part of its key; the first that fits.
static const struct {
    const char *part;
    enum litellm_billed by;
} parts[] = {
    {"_per_query", LITELLM_BY_searches},
    {"explicit_cache_read", LITELLM_BY_explicit_reads},
    {"off_peak_pricing", LITELLM_BY_off_peak},
    {"uplift_multiplier", LITELLM_BY_regions},
    {"audio", LITELLM_BY_audio},
    {"image", LITELLM_BY_images},
    {"pixel", LITELLM_BY_images},
    {"video", LITELLM_BY_video},
    {"_per_second", LITELLM_BY_seconds},
    {"_per_character", LITELLM_BY_characters},
    {"_per_page", LITELLM_BY_pages},
    {"citation", LITELLM_BY_citations},
    {"code_interpreter", LITELLM_BY_tools},
    {"computer_use_", LITELLM_BY_tools},
    {"file_search", LITELLM_BY_tools},
    {"vector_store", LITELLM_BY_tools},
};

struct litellm_key litellm_key_of(const char *name)
{
    struct litellm_key key = {0}, none = {0};
    if (is_token_price(name, &key))
        return key;
    // The same prices in the provider's own unit.
    bool priced = strstr(name, "cost") || strstr(name, "pricing") || strstr(name, "multiplier");
    if (!priced || strstr(name, "dbu_cost"))
        return none;
    key = (struct litellm_key){.kind = LITELLM_BESIDE, .by = LITELLM_BY_others};
    if (strncmp(name, "output_cost_per_", strlen("output_cost_per_")) == 0)
        key.kind = LITELLM_OUTPUT;
    for (size_t i = ARRAY_LEN(parts); i-- > 0;)
        if (strstr(name, parts[i].part))
            key.by = parts[i].by;
    return key;
}
