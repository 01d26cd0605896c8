// SPDX-License-Identifier: Apache-2.0
// What other prices would mean for usage that was counted: the same sums, priced twice. Pure.
#ifndef STREAMLENS_ADMIN_PRICE_EFFECT_H
#define STREAMLENS_ADMIN_PRICE_EFFECT_H

#include "common/core/price.h"

struct price_use {
    struct str tenant;
    struct usage_key key;
    struct usage sum;
};

// Which catalogue, as of which version; all usage at one instant.
struct price_side {
    const struct catalogue *catalogue;
    int64_t version, at_us;
};

struct price_effect {
    // The card by which the usage is paid after, where there is none the one before, without a
    // tenant's discount; "" and "" for what neither has a price for. Borrowed from the catalogues.
    const char *tenant, *model;
    int64_t requests, tokens;
    struct cost before, after;
};

struct price_effects {
    struct price_effect *v; // owned; by model, in any case of letters, then tenant
    size_t n;
    struct price_effect total;
};
void price_effects_make(const struct price_use *uses, size_t count, const struct price_side *before,
                        const struct price_side *after, struct price_effects *out);
void price_effects_free(struct price_effects *e);
// NULL where nothing was used by it.
const struct price_effect *price_effects_of(const struct price_effects *e, const char *tenant,
                                            const char *model);

#endif
