// SPDX-License-Identifier: Apache-2.0
// The prices that setup puts into the catalogue.
#ifndef STREAMLENS_ADMIN_PRICES_DEFAULT_H
#define STREAMLENS_ADMIN_PRICES_DEFAULT_H

#include "common/core/config.h"
#include "common/core/err.h"

extern const char prices_default_csv[]; // deploy/admin/prices/catalogue.csv, put in at build time

// Whether PRICE_DEFAULT is understood; the error names it.
int prices_default_check(const struct config *c, struct err *e) MUST_CHECK;

// Adds, as a version of its own, the cards of the default catalogue that are not what a default
// catalogue gave last; but none of a model, or with a name, of which an operator has set or
// withdrawn a card, and none where the catalogue is full: those are named, and no error. A
// catalogue that was loaded before is not loaded again, so that of two builds the older one does
// not take back what the newer brought. Then PRICE_DEFAULT, where it is given and differs, as the
// card of the model `*`; where it is not, that card stays, until it is withdrawn. Prints what it
// did. Safe to run twice at once.
int prices_default_load(const struct config *c, struct err *e) MUST_CHECK;

#endif
