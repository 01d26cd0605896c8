// SPDX-License-Identifier: Apache-2.0
// How many credentials of each address were refused lately. Pure: time is an argument.
//
// An address may fail `per_minute` times at once, and then again as time gives back, evenly, what
// was used: after a minute of quiet all of it. IPv6 addresses count by their /64, which is what one
// customer gets. When `addresses_max` are counted and none of them has become idle, newcomers are
// counted together, as one address.
#ifndef STREAMLENS_AUTH_FAILURES_H
#define STREAMLENS_AUTH_FAILURES_H

#include "common/core/base.h"

struct auth_failures;
// The seed (16 bytes) keeps clients from choosing addresses that collide.
struct auth_failures *auth_failures_new(int64_t per_minute, size_t addresses_max,
                                        const unsigned char seed[16]);
void auth_failures_free(struct auth_failures *f);

// Counts one more. 0: it is within the limit. Else it is not counted, and would be within the limit
// after so many µs. The address is numeric; whatever is none counts as one address.
int64_t auth_failures_add(struct auth_failures *f, const char *address, int64_t now_mono_us);

// Whether one more would be beyond the limit.
bool auth_failures_is_over(struct auth_failures *f, const char *address, int64_t now_mono_us);

size_t auth_failures_count(const struct auth_failures *f); // addresses that are held

#endif
