// SPDX-License-Identifier: Apache-2.0
// CSV as RFC 4180 has it, a line at a time. Narrower: a quoted cell ends on its line, and no cell
// holds control characters. Wider: a line may end with LF alone; a byte order mark, empty lines and
// lines that begin with '#' are skipped; blanks around a cell are no part of it, inside quotes they
// are.
#ifndef STREAMLENS_CSV_H
#define STREAMLENS_CSV_H

#include "common/core/buf.h"
#include "common/core/err.h"

struct csv {
    struct str *cells; // of the line; valid until the next one
    size_t n;
    size_t line; // its number, from 1, skipped ones counted
    // private
    struct str rest;
    struct buf unquoted;
    size_t cap;
};

void csv_begin(struct csv *c, struct str text); // text is borrowed
void csv_free(struct csv *c);
// 1: a line, 0: there is no more. -1: not CSV, in the cell after the n that were read.
int csv_next(struct csv *c, struct err *e) MUST_CHECK;

// Quoted where it must be. The caller puts commas and line ends.
void csv_add_cell(struct buf *out, struct str cell);

#endif
