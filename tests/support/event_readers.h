// SPDX-License-Identifier: Apache-2.0
// What event_scan.h promises: an event that the scanner reads jansson reads too, and finds the same
// values in it.
#ifndef STREAMLENS_TESTS_EVENT_READERS_H
#define STREAMLENS_TESTS_EVENT_READERS_H

#include "common/core/event_json.h"
#include "common/core/event_scan.h"

struct event_readers {
    struct event_scan *scan;
    struct event_json *json;
    struct event_values scanned, read;
};

static inline bool is_plain_name(struct str s)
{
    if (s.n == 0 || s.n > EVENT_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return true;
}

static inline bool is_same_value(const struct event_value *a, const struct event_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case EVENT_VALUE_BOOL:
        return a->boolean == b->boolean;
    case EVENT_VALUE_NUMBER: // bit for bit: 0 is not -0
        return memcmp(&a->number, &b->number, sizeof(a->number)) == 0;
    case EVENT_VALUE_STRING:
        return str_eq(a->string, b->string) && (!a->is_name || is_plain_name(a->string));
    default:
        return true;
    }
}

// NULL where the promise holds, else what is wrong. *mine says whether the scanner read it.
static inline const char *event_readers_differ(struct event_readers *r, struct str bytes,
                                               bool *mine)
{
    struct err e;
    *mine = event_scan_read(r->scan, bytes, 0, &r->scanned, NULL);
    if (!*mine)
        return NULL;
    if (event_json_read(r->json, bytes, &r->read, &e) != 0)
        return "read, but jansson refuses it";
    if (r->scanned.sent != r->read.sent)
        return "other fields";
    for (size_t i = 0; i < EVENT_FIELDS; i++)
        if ((r->read.sent & (1u << i)) && !is_same_value(&r->scanned.of[i], &r->read.of[i]))
            return event_fields[i].name.p;
    return NULL;
}

#endif
