// SPDX-License-Identifier: Apache-2.0
// What a list of somebody else would change in the catalogue. Pure.
//
// Each entry of the list is one of
//   new        the name had no price
//   changed    it had another one, by a card of its own or of another name (prefix, suffix, alias)
//   unchanged  what the name costs is what the list says
//   conflict   its price would come before an operator's word; left out, unless asked otherwise:
//              the model has a card that was set or withdrawn, now or later; or the name, or
//              another one of the list or of usage, is priced by a card that was set
//   refused    it is no price; or cannot be taken as the catalogue is
// and the numbers of the five add up to the list's.
//
// Names. Two models never bear the same name: where an alias of a card costs something else by the
// list, the card loses it, and the name gets a card of its own. A card that was set loses none. The
// new card of a model keeps its other names.
// Prices that the list says nothing of: price_merge.h.
// From when: a name that nothing has ever been priced by holds its price from ever on; any other
// one from the minute that is given, so that what it cost before stays. A price file may say
// itself; the past is refused there as by price set.
// Tenants' own cards come first, and are not touched; a list that has cards of tenants is read by
// the same rules beside that tenant's cards.
#ifndef STREAMLENS_ADMIN_IMPORT_PLAN_H
#define STREAMLENS_ADMIN_IMPORT_PLAN_H

#include "deploy/admin/prices/import_list.h"

enum import_verdict {
    IMPORT_NEW,
    IMPORT_CHANGED,
    IMPORT_UNCHANGED,
    IMPORT_CONFLICT,
    IMPORT_REFUSED,
    IMPORT_VERDICTS
};
const char *import_verdict_name(enum import_verdict v); // "new", …

struct import_rules {
    const struct catalogue *known;
    int64_t earliest_us; // price_change_earliest_us()
    int64_t from_us;     // from when changed prices hold
    bool override;       // take what is in conflict
    // Whether the card is an operator's word.
    bool (*is_set)(const void *ctx, const struct price_card *card);
    const void *ctx;
    const struct str *used; // names that usage has, beside those of the list
    size_t used_count;
};

struct import_outcome {
    enum import_verdict verdict;
    char *why;                      // of a conflict, or one that is refused; else NULL
    const struct price_card *was;   // what the name costs so far, of rules.known, or NULL
    enum price_step step;           // how that is found
    const struct price_card *added; // NEW, CHANGED: of plan.after
    struct price_card
        list;       // the list's card with what it keeps of ours; not of one that is refused
    char *left_out; // prices of the card so far that the new one has not; "" where none
    char *slip;     // why it looks like a slip of the unit, or NULL
    size_t tenants; // that have cards of their own with the name
};

struct import_plan {
    struct import_outcome *v; // one for each item of the list, in its order
    size_t n;
    size_t counts[IMPORT_VERDICTS], slips;
    struct catalogue *after;  // rules.known and what is added, as its next version
    struct price_card *cards; // what is to be added: the array is owned, the cards are of `after`
    size_t card_count;
};
// -1: the rules cannot be kept, which e says: nothing may be added then.
int import_plan_make(const struct import_list *list, const struct import_rules *rules,
                     struct import_plan *out, struct err *e) MUST_CHECK;
void import_plan_free(struct import_plan *p);

#endif
