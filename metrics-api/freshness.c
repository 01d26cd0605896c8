// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/freshness.h"

#include "common/core/timeunit.h"

#define MINUTES_A_PLACE (FRESHNESS_PLACE_US / US_PER_MIN)
#define MINUTE_MAX (INT64_MAX / US_PER_MIN)

void freshness_up(struct freshness *f)
{
    f->listening = true;
    f->all = ++f->now;
    f->first_minutes[f->now % FRESHNESS_RECENT] = 0;
}

void freshness_down(struct freshness *f)
{
    f->listening = false;
}

// Digits; NULL where there are none, or too many.
static const char *read_minute(const char *s, int64_t *out)
{
    const char *begin = s;
    *out = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (*out > MINUTE_MAX / 10)
            return NULL;
        *out = *out * 10 + (*s - '0');
    }
    return s == begin ? NULL : s;
}

// "29920694-29920697 29920710-29920710". false: it is something else, or names more than are told
// apart; some may have been marked.
static bool mark_ranges(struct freshness *f, const char *s)
{
    int64_t left = FRESHNESS_PLACES;
    while (*s) {
        int64_t from, to;
        s = read_minute(s, &from);
        s = s && *s == '-' ? read_minute(s + 1, &to) : NULL;
        if (!s || to < from || (*s && *s != ' '))
            return false;
        s += *s == ' ';
        int64_t first = from / MINUTES_A_PLACE, last = to / MINUTES_A_PLACE;
        if (last - first >= left)
            return false;
        left -= last - first + 1;
        int64_t *first_minute = &f->first_minutes[f->now % FRESHNESS_RECENT];
        *first_minute = min_i64(*first_minute, from);
        for (int64_t p = first; p <= last; p++) {
            f->places[p % FRESHNESS_PLACES] = f->now;
            f->strides[p % FRESHNESS_PLACES / FRESHNESS_STRIDE] = f->now;
        }
        f->windows = f->now;
    }
    return true;
}

void freshness_notify(struct freshness *f, const char *payload)
{
    int64_t *first_minute = &f->first_minutes[++f->now % FRESHNESS_RECENT];
    *first_minute = INT64_MAX;
    if (mark_ranges(f, payload))
        return;
    f->all = f->now;
    *first_minute = 0;
}

bool freshness_holds(const struct freshness *f, uint64_t since, int64_t from_us, int64_t to_us,
                     bool closed)
{
    if (!f->listening || since < f->all)
        return false;
    if (!closed)
        return since == f->now;
    if (since >= f->windows)
        return true;
    int64_t first = max_i64(from_us, 0) / FRESHNESS_PLACE_US;
    int64_t last = (to_us - 1) / FRESHNESS_PLACE_US;
    if (last - first >= FRESHNESS_PLACES)
        return false;
    for (int64_t p = first; p <= last;) {
        bool together = p % FRESHNESS_STRIDE == 0 && last - p >= FRESHNESS_STRIDE - 1;
        int64_t at = p % FRESHNESS_PLACES;
        if ((together ? f->strides[at / FRESHNESS_STRIDE] : f->places[at]) > since)
            return false;
        p += together ? FRESHNESS_STRIDE : 1;
    }
    return true;
}

bool freshness_changed(const struct freshness *f, uint64_t since, int64_t until_us)
{
    if (!f->listening)
        return false;
    if (f->now - since > FRESHNESS_RECENT)
        return true;
    for (uint64_t n = since + 1; n <= f->now; n++) {
        int64_t minute = f->first_minutes[n % FRESHNESS_RECENT];
        if (minute <= MINUTE_MAX && minute * US_PER_MIN < until_us)
            return true;
    }
    return false;
}
