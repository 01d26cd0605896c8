// SPDX-License-Identifier: Apache-2.0
// From `MODEL column=value …` to the text of a price file that has the model's whole card, so that
// it goes through the same reading and the same checks. Pure.
#ifndef STREAMLENS_ADMIN_PRICE_WORDS_H
#define STREAMLENS_ADMIN_PRICE_WORDS_H

#include "common/core/price.h"

// What is not given stays as it is on the card that holds from then on, the other lines too; a
// value that is empty clears the cell. effective_from, where not given: ever for a model of which
// the tenant has no card; else, with `now` the minute that runs, without it the next that may be
// (price_change.h). A tenant's first card of a model takes everybody's provider and aliases. With
// unit=none the card is withdrawn: no price, tier or discount stays; refused where there is none.
// 0 or ARGS_WRONG.
int price_words_to_file(const struct catalogue *c, int64_t now_us, bool now,
                        const char *const *words, size_t count, struct buf *out,
                        struct err *e) MUST_CHECK;

#endif
