// SPDX-License-Identifier: Apache-2.0
// Bytes of a stranger's gzip file (RFC 1952) to the bytes that were compressed: all at once, within
// limits. Several members one after another are one file, as the RFC has it. CRC and length of each
// member are checked, and its header's CRC where it has one. Anything else is refused: zlib's and
// raw deflate, a member that breaks off, bytes behind the last one (zeros too).
//
// Limits: the output has at most max_out bytes, and at most GUNZIP_MAX_RATIO times the input's,
// though GUNZIP_FREE_BYTES are always granted. Events that differ in an id alone compress 20 to 115
// times, identical ones 230 times, blanks 1000 times. So the ratio meets nobody who sends events,
// while a bomb's work stays in proportion to what its sender has paid for in bytes; and one event
// of the usual size is held to max_out alone.
#ifndef STREAMLENS_GUNZIP_H
#define STREAMLENS_GUNZIP_H

#include "common/core/buf.h"
#include "common/core/err.h"

#define GUNZIP_MAX_RATIO 256
#define GUNZIP_FREE_BYTES ((size_t)256 << 10)

enum gunzip_result {
    GUNZIP_DONE,
    GUNZIP_CORRUPT,   // e has the offset in the input
    GUNZIP_TOO_LARGE, // more than max_out bytes
    GUNZIP_TOO_DENSE, // beyond the ratio
};

// Keeps zlib's state from one call to the next; a call allocates nothing but room in the output.
struct gunzip;
struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *g);

// *out is cleared first and holds the result where it is GUNZIP_DONE, else nothing of meaning. Its
// room never grows beyond twice the limit. Where it is not done, e says why. Input and limit are
// below 4 GiB.
enum gunzip_result gunzip_all(struct gunzip *g, struct str in, size_t max_out, struct buf *out,
                              struct err *e) MUST_CHECK;

#endif
