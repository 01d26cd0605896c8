// SPDX-License-Identifier: Apache-2.0
// The two event shapes: their fields, bounds and how bytes become a struct event. Used by
// ingest-api to validate and by the processor to read, so both judge an event alike.
//
// Bounds (DESIGN 2.1): ids and names are 1 to 255 bytes of valid UTF-8 without control characters
// (U+0000 to U+001F, U+007F); token counts are whole numbers 0 to EVENT_MAX_TOKENS; durations are 0
// to EVENT_MAX_MS milliseconds, fractions allowed, rounded to µs; cost_usd is 0 to EVENT_MAX_USD,
// rounded to picodollars (exact up to 15 significant digits, as JSON's numbers are in general).
// Duplicate keys are refused. Unknown fields are ignored. A known optional field that is null
// counts as absent.
#ifndef STREAMLENS_EVENT_H
#define STREAMLENS_EVENT_H

#include "common/core/err.h"

#define EVENT_NAME_MAX 255
#define EVENT_MAX_TOKENS INT64_C(1000000000000)
#define EVENT_MAX_MS INT64_C(1000000000)
#define EVENT_MAX_USD INT64_C(1000000) // of cost_usd
#define EVENT_JSON_DEPTH 32            // the event itself is level 1
#define EVENT_JSON_TOKENS 32768        // brackets that open, commas and colons, in one event
// A request's timestamp lies between 7 days before and 1 hour after the reference time.
#define EVENT_PAST_US (INT64_C(7) * 86400 * 1000000)
#define EVENT_FUTURE_US (INT64_C(3600) * 1000000)
// The processor's reference is the broker's append time, which comes after ingest-api's look at the
// clock: it allows this much more, so that what was answered 202 is not refused later.
#define EVENT_BOUND_MARGIN_US (INT64_C(60) * 1000000)

enum event_kind { EVENT_REQUEST = 0, EVENT_RESPONSE = 1 };

#define EVENT_ABSENT INT64_C(-1) // of the numbers below

struct event {
    enum event_kind kind;
    struct str request_id;
    int64_t timestamp_us;     // the payload's own time
    struct str tenant_id;     // { NULL, 0 } where the event names none
    struct str route;         // request
    struct str model;         // request: asked for; response: that answered, or absent
    struct str provider;      // request, optional
    struct str finish_reason; // response, optional; "" counts as absent
    struct str error; // response; absent or "" = succeeded. Any length, may hold control characters
    struct str service_tier; // response, optional
    int64_t prompt_tokens;   // both; EVENT_ABSENT where not sent (this and all below)
    int64_t completion_tokens, cached_prompt_tokens, cache_write_tokens, cache_write_1h_tokens,
        reasoning_tokens;        // response
    int64_t latency_us, ttft_us; // response
    int64_t cost_pusd;           // response: cost_usd in picodollars
    bool stream;                 // request; true only where sent as true
    union {
        struct str string;
        int64_t number;
    } checked; // where values go that are checked and then forgotten
};

// Reads events one after another; holds the memory that the fields of the last one point into.
struct event_parser;
struct event_parser *event_parser_new(void);
void event_parser_free(struct event_parser *p);

// Parses and validates one event. The strings in *out live until the next call with the same
// parser, and no longer than `bytes`, into which most point; none ends with a NUL. tenant_id is
// optional here: who needs it checks. A "type" may be missing, but must name this kind where it is
// sent. -1 with field, detail and byte offset: where the value begins that is out of bounds (-1
// where none was sent), or where reading what is no JSON, or beyond its limits, came to an end.
// Then the field is the outermost one; "" where that cannot be shown (event_keys.h).
int event_parse(struct event_parser *p, enum event_kind kind, struct str bytes, struct event *out,
                struct err *e) MUST_CHECK;

// Like event_parse, for an item of a batch: its "type" ("request" or "response") decides the kind.
int event_parse_typed(struct event_parser *p, struct str bytes, struct event *out,
                      struct err *e) MUST_CHECK;

// Whether a request's own timestamp is acceptable at the reference time, with a margin at both
// ends.
int event_check_time(const struct event *ev, int64_t reference_us, int64_t margin_us,
                     struct err *e) MUST_CHECK;

// Whether the bytes are a name as bounded above, for values that come from elsewhere (headers,
// query strings). -1 and a detail that says what is wanted.
int event_check_name(const char *field, struct str value, struct err *e) MUST_CHECK;

#endif
