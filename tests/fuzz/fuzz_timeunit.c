// SPDX-License-Identifier: Apache-2.0
// The input as RFC 3339 text, checked against the C library's calendar; and its first bytes as an
// instant, which must survive being written and read.
#include "tests/fuzz/fuzz.h"

#include "common/core/timeunit.h"

#include <time.h>

static void check_round_trip(int64_t t_us)
{
    char text[TIME_RFC3339_MAX];
    size_t n = time_format_rfc3339(t_us, text);
    FUZZ_CHECK(n >= 20 && n < TIME_RFC3339_MAX);
    int64_t back_us;
    FUZZ_CHECK(time_parse_rfc3339((struct str){text, n}, &back_us) == 0);
    FUZZ_CHECK(back_us == t_us);
}

// What the text says, by sscanf() and timegm(), to the second.
static int64_t second_by_libc(const char *text)
{
    struct tm tm = {0};
    int behind_second;
    FUZZ_CHECK(sscanf(text, "%4d-%2d-%2d%*1[Tt]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                      &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &behind_second) == 6);
    FUZZ_CHECK(tm.tm_sec <= 60);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm normal = tm;
    int64_t t = timegm(&normal);
    // A day that the month does not have would have been carried into the next.
    FUZZ_CHECK(tm.tm_sec == 60 || (normal.tm_mday == tm.tm_mday && normal.tm_mon == tm.tm_mon &&
                                   normal.tm_hour == tm.tm_hour && normal.tm_min == tm.tm_min));
    const char *zone = text + behind_second + strspn(text + behind_second, ".0123456789");
    if (*zone == 'Z' || *zone == 'z')
        return t;
    int hours, minutes;
    FUZZ_CHECK(sscanf(zone + 1, "%2d:%2d", &hours, &minutes) == 2);
    int64_t ahead = hours * 3600 + minutes * 60;
    return *zone == '-' ? t + ahead : t - ahead;
}

static void check_floor(int64_t t_us, int64_t unit_us)
{
    int64_t floor_us = time_floor_us(t_us, unit_us);
    FUZZ_CHECK(floor_us <= t_us && t_us - floor_us < unit_us && floor_us % unit_us == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t t_us;
    if (time_parse_rfc3339((struct str){(const char *)data, size}, &t_us) == 0) {
        FUZZ_CHECK(time_in_range_us(t_us));
        check_round_trip(t_us);
        char *text = xcalloc(1, size + 1);
        memcpy(text, data, size);
        FUZZ_CHECK(time_floor_us(t_us, US_PER_S) / US_PER_S == second_by_libc(text));
        free(text);
    }
    if (size < sizeof(t_us))
        return 0;
    memcpy(&t_us, data, sizeof(t_us));
    t_us /= 4; // time_floor_us() needs a unit's room above INT64_MIN
    check_floor(t_us, US_PER_MIN);
    check_floor(t_us, US_PER_DAY);
    if (time_in_range_us(t_us))
        check_round_trip(t_us);
    return 0;
}
