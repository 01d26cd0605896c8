// SPDX-License-Identifier: Apache-2.0
// A point in the order in which PostgreSQL's transactions became visible: a snapshot, and which
// database it is of. Who has all up to a position is told what is not visible in it, and so misses
// nothing, however long a transaction took and whatever committed before it. Pure.
//
// As text, which clients give back as they got it: `<16 hexadecimal digits>-<xmin>:<xmax>:<xip>`,
// what is behind the dash as PostgreSQL writes a pg_snapshot.
#ifndef STREAMLENS_POSITION_H
#define STREAMLENS_POSITION_H

#include "common/core/buf.h"
#include "common/core/err.h"

#define POSITION_DATABASE 16
#define POSITION_TEXT_MAX 2048 // a client must be able to send it in a header field

// Zero-initialise it to begin.
struct position {
    char database[POSITION_DATABASE + 1]; // "": no position
    uint64_t xmin, xmax;                  // all before xmin is visible, nothing from xmax on
    uint64_t *running;                    // owned; not visible either; ascending
    size_t running_count;
};

// e names `last_event_id`.
int position_parse(struct position *p, struct str text, struct err *e) MUST_CHECK;
void position_copy(struct position *to, const struct position *from); // `to` is cleared first
void position_clear(struct position *p);
static inline bool position_is_set(const struct position *p)
{
    return p->database[0] != '\0';
}

// At most POSITION_TEXT_MAX bytes: where more is running than fits, a position that covers less.
void position_text(const struct position *p, struct buf *out);
void position_snapshot(const struct position *p, struct buf *out); // what is behind the dash

bool position_same_database(const struct position *a, const struct position *b);
// Whether all that is visible in `part` is visible in `whole`; both of one database.
bool position_covers(const struct position *whole, const struct position *part);

#endif
