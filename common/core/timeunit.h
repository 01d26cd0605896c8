// SPDX-License-Identifier: Apache-2.0
// Wall-clock instants as int64 counts since 1970-01-01T00:00:00Z, leap seconds not counted: the
// unit is in the name (_us, _ms). Text is RFC 3339. Pure: nothing here reads a clock.
#ifndef STREAMLENS_TIMEUNIT_H
#define STREAMLENS_TIMEUNIT_H

#include "common/core/err.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define US_PER_MIN (60 * US_PER_S)
#define US_PER_HOUR (60 * US_PER_MIN)
#define US_PER_DAY (24 * US_PER_HOUR)
#define MS_PER_S INT64_C(1000)
#define MS_PER_MIN (60 * MS_PER_S)

// The start of the unit (a minute, an hour, …) that the instant lies in; floors also before 1970.
int64_t time_floor_us(int64_t t_us, int64_t unit_us);

// Whether the instant lies in the years 0001 to 9999, the ones that RFC 3339 can name.
bool time_in_range_us(int64_t t_us);

// RFC 3339 date-time, any offset, up to nanoseconds (floored to µs), T and Z in either case, second
// 60 taken as the next second; years 0001 to 9999. 0, or -1 where the text is anything else.
int time_parse_rfc3339(struct str text, int64_t *out_us) MUST_CHECK;

#define TIME_RFC3339_MAX 40
// "2026-11-21T06:14:00Z", with a fraction of 3 or 6 digits only where it is not zero. Years 0001 to
// 9999; out has room for TIME_RFC3339_MAX bytes. Returns the length.
size_t time_format_rfc3339(int64_t t_us, char *out);

#endif
