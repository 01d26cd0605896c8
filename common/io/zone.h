// SPDX-License-Identifier: Apache-2.0
// Days of a time zone, from the system's tz database (through libc).
#ifndef STREAMLENS_ZONE_H
#define STREAMLENS_ZONE_H

#include "common/core/err.h"

// The first instants of local dates, ascending: from the last one at or before from_us to the first
// one at or after to_us, of every `days`-th date (weeks, 7, begin on Mondays; others on multiples
// of `days` since 1970-01-01). A date that a zone left out has none of its own; an instant that is
// no whole minute, as there were before 1972, is the next one. from_us < to_us are whole minutes in
// the years 0002 to 9998.
//
// *out is the caller's to free. -1 where there is no such zone (e names tz), or the range is longer
// than ZONE_DAYS_MAX days (e names from).
//
// For single-threaded programs alone: the zone of the process is another one meanwhile.
#define ZONE_DAYS_MAX 4100
int zone_days(const char *name, int64_t from_us, int64_t to_us, int days, int64_t **out, size_t *n,
              struct err *e) MUST_CHECK;

#endif
