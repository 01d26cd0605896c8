// SPDX-License-Identifier: Apache-2.0
// Dead letters (processor/README.md) as people and programs read them, and counted. Their bytes are
// anybody's: nothing that steers a terminal gets through. Pure.
#ifndef STREAMLENS_ADMIN_LETTER_H
#define STREAMLENS_ADMIN_LETTER_H

#include "common/core/buf.h"
#include "common/core/hash.h"

struct letter {
    struct str key; // topic/partition/offset of the record that it is about
    struct str value;
    int64_t time_ms; // when it was written; -1 = not known
    // Headers; p NULL where there is none.
    struct str reason, detail, tenant;
    struct str record_key;         // the request_id, of an event that has a sound one
    struct str value_cut, key_cut; // how long the value and the record's key were, if cut
};

struct letter_filter {
    struct str reason, request_id; // p NULL: any
};
bool letter_matches(const struct letter_filter *f, const struct letter *l);

// Some lines; long bytes are cut.
void letter_add_text(const struct letter *l, struct buf *out);
// One object, without a newline; bytes that are not UTF-8 are base64, in a member that says so.
void letter_add_json(const struct letter *l, struct buf *out);

// Counts by reason. A letter may stand in the topic twice: its key tells.
struct letter_tally;
// most: how many keys are remembered at 32 bytes each; further letters count as often as they stand
// there.
struct letter_tally *letter_tally_new(const struct hash_key *hash, size_t most);
void letter_tally_free(struct letter_tally *t);
// Whether it is there for the first time.
bool letter_tally_add(struct letter_tally *t, const struct letter *l);
size_t letter_tally_count(const struct letter_tally *t); // without repeats
void letter_tally_add_text(const struct letter_tally *t, struct buf *out);
// "counts":[{"reason":…,"letters":…}…],"repeats":…,"repeats_told_of":… (how many keys are
// remembered)
void letter_tally_add_json(const struct letter_tally *t, struct buf *out);

#endif
