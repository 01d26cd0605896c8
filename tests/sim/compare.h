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

// How far the rows of a partition can be told from what of its log is known.
enum trust {
    TRUST_ALL,    // exactly
    TRUST_BOUNDS, // records that were counted were deleted before their time: what they would have
                  // answered, or made a repetition, may differ
    TRUST_LITTLE, // what was counted is not in the log any more
};

// Leaves `why` as it is where all is as it should be. trust: of each partition, whose tenants are
// 10 p to 10 p + 9 where it is not TRUST_ALL for all. `earlier` (owned by the caller, `versions`
// of them) are what was right by settings that a restored backup took away: dead letters of then
// stay.
void compare(const struct fake_db *db, const struct letters *letters, const struct oracle *o,
             const struct oracle *earlier, size_t versions, const enum trust *trust, char *why,
             size_t n);

// Whether two databases hold the same rows, to the last bucket of a histogram.
void compare_rows(const struct fake_db *a, const struct fake_db *b, char *why, size_t n);

#endif
