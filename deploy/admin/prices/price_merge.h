// SPDX-License-Identifier: Apache-2.0
// A card of somebody else's list beside the one that holds: whether it changes what usage costs,
// and what becomes of the prices that the list says nothing of. Pure.
#ifndef STREAMLENS_ADMIN_PRICE_MERGE_H
#define STREAMLENS_ADMIN_PRICE_MERGE_H

#include "common/core/price.h"

// Whether usage of every tier, context and class costs the same by both, after fall-backs: where
// the figures were read, and other names, are no difference.
bool price_merge_is_alike(const struct price_card *a, const struct price_card *b);

// Adds to the list's card, in place, the lines and cells that only ours has, where input and output
// of the standard line stay as they are, and those of the line, or of its tier's first, as well: a
// list that is silent about batch takes no price of batch back. Where they change, an old price
// beside the new ones would be wrong: such lines and cells are left out, and *left_out says which,
// "batch, above 200000 cached_input". Cards without prices of their own are left as they are.
void price_merge_into(struct price_card *list, const struct price_card *ours, struct buf *left_out);

// The card has the name, in any case of letters.
bool price_merge_has_name(const struct price_card *card, const char *name);
// With one name more, or less; it was not there, or was.
void price_merge_add_alias(struct price_card *card, const char *name);
void price_merge_remove_alias(struct price_card *card, const char *name);

#endif
