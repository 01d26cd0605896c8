// SPDX-License-Identifier: Apache-2.0
// An event's fields read in one pass over the bytes, for events as senders usually write them. What
// it reads it reads as event_json_read() does, to the last bit; anything unusual it leaves to that
// one, and anything wrong too, so that there is one place that says what is wrong.
//
// Unusual are: escapes in keys and in known strings, surrogates in any, numbers of more than 63
// characters or with an exponent beyond 99, more than 32 keys unknown to us in one object, and more
// than EVENT_JSON_TOKENS bytes.
#ifndef STREAMLENS_EVENT_SCAN_H
#define STREAMLENS_EVENT_SCAN_H

#include "common/core/event_fields.h"

// It learns the order of the keys from one event to the next, so it is quickest where events of one
// kind have one each; what it reads does not depend on that.
struct event_scan;
struct event_scan *event_scan_new(void);
void event_scan_free(struct event_scan *s);

// Strings in *out point into the bytes. False, with *out void: not an event for this reader.
bool event_scan_read(struct event_scan *s, struct str bytes, struct event_values *out) MUST_CHECK;

#endif
