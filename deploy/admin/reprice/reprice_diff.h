// SPDX-License-Identifier: Apache-2.0
// What a correction of the past changes, per model: usage priced by the version that its rows name,
// and by the one that is to hold. Pure.
#ifndef STREAMLENS_ADMIN_REPRICE_DIFF_H
#define STREAMLENS_ADMIN_REPRICE_DIFF_H

#include "common/core/price.h"

struct reprice_model {
    struct str model; // as usage names it; borrowed from the keys
    int64_t requests, tokens;
    struct cost before, after;
    int64_t now_priced, now_unpriced; // requests that get a price, and that lose theirs
};

// Zero-initialise it to begin.
struct reprice_diff {
    struct reprice_model **v; // owned: sorted by model, bytewise
    size_t n, room;
    struct reprice_model total; // without a model
};
void reprice_diff_free(struct reprice_diff *d);

// Adds usage of a tenant's rows that name row_version; at_us as in cost_add_usage. What names a
// newer version than the one that is to hold does not count, since it is left as it is.
void reprice_diff_add(struct reprice_diff *d, const struct catalogue *c, int64_t version,
                      int64_t row_version, int64_t at_us, struct str tenant,
                      const struct usage_key *key, const struct usage *u);

bool reprice_model_changes(const struct reprice_model *m); // in any member of its cost
money reprice_model_change(const struct reprice_model *m); // of the amount, in picodollars

// Orders the models by how much changes, the greatest first, and then bytewise. The last thing:
// nothing is added afterwards.
void reprice_diff_order(struct reprice_diff *d);

#endif
