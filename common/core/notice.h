// SPDX-License-Identifier: Apache-2.0
// What listeners are told of windows whose rows a transaction changed (sql/README.md,
// "Notifications"): the text. Pure.
#ifndef STREAMLENS_NOTICE_H
#define STREAMLENS_NOTICE_H

#include "common/core/buf.h"

#define NOTICE_BYTES_MAX 7000 // PostgreSQL takes less than 8,000
#define NOTICE_RANGE_BYTES 41 // two numbers and what stands between

// Appends the windows, given in any order and some perhaps twice, as ranges of minutes since 1970,
// both ends included: "29400000-29400003 29400010-29400010", ascending, with a gap between any two.
// Nothing where there are none. Where that would take more than bytes_max (NOTICE_RANGE_BYTES or
// more), ranges with the smallest gaps between them, of equal ones the oldest, are made one, and no
// more of them than are needed.
void notice_add_windows(struct buf *out, const int64_t *starts_us, size_t n, size_t bytes_max);

#endif
