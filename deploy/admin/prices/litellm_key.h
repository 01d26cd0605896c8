// SPDX-License-Identifier: Apache-2.0
// What a key of an entry of LiteLLM's price list is the price of. A function of the key alone.
// Pure.
#ifndef STREAMLENS_ADMIN_LITELLM_KEY_H
#define STREAMLENS_ADMIN_LITELLM_KEY_H

#include "common/core/price.h"

// X(tier, its name on a card, its suffix in the list), in the order of a card's lines. These are
// all that LiteLLM takes for a tier, and its batch API. `_decisions` is none: it is the price of
// another API.
#define LITELLM_TIERS(X)                                                                           \
    X(standard, "", "")                                                                            \
    X(balanced, "balanced", "_balanced")                                                           \
    X(batch, "batch", "_batches")                                                                  \
    X(flex, "flex", "_flex")                                                                       \
    X(priority, "priority", "_priority")                                                           \
    X(ultrafast, "ultrafast", "_ultrafast")
#define LITELLM_TIER_NUMBER(tier, name, suffix) LITELLM_##tier,
enum litellm_tier { LITELLM_TIERS(LITELLM_TIER_NUMBER) LITELLM_TIER_COUNT };
#undef LITELLM_TIER_NUMBER

// X(what is paid for beside the tokens that a card prices, its name), in the order of a note.
#define LITELLM_BILLED(X)                                                                          \
    X(searches, "searches")                                                                        \
    X(audio, "audio")                                                                              \
    X(images, "images")                                                                            \
    X(video, "video")                                                                              \
    X(seconds, "seconds")                                                                          \
    X(characters, "characters")                                                                    \
    X(pages, "pages")                                                                              \
    X(tools, "tools")                                                                              \
    X(citations, "citations")                                                                      \
    X(decisions, "decisions")                                                                      \
    X(explicit_reads, "explicit cache reads")                                                      \
    X(writes_12h, "12-hour cache writes")                                                          \
    X(off_peak, "off-peak hours")                                                                  \
    X(regions, "regions")                                                                          \
    X(fast_mode, "fast mode")                                                                      \
    X(others, "others")
#define LITELLM_BILLED_NUMBER(what, name) LITELLM_BY_##what,
enum litellm_billed { LITELLM_BILLED(LITELLM_BILLED_NUMBER) LITELLM_BILLED_COUNT };
#undef LITELLM_BILLED_NUMBER
const char *litellm_billed_name(enum litellm_billed by);

enum litellm_kind {
    LITELLM_NO_PRICE,
    LITELLM_TOKENS,       // price_class, tier, above
    LITELLM_CACHED_OLDER, // the name that cached_input had before: where the newer one is absent
    LITELLM_BESIDE,       // by: paid beside or instead of input tokens, or on top of all
    LITELLM_OUTPUT,       // by: output that is not billed as tokens of text
};
struct litellm_key {
    enum litellm_kind kind;
    enum price_class price_class;
    enum litellm_tier tier;
    int64_t above; // prompt tokens; any number from 1 on, 0 = none is named
    enum litellm_billed by;
};
struct litellm_key litellm_key_of(const char *key);

#endif
