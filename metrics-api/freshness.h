// SPDX-License-Identifier: Apache-2.0
// Which windows have changed since when, by the notifications that flushes send (sql/README.md,
// Notifications). Pure. "When" is a number that rises with each notification.
#ifndef STREAMLENS_FRESHNESS_H
#define STREAMLENS_FRESHNESS_H

#include "common/core/base.h"

#define FRESHNESS_HOURS 16384 // told apart; hours that far apart share a place, which is harmless

// Zeroed it does not listen: nothing holds.
struct freshness {
    bool listening;
    uint64_t now;     // the last notification
    uint64_t all;     // the last that may be of any window
    uint64_t windows; // the last that named windows
    uint64_t hours[FRESHNESS_HOURS];
};

void freshness_up(struct freshness *f); // from now on all is heard; before, anything may have been
void freshness_down(struct freshness *f); // nothing is heard
// A payload; one that is not understood may be of any window.
void freshness_notify(struct freshness *f, const char *payload);

// Whether what was read at `since` or later still holds: of closed windows from_us to to_us as long
// as none of them was named, of others as long as nothing was heard at all.
bool freshness_holds(const struct freshness *f, uint64_t since, int64_t from_us, int64_t to_us,
                     bool closed);

#endif
