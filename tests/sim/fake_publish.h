// SPDX-License-Identifier: Apache-2.0
// The production seam processor/publish_store.h over fake_db: the owner's fence and its row lock,
// faults, COMMIT answers that are lost both ways, which rows are due. A record's key is nothing,
// its value a number of a list of what was taken, which no backup takes back.
#ifndef SIM_FAKE_PUBLISH_H
#define SIM_FAKE_PUBLISH_H

#include "processor/publish_store.h"
#include "tests/sim/fake_store.h"

// A row as it was taken to be published: what a consumer gets.
struct fake_publication {
    struct fake_series series;
    int64_t window_start_us;
    int64_t seq, revision, at_ms, late;
    uint64_t content; // of everything that was counted
    bool settled, complete, lossy;
    enum fake_why why;
    int64_t restores; // of the database before
};

struct publications {
    FAKE_ARRAY(fake_publication);
};

struct publish_store *fake_publish_new(struct fake_db *db, struct publications *taken,
                                       int64_t token, struct fuse *fuse);
void fake_publish_free(struct publish_store *s);

// The row as it would be taken now under the sequence that it was published by.
struct fake_publication fake_publication_of(const struct fake_db *db, const struct fake_row *row);
// Whether nothing of closed windows is due, now or later.
bool fake_publish_is_done(const struct fake_db *db);
// The publication behind a record's value.
int64_t fake_publish_value(const struct publish_batch *b, const struct publish_record *r);

#endif
