// SPDX-License-Identifier: Apache-2.0
// Prices of an entry of LiteLLM's list to the lines of a card. Where a line lacks a price it takes
// what LiteLLM itself charges then (version 1.109.1, litellm_core_utils/llm_cost_calc/utils.py and
// cost_calculator.py):
//   - a band: the band below, in the end the tier's line without one
//   - a tier: the standard line of the same band; so a tier has a line for each band that the
//     standard prices have, at their price if it names none there. But reasoning, where the tier
//     has a price of output: as output
//   - batch takes nothing of the standard line's bands. Where it lacks output: half of the standard
//     line's, half up; cached input and cache writes: as its input, reasoning as its output
// LiteLLM halves the standard price for batches of models that have no price of batch at all, too:
// nobody listed that, so such a card has no tier batch.
#ifndef STREAMLENS_ADMIN_LITELLM_LINES_H
#define STREAMLENS_ADMIN_LITELLM_LINES_H

#include "deploy/admin/prices/litellm_key.h"

#define LITELLM_BANDS (1 + ARRAY_LEN(((const int64_t[])USAGE_BANDS))) // 0 is none

struct litellm_prices {
    // Picodollars, PRICE_NONE where not given.
    int64_t pusd[LITELLM_TIER_COUNT][LITELLM_BANDS][PRICE_CLASS_COUNT];
    bool bands_alone; // a band takes nothing of the one below
};
void litellm_prices_init(struct litellm_prices *p);
size_t litellm_band(int64_t above); // its place in pusd; LITELLM_BANDS where it is none of ours

// USD a token, of a request, to whole picodollars: the nearest, half up, of the number's first 15
// decimals (what a double is sure of). NULL, or why not: negative, beyond int64, or above 0 and
// below half a picodollar.
const char *litellm_picodollars(double usd, int64_t *out);

// NULL, or why not; then nothing is given. The card gets its lines. *batch_left_out: there are
// prices of batch, but none of its input tokens.
const char *litellm_lines(const struct litellm_prices *p, struct price_card *card,
                          bool *batch_left_out);

#endif
