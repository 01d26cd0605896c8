// SPDX-License-Identifier: Apache-2.0
// Whether the fake database and the dead letters hold what the oracle says.
#ifndef SIM_COMPARE_H
#define SIM_COMPARE_H

#include "tests/sim/fake_store.h"
#include "tests/sim/oracle.h"

// Dead letters as the topic would hold them: at least once each.
struct letters {
    struct oracle_letter *v;
    size_t n;
};
void letters_add(struct letters *l, const struct oracle_letter *letter);
void letters_free(struct letters *l);

// Leaves `why` as it is where all is equal. Where the cap of series was reached, rows are compared
// by (tenant, window), since which series fell into __other__ is the database's choice.
void compare(const struct fake_db *db, const struct letters *letters, const struct oracle *o,
             char *why, size_t n);

#endif
