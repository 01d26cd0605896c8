// SPDX-License-Identifier: Apache-2.0
// Rows as a flush wrote them, so that the next one needs not read them: of both tables at most
// KEPT_BYTES_MAX, what is more is not kept.
#ifndef STREAMLENS_KEPT_ROWS_H
#define STREAMLENS_KEPT_ROWS_H

#include "processor/row_pg.h"

// Some 1.2 KiB a row. While a table is written, what was kept of it before is there as well.
#define KEPT_BYTES_MAX (32u << 20)

struct kept_row {
    struct row_key key;
    size_t at; // in bytes
};
// Of one table.
struct kept {
    struct kept_row *v; // owned; sorted by key, but for `next`
    size_t n, room;
    struct buf bytes;
};
// Zero-initialise; kept_rows_free() at the end.
struct kept_rows {
    struct kept minutes, hours;
    struct kept next; // of the table that is being written
};
void kept_rows_free(struct kept_rows *k);

struct kept *kept_rows_of(struct kept_rows *k, const struct row_table *t);
// The row's bytes, NULL where it is not kept. Who asks for many, in the order of their keys, begins
// with *at = 0 and goes on with what it has become.
const char *kept_find(const struct kept *k, const struct row_key *key, size_t *at);

// A row of t that was written, where there is room. Keeps k->next alone.
void kept_rows_add(struct kept_rows *k, const struct row_table *t, const struct row_key *key,
                   const char *bytes, size_t n);
// Takes back those added since there were so many of them, and so many bytes.
void kept_cut(struct kept *k, size_t rows, size_t bytes);
// From here on `next` is what is kept of t, and what was is gone.
void kept_rows_renew(struct kept_rows *k, const struct row_table *t);

#endif
