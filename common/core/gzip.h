// SPDX-License-Identifier: Apache-2.0
// Bytes to a gzip file (RFC 1952), all at once. The same bytes and level give the same file, which
// holds no time and no name.
#ifndef STREAMLENS_GZIP_H
#define STREAMLENS_GZIP_H

#include "common/core/buf.h"

// *out is cleared first and holds the file. level is 1 (quick) to 9 (small). Input is below 2 GiB.
// What zlib needs is allocated for the call: 9 KB for the smallest input, 256 KB from 32 KB on.
void gzip_compress(struct str in, int level, struct buf *out);

#endif
