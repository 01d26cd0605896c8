// SPDX-License-Identifier: Apache-2.0
// What a list would change, as people and programs read it. Pure. Amounts are USD, exact.
#ifndef STREAMLENS_ADMIN_IMPORT_REPORT_H
#define STREAMLENS_ADMIN_IMPORT_REPORT_H

#include "deploy/admin/prices/import_plan.h"
#include "deploy/admin/prices/price_effect.h"

#define IMPORT_MODELS_SHOWN 50 // of each kind, for people
#define IMPORT_SLIPS_SHOWN 20

struct import_report {
    const struct import_list *list;
    const struct import_plan *plan;
    const struct catalogue *known;
    const struct price_effects *effects; // of what is to be added
    const struct price_effects *all;     // of that and of what is in conflict; may be `effects`
    int64_t from_us;                     // import_rules
    int64_t used_from_us, used_to_us;    // windows of the usage
    bool used_left_out;                  // it is that of the names that were used most alone
};

// Models that change and that are in conflict one by one, those that cost most first; the others by
// counts and reasons; the sums.
void import_report_add_text(const struct import_report *r, struct buf *out);
// One line for each price that looks like a slip of the unit.
void import_report_add_slips(const struct import_report *r, struct buf *out);
// One object with every entry of the list. version: what was added, 0: nothing was.
void import_report_add_json(const struct import_report *r, int64_t version, struct buf *out);

#endif
