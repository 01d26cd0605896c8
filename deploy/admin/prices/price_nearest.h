// SPDX-License-Identifier: Apache-2.0
// Which entries of a catalogue have a name near to one that has no price: a hint for people, who
// may have meant one of them, or can set a price after its likes. Nothing is priced by it. Pure.
//
// Two names are compared without what is known to be no part of a model's own name (price_name.h)
// and without the ways before the last '/', by the greater of
//   - what they share of their words and numbers, in any order: gemini-pro-2.5, gemini-2.5-pro,
//   - how few letters would have to be other ones: gpt4omini, claud-sonnet-4,
// and are near where that is more than half of them, or three quarters of the letters. Of equally
// near ones the whole names decide, then the bytes, so that the same question always has the same
// answer.
#ifndef STREAMLENS_ADMIN_PRICE_NEAREST_H
#define STREAMLENS_ADMIN_PRICE_NEAREST_H

#include "common/core/price.h"

#define PRICE_NEAREST_MAX 3

struct price_near {
    const struct price_card *card; // of the catalogue
    const char *name;              // of its names the one that is near
};

// The names of everybody's cards that hold as of a version and an instant. The catalogue must
// outlive it.
struct price_nearest;
struct price_nearest *price_nearest_new(const struct catalogue *c, int64_t version, int64_t at_us);
void price_nearest_free(struct price_nearest *n);

// The nearest first, each card once; returns how many, 0 where none is near. 15,000 names take
// some 0.7 ms.
size_t price_nearest_find(const struct price_nearest *n, struct str name,
                          struct price_near out[PRICE_NEAREST_MAX]);

#endif
