// SPDX-License-Identifier: Apache-2.0
// The names that cards of a catalogue bear, sorted, so that a question takes no walk through all
// cards. Pure.
#ifndef STREAMLENS_ADMIN_IMPORT_NAMES_H
#define STREAMLENS_ADMIN_IMPORT_NAMES_H

#include "common/core/price.h"

enum import_names_kind {
    IMPORT_NAMES_EVER,       // of every card that is not a withdrawal
    IMPORT_NAMES_OF_TENANTS, // of tenants' cards that hold at at_us
    IMPORT_NAMES_LATER,      // of cards that come into force after at_us
};

struct import_names;
// Borrows the strings of the catalogue's cards.
struct import_names *import_names_make(const struct catalogue *c, enum import_names_kind kind,
                                       int64_t at_us);
void import_names_free(struct import_names *n);

// In any case of letters.
bool import_names_has(const struct import_names *n, const char *tenant, struct str name);
// Of another model than this one.
bool import_names_has_other(const struct import_names *n, const char *tenant, struct str name,
                            const char *model);
size_t import_names_tenants(const struct import_names *n, struct str name); // how many have it

#endif
