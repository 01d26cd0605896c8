// SPDX-License-Identifier: Apache-2.0
// What adding a card would change in the catalogue, and from when on it may. Pure.
#ifndef STREAMLENS_ADMIN_PRICE_CHANGE_H
#define STREAMLENS_ADMIN_PRICE_CHANGE_H

#include "common/core/price.h"

// The newest card of the tenant's model by its own name, whenever it begins, also one that is
// withdrawn; NULL where none is.
const struct price_card *price_change_newest(const struct catalogue *c, const char *tenant,
                                             const char *model);
// The one that holds at an instant, likewise.
const struct price_card *price_change_holding(const struct catalogue *c, const char *tenant,
                                              const char *model, int64_t at_us);

// Whether the cards say the same, version apart.
bool price_change_is_same(const struct price_card *a, const struct price_card *b);
// Whether adding the card changes nothing: nor does it to withdraw what has no card then.
bool price_change_is_none(const struct catalogue *c, const struct price_card *card);

// The first whole minute that is at least one minute ahead, of which no row is written yet: a
// processor that flushes from now on has the new version.
int64_t price_change_earliest_us(int64_t now_us);
// Refuses a card that would change the price of a minute before that, where the tenant's model has
// a price.
int price_change_check_time(const struct catalogue *c, const struct price_card *card,
                            int64_t now_us, struct err *e) MUST_CHECK;

// "changed gpt-4o of tenant acme, from …: input 2.5 -> 3", or "withdrawn …", and a newline.
void price_change_describe(const struct catalogue *c, const struct price_card *card,
                           struct buf *out);

// "input 2.5 -> 3, batch output 4": how the prices of one card differ from those of another, or
// NULL.
void price_change_describe_prices(const struct price_card *before, const struct price_card *card,
                                  struct buf *out);

// A price as USD: per million tokens, and of PRICE_request per request. "-" for PRICE_NONE.
void price_add_usd(struct buf *out, enum price_class k, int64_t pusd);
// "ever", or RFC 3339.
void price_add_from(struct buf *out, int64_t effective_from_us);

#endif
