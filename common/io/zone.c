// SPDX-License-Identifier: Apache-2.0
// libc knows a zone only as that of the process, and only in one direction without doubt: what the
// clocks show at an instant. mktime() answers the other direction, but leaves it open which of two
// instants it takes where a date begins twice, and what it makes of a midnight that was skipped.
#include "common/io/zone.h"

#include "common/core/buf.h"
#include "common/core/timeunit.h"

#include <stdio.h>
#include <time.h>

#define S_PER_DAY INT64_C(86400)
// No zone is ever further from UTC, and none moved its clocks twice so close together.
#define AROUND_S (2 * S_PER_DAY)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

// How far the zone's clocks are ahead of UTC at the instant.
static int64_t ahead_s(int64_t t_s)
{
    time_t t = (time_t)t_s;
    struct tm tm;
    return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

// Where the clocks first show the date (days since 1970) or a later one.
static int64_t date_start_s(int64_t date)
{
    int64_t shown_s = date * S_PER_DAY;
    int64_t before_s = shown_s - AROUND_S, after_s = shown_s + AROUND_S;
    int64_t before_ahead_s = ahead_s(before_s);
    // Clocks that were not moved since: nearly always, and also the first of two midnights.
    if (ahead_s(shown_s - before_ahead_s) == before_ahead_s)
        return shown_s - before_ahead_s;
    while (after_s - before_s > 1) {
        int64_t mid_s = before_s + (after_s - before_s) / 2;
        if (mid_s + ahead_s(mid_s) >= shown_s)
            after_s = mid_s;
        else
            before_s = mid_s;
    }
    return after_s;
}

static int64_t border_us(int64_t date)
{
    int64_t us = date_start_s(date) * US_PER_S;
    return time_floor_us(us + US_PER_MIN - 1, US_PER_MIN);
}

static void find_days(int64_t from_us, int64_t to_us, int days, int64_t *at, size_t *n)
{
    int64_t from_s = floor_div(from_us, US_PER_S);
    int64_t date = floor_div(from_s + ahead_s(from_s), S_PER_DAY);
    int64_t first = days == 7 ? 4 : 0; // 1970-01-05 was a Monday
    date = floor_div(date - first, days) * days + first;
    for (*n = 0; *n == 0 || at[*n - 1] < to_us; date += days) {
        int64_t us = border_us(date);
        // A date that was left out begins with the one behind it; and clocks that were put back
        // over midnight may have shown two dates by now.
        if (*n > 0 && (us <= at[*n - 1] || us <= from_us))
            --*n;
        at[(*n)++] = us;
    }
}

// Without it a name that means nothing would be UTC. Zones that count leap seconds ("right/…") have
// instants of their own, which are not those of anybody here.
static bool zone_exists(const char *name)
{
    const char *directory = getenv("TZDIR");
    if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") || strncmp(name, "right/", 6) == 0)
        return false;
    struct buf path = {0};
    buf_addf(&path, "%s/%s", directory ? directory : "/usr/share/zoneinfo", name);
    buf_addc(&path, '\0');
    FILE *file = fopen(path.p, "rb");
    buf_free(&path);
    if (!file)
        return false;
    char magic[4];
    bool exists = fread(magic, 1, 4, file) == 4 && memcmp(magic, "TZif", 4) == 0;
    fclose(file);
    return exists;
}

static void process_zone(const char *name)
{
    if (name)
        setenv("TZ", name, 1);
    else
        unsetenv("TZ");
    tzset();
}

int zone_days(const char *name, int64_t from_us, int64_t to_us, int days, int64_t **out, size_t *n,
              struct err *e)
{
    assert(from_us < to_us && days > 0);
    int64_t length_us = to_us - from_us;
    if (length_us > ZONE_DAYS_MAX * US_PER_DAY)
        return err_field(e, "from", -1, "must be at most %d days before `to`", ZONE_DAYS_MAX);
    if (!zone_exists(name))
        return err_field(e, "tz", -1,
                         "must be a zone that this machine's tz database has, as Europe/Berlin");
    const char *was = getenv("TZ");
    char *kept = was ? xstrdup(was) : NULL;
    process_zone(name);
    // One border before the range, one behind it, and one in the making.
    *out = xmalloc((size_t)(length_us / US_PER_DAY / days + 5) * sizeof(**out));
    find_days(from_us, to_us, days, *out, n);
    process_zone(kept);
    free(kept);
    return 0;
}
