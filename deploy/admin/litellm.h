// SPDX-License-Identifier: Apache-2.0
// LiteLLM's price list (model_prices_and_context_window.json) as cards. Pure.
#ifndef STREAMLENS_ADMIN_LITELLM_H
#define STREAMLENS_ADMIN_LITELLM_H

#include "common/core/price.h"

#define LITELLM_BYTES_MAX (16 << 20)
#define LITELLM_ENTRIES_MAX 100000

enum litellm_verdict { LITELLM_TAKEN, LITELLM_REFUSED };

struct litellm_entry {
    char *name; // its key
    enum litellm_verdict verdict;
    char *why;  // REFUSED: one short reason of few, so that they can be counted; else NULL
    char *note; // TAKEN: what the card leaves out, or NULL
    struct price_card card; // TAKEN: tenant "", no aliases, effective_from_us INT64_MIN (the
                            // caller's to set), version 0, source "litellm", as_of ""
};

// One entry for each key of the file, in its order; the caller frees them. -1: the whole is no such
// file, nothing is given; e->offset is the byte where it has a meaning.
int litellm_parse(struct str text, struct litellm_entry **out, size_t *count,
                  struct err *e) MUST_CHECK;
void litellm_free(struct litellm_entry *entries, size_t count);

// Whether it is JSON rather than CSV: the first byte that is no blank is '{'.
bool litellm_looks_like(struct str text);

#endif
