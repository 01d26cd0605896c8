// SPDX-License-Identifier: Apache-2.0
// Which windows have changed since when, by the notifications that flushes send (sql/README.md,
// Notifications). Pure. "When" is a number that rises with each notification.
#ifndef STREAMLENS_FRESHNESS_H
#define STREAMLENS_FRESHNESS_H

#include "common/core/base.h"

// Windows are told apart by ten minutes: a flush every few seconds names the minute under way, and
// what is kept of the minutes before is to hold. Those that many apart (455 days) share a place,
// which is harmless.
#define FRESHNESS_PLACE_US INT64_C(600000000)
#define FRESHNESS_PLACES 65536
#define FRESHNESS_RECENT 256 // notifications that are told apart by the minute
#define FRESHNESS_STRIDE 16  // places that are looked at together: a day is nine times as many

// Zeroed it does not listen: nothing holds.
struct freshness {
    bool listening;
    uint64_t now;     // the last notification
    uint64_t all;     // the last that may be of any window
    uint64_t windows; // the last that named windows
    uint64_t places[FRESHNESS_PLACES];
    uint64_t strides[FRESHNESS_PLACES / FRESHNESS_STRIDE]; // the last of any place of each
    int64_t first_minutes[FRESHNESS_RECENT];               // that each of the last ones named
};

void freshness_up(struct freshness *f); // from now on all is heard; before, anything may have been
void freshness_down(struct freshness *f); // nothing is heard
// A payload; one that is not understood may be of any window.
void freshness_notify(struct freshness *f, const char *payload);

// Whether what was read at `since` or later still holds: of closed windows from_us to to_us as long
// as none of them was named, of others as long as nothing was heard at all.
bool freshness_holds(const struct freshness *f, uint64_t since, int64_t from_us, int64_t to_us,
                     bool closed);
// Whether windows that begin before until_us may have changed since then: to the minute, so that
// flushes into the minute under way are none of those that are closed. While nothing is heard
// nobody can tell, and it is false.
bool freshness_changed(const struct freshness *f, uint64_t since, int64_t until_us);

#endif
