// SPDX-License-Identifier: Apache-2.0
// Somebody else's price list as `price import` reads it: LiteLLM's (litellm.h) or a price file
// (common/core/price_file.h). Pure.
#ifndef STREAMLENS_ADMIN_IMPORT_LIST_H
#define STREAMLENS_ADMIN_IMPORT_LIST_H

#include "common/core/price.h"

struct import_item {
    char *name; // as the list has it
    char *why;  // it is refused, and that is the reason; else NULL
    char *note; // what the card leaves out, or NULL
    // Not of one that is refused. effective_from_us: INT64_MIN where the list does not say.
    struct price_card card;
};

struct import_list {
    bool litellm;
    struct import_item *v; // owned; in the list's order, every entry once
    size_t n;
};
// -1: the whole cannot be read. Of a price file that is so where any line is wrong, but for prices
// that look like a slip of the unit and names that the catalogue has: those are looked at later,
// beside the catalogue.
int import_list_read(struct str text, struct import_list *out, struct err *e) MUST_CHECK;
void import_list_free(struct import_list *l);

#endif
