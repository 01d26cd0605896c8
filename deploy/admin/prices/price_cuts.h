// SPDX-License-Identifier: Apache-2.0
// The instants at which prices change, so that usage between two of them is priced as one. Pure.
#ifndef STREAMLENS_ADMIN_PRICE_CUTS_H
#define STREAMLENS_ADMIN_PRICE_CUTS_H

#include "common/core/price.h"

// Those strictly between the two at which a card of the catalogue begins to hold, and of `more`
// (NULL where there are none): ascending, each once; owned by the caller.
size_t price_cuts(const struct catalogue *c, int64_t from_us, int64_t to_us, const int64_t *more_us,
                  size_t more, int64_t **out);
// Sorts instants and leaves each once. Returns how many those are.
size_t price_cuts_sort(int64_t *v, size_t n);

#endif
