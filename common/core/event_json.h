// SPDX-License-Identifier: Apache-2.0
// An event's fields read with jansson: any JSON, and the words for what is none. event_scan.h is
// the faster reader for what is usual.
#ifndef STREAMLENS_EVENT_JSON_H
#define STREAMLENS_EVENT_JSON_H

#include "common/core/event_fields.h"

struct event_json;
struct event_json *event_json_new(void);
void event_json_free(struct event_json *j);

// Strings in *out live until the next call. -1, with the field and the byte offset, where the bytes
// are no JSON object, hold a key twice, or are beyond EVENT_JSON_DEPTH or EVENT_JSON_TOKENS.
int event_json_read(struct event_json *j, struct str bytes, struct event_values *out,
                    struct err *e) MUST_CHECK;

#endif
