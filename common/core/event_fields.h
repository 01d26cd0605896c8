// SPDX-License-Identifier: Apache-2.0
// What event.h's readers share: the table of known fields, and the step that checks one value and
// puts it into a struct event. However a reader finds the values (jansson, or a scanner over the
// bytes), it judges them here, so that two readers cannot disagree about a bound.
#ifndef STREAMLENS_EVENT_FIELDS_H
#define STREAMLENS_EVENT_FIELDS_H

#include "common/core/event.h"

enum event_field_type {
    EVENT_FIELD_KIND,     // "type": the name of a kind; goes nowhere
    EVENT_FIELD_NAME,     // string, a name as bounded in event.h
    EVENT_FIELD_LABEL,    // the same, but "" counts as absent
    EVENT_FIELD_TEXT,     // any string
    EVENT_FIELD_TIME,     // RFC 3339, or epoch ms as a number; stored as µs
    EVENT_FIELD_COUNT,    // whole number, 0 to EVENT_MAX_TOKENS
    EVENT_FIELD_DURATION, // ms, 0 to EVENT_MAX_MS; stored as µs
    EVENT_FIELD_COST,     // USD, 0 to EVENT_MAX_USD; stored as picodollars
    EVENT_FIELD_BOOL,
    EVENT_FIELD_OBJECT, // its content is not looked at
};

#define EVENT_IN(kind) (1u << (kind))

struct event_field {
    struct str name;
    uint8_t known_in, required_in; // EVENT_IN() bits; in other kinds the field counts as unknown
    enum event_field_type type;
    size_t offset; // of the member of struct event
};

static inline bool event_field_takes_names(const struct event_field *f)
{
    return f->type >= EVENT_FIELD_NAME && f->type <= EVENT_FIELD_TEXT;
}

#define EVENT_FIELDS 23
#define EVENT_FIELD_TYPE 0 // where "type" stands in the table
extern const struct event_field event_fields[EVENT_FIELDS];

enum event_value_type {
    EVENT_VALUE_NULL,
    EVENT_VALUE_BOOL,
    EVENT_VALUE_NUMBER,
    EVENT_VALUE_STRING,
    EVENT_VALUE_OBJECT,
    EVENT_VALUE_ARRAY,
};

// A JSON value as read. Every number is a double: what the bounds admit is exact in one.
struct event_value {
    enum event_value_type type;
    bool boolean;
    bool is_name; // of a string: it is known to be a name as bounded in event.h
    double number;
    struct str string;
};

// What a reader finds in one event: the values of known fields, whatever kind they are known in.
struct event_values {
    uint32_t sent; // bit i: event_fields[i] was sent and is not null, and of[i] is its value
    struct event_value of[EVENT_FIELDS];
};

// An event of the kind with nothing read yet.
void event_init(struct event *ev, enum event_kind kind);

// Checks a value that is not null and puts it where it belongs.
int event_field_take(const struct event_field *f, const struct event_value *v, struct event *out,
                     struct err *e) MUST_CHECK;

// The field's value; null where it was not sent.
const struct event_value *event_value_of(const struct event_values *values, size_t field);

// The same of all known fields (bits as in `sent`), and that the required ones were sent.
int event_fields_take(const struct event_values *values, uint32_t known, uint32_t required,
                      struct event *out, struct err *e) MUST_CHECK;

// The kind that a value of "type" names.
int event_kind_of(const struct event_value *v, enum event_kind *kind, struct err *e) MUST_CHECK;

#endif
