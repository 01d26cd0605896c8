// SPDX-License-Identifier: Apache-2.0
// Days of a time zone, from the system's tz database (through libc).
#ifndef STREAMLENS_ZONE_H
#define STREAMLENS_ZONE_H

#include "common/core/err.h"

// The first instants of local dates, ascending: from the one at or before from_us to the one at or
// after to_us, every `days`-th (weeks, 7, begin on Mondays; others on multiples of `days` since
// 1970-01-01). *out is the caller's to free. -1 where there is no such zone, or the range holds
// more than ZONE_DAYS_MAX.
#define ZONE_DAYS_MAX 4100
int zone_days(const char *name, int64_t from_us, int64_t to_us, int days, int64_t **out, size_t *n,
              struct err *e) MUST_CHECK;

#endif
