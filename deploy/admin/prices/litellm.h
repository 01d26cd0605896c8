// SPDX-License-Identifier: Apache-2.0
// LiteLLM's price list (model_prices_and_context_window.json) as cards. Pure.
//
// Prices are USD a token and become whole picodollars (litellm_lines.h). The keys of an entry
// (litellm_key.h), of what price.h calls a class:
//   input_cost_per_token, output_cost_per_token, cache_read_input_token_cost (and its older name
//   input_cost_per_token_cache_hit), cache_creation_input_token_cost (5m), …_above_1hr (1h),
//   output_cost_per_reasoning_token, input_cost_per_request (request);
//   their suffixes, in any order: a tier (_batches is the tier batch), _above_200k_tokens (a band);
//   tiered_pricing, a list of ranges (from, to] of prompt tokens with prices of their own: bands.
//   As with LiteLLM it comes before the entry's own prices, which are asked only for a price of
//   output that a range lacks, and of a request.
// An absent price and null are the same; 0 is a price.
//
// Taken are the modes chat, completion, responses and embedding, the last also without a price of
// output. Refused, with the reason in `why`:
//   - no model: sample_spec; "*", which would price everything. No object
//   - other modes, and none: the list has size classes without one, such as fireworks-ai-up-to-4b,
//     which no answer names
//   - no price of input tokens, or of output tokens
//   - output that costs by something else, or that too (audio, images, seconds …): tokens are
//     counted of whatever kind they are, so the cost would be wrong. But where
//     supported_output_modalities is text alone it is in the note
//   - a band that is none of USAGE_BANDS: usage is not counted apart there, and would have the
//     wrong price on one side of it
//   - tiered_pricing that is no list, whose ranges do not begin at 0 and follow each other, or that
//     stands beside prices of tiers or bands; the same price twice (suffixes in another order)
//   - a price that is no number (a string is none), negative, beyond int64, or above 0 and rounded
//     to 0
//   - what price_card_check() refuses, with its words
//   - the name of an entry that was taken before, in other letters
// `note`: what else is paid for and the card leaves out ("also billed by: searches, audio"), where
// it is not 0: more for audio or images in the input, searches, off-peak hours, regions and fast
// mode (multipliers), …; that all prices are 0, which in this list may mean that nobody knows them;
// and prices of batch without one of input. Left out without a word: deprecation_date (what was
// used before still cost), prices in a provider's own unit (dbu), and two things that LiteLLM does
// and its list does not say: a cache read at half the input's price for Fireworks, and xAI's bands
// that begin one token earlier.
#ifndef STREAMLENS_ADMIN_LITELLM_H
#define STREAMLENS_ADMIN_LITELLM_H

#include "common/core/price.h"

#define LITELLM_BYTES_MAX (16 << 20)
#define LITELLM_ENTRIES_MAX CATALOGUE_CARDS_MAX

enum litellm_verdict { LITELLM_TAKEN, LITELLM_REFUSED };

// Strings are a stranger's words and may hold what steers a terminal: a refused entry's name.
struct litellm_entry {
    char *name; // its key
    enum litellm_verdict verdict;
    char *why;  // REFUSED: one of few short reasons, so that they can be counted; else NULL
    char *note; // TAKEN: what the card leaves out, or NULL
    struct price_card card; // TAKEN: everybody's, of the model `name`, provider as litellm_provider
                            // says ("" without one), no aliases, effective_from_us INT64_MIN (the
                            // caller's to set), version 0, source "litellm", as_of ""
};

// One entry for each key of the file, in its order; the caller frees them. -1: the whole is no such
// file (too large, no JSON object, a key twice), nothing is given; e->offset is where, or -1.
int litellm_parse(struct str text, struct litellm_entry **out, size_t *count,
                  struct err *e) MUST_CHECK;
void litellm_free(struct litellm_entry *entries, size_t count);

// Whether it is JSON rather than CSV: the first byte that is no blank is '{'.
bool litellm_looks_like(struct str file);

#endif
