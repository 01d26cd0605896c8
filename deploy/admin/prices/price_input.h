// SPDX-License-Identifier: Apache-2.0
// What the commands of prices take in: files, and what is noted of a version.
#ifndef STREAMLENS_ADMIN_PRICE_INPUT_H
#define STREAMLENS_ADMIN_PRICE_INPUT_H

#include "common/core/buf.h"
#include "deploy/admin/args.h"

// The bytes of a file, "-" is standard input; one more than PRICE_FILE_BYTES_MAX at most, so that
// its reader sees that it is too much.
int price_input_read(const char *path, struct buf *out, struct err *e) MUST_CHECK;
// The command's words with blanks between, and a NUL.
void price_input_note(const struct args *a, struct buf *out);

#endif
