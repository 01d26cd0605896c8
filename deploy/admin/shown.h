// SPDX-License-Identifier: Apache-2.0
// Bytes of strangers as people and programs may see them: nothing that steers a terminal, or makes
// a line read in another order than it stands there, gets through. Pure.
#ifndef STREAMLENS_ADMIN_SHOWN_H
#define STREAMLENS_ADMIN_SHOWN_H

#include "common/core/buf.h"

// At most `most` bytes of s, so that what comes out tells what was there: \n, \t, \\, \xNN, and "…"
// where it goes on.
void shown_add(struct buf *out, struct str s, size_t most);
// The string as a JSON string literal, as buf_add_json_str, but printable on a terminal too. The
// input is valid UTF-8.
void shown_add_json(struct buf *out, struct str s);

#endif
