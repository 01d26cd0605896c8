// SPDX-License-Identifier: Apache-2.0
// Counts by name: of error classes and finish reasons, names that strangers choose.
#ifndef STREAMLENS_NAME_COUNTS_H
#define STREAMLENS_NAME_COUNTS_H

#include "common/core/buf.h"
#include "common/core/err.h"

// Counts by name, sorted bytewise. At most NAME_COUNTS_MAX names: beyond it the bytewise greatest
// is folded into `other`. A name that is among the smallest of all ever seen was so at every
// moment, hence the outcome depends neither on order nor on how events were grouped into flushes.
#define NAME_COUNTS_MAX 32
#define NAME_COUNTS_NAME_MAX 64
struct name_counts {
    struct name_count {
        int64_t count; // before the name, so that both of a short one lie in one line of memory
        char name[NAME_COUNTS_NAME_MAX + 1];
    } * v; // owned
    size_t n;
    int64_t other;
};
// The first NAME_COUNTS_NAME_MAX bytes of the name up to a control character, cut at a UTF-8
// border; "unknown" where nothing is left.
void name_counts_add(struct name_counts *c, struct str name, int64_t count);
void name_counts_merge(struct name_counts *into, const struct name_counts *from);
void name_counts_clear(struct name_counts *c);
// {"rate_limit":3,"__other__":1}, sorted; "{}" where empty. And back: adds what the text holds into
// c.
void name_counts_to_json(const struct name_counts *c, struct buf *out);
int name_counts_from_json(struct name_counts *c, struct str json, struct err *e) MUST_CHECK;

#endif
