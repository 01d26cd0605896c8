// SPDX-License-Identifier: Apache-2.0
// What was used, out of the stored rows: usage lines (sql/001_init.sql) summed by what decides
// their price, so that the sums can be priced by any version of the catalogue, exactly
// (cost_add_usage is linear).
#ifndef STREAMLENS_ADMIN_USED_PG_H
#define STREAMLENS_ADMIN_USED_PG_H

#include "common/core/usage_lines.h"
#include "deploy/admin/db_pg.h"

#define USED_LINES_MAX 1000000 // of a range

struct used_line {
    const char *tenant;        // points into the struct used, like key's strings
    struct usage_key key;      // of what has no line of its own the model is USAGE_OTHER
    int64_t price_version;     // of the rows (of hours: the newest of their minutes)
    int64_t at_us;             // begin of the piece of the range, between two cuts, in which the
                               // windows begin
    int64_t first_us, last_us; // windows, begin of the first and the last
    struct usage sum;
    int64_t doubtful; // of sum.requests: at most so many are counted as unpriced or guessed by
                      // their rows; exact where a row has one line
};

// Ordered by tenant, then key (model, asked, tier bytewise, context_above), at_us, price_version;
// with most_used by requests before that, the most first.
struct used {
    struct used_line *v; // owned
    size_t n, room;
    bool left_out; // most_used: there are more than these
    char **texts;  // owned: what the lines point into
    size_t text_count, text_room;
};
void used_free(struct used *u); // empty and valid again

struct used_range {
    int64_t from_us, to_us; // windows that begin in [from, to); beyond the years 0001 to 9999: all
    const char *tenant;     // NULL: all
    const int64_t *cuts_us; // ascending instants inside the range that windows are told apart by:
    size_t cut_count;       // where prices change. An hour belongs to the piece in which it begins
    bool minutes;           // of llm_minute; else of llm_hour
    const struct str *models; // only rows with a line whose model or asked is one of these, in any
    size_t model_count;       // case of letters; 0: all rows. Of such a row all lines count
    bool most_used; // where there are too many lines: the USED_LINES_MAX with the most requests
};
// All lines are of one moment, inside the caller's transaction where one is open. Neither rows that
// retention has declared gone nor those of tenants that are being deleted count. The session's
// statement_timeout holds, and the server gives up by itself where we are gone (the session keeps
// that, and has one processor and 64 MB a statement from then on). -1: also where a sum is above
// INT64_MAX, or there are more than USED_LINES_MAX and not only the most_used are wanted; out is
// then empty.
int used_read(struct db *db, const struct used_range *r, struct used *out,
              struct err *e) MUST_CHECK;

#endif
