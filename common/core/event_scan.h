// SPDX-License-Identifier: Apache-2.0
// An event's fields read in one pass over the bytes, for events as senders usually write them. What
// it reads it reads as event_json_read() does, to the last bit; anything unusual it leaves to that
// one, and anything wrong too, so that there is one place that says what is wrong.
//
// Unusual are: escapes in keys and in known strings, surrogates in any, numbers of more than 63
// characters or with an exponent beyond 99, more than 32 keys unknown to us in one object, no
// members, fewer than 17 bytes without blanks around them, and more than EVENT_JSON_TOKENS.
#ifndef STREAMLENS_EVENT_SCAN_H
#define STREAMLENS_EVENT_SCAN_H

#include "common/core/event_fields.h"

// It learns the order of the keys from one event to the next, so it is quickest where events of one
// kind have one each; what it reads does not depend on that.
struct event_scan;
struct event_scan *event_scan_new(void);
void event_scan_free(struct event_scan *s);

// What it finds goes to *values, and what of it are `known` fields (bits as in `sent`) also to
// *out, once it is checked: at once, since a walk over the values afterwards takes twice the
// instructions; it may be NULL where no field is known. Strings point into the bytes. False, with
// both void: not an event for this reader, or not a good one.
bool event_scan_read(struct event_scan *s, struct str bytes, uint32_t known,
                     struct event_values *values, struct event *out) MUST_CHECK;

#endif
