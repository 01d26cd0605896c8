// SPDX-License-Identifier: Apache-2.0
// Two readers find the values: the scanner those of usual events, jansson those of all others.
// event_fields.h judges them, so an event is judged alike whoever has read it.
#include "common/core/event.h"

#include "common/core/event_json.h"
#include "common/core/event_keys.h"
#include "common/core/event_scan.h"
#include "common/core/timeunit.h"

struct event_parser {
    struct event_scan *scan[2]; // by kind, since each has its own order of keys
    struct event_json *json;
    struct event_values values;     // of the last event
    enum event_kind last_item;      // batches mostly hold one kind after another
    uint32_t known[2], required[2]; // by kind: bit i is event_fields[i]
};

struct event_parser *event_parser_new(void)
{
    struct event_parser *p = xcalloc(1, sizeof(*p));
    p->json = event_json_new();
    for (int kind = 0; kind < 2; kind++) {
        p->scan[kind] = event_scan_new();
        for (size_t i = 0; i < EVENT_FIELDS; i++) {
            if (event_fields[i].known_in & EVENT_IN(kind))
                p->known[kind] |= 1u << i;
            if (event_fields[i].required_in & EVENT_IN(kind))
                p->required[kind] |= 1u << i;
        }
    }
    return p;
}

void event_parser_free(struct event_parser *p)
{
    if (!p)
        return;
    event_scan_free(p->scan[0]);
    event_scan_free(p->scan[1]);
    event_json_free(p->json);
    free(p);
}

// Whether the scanner reads it, and it is a good event of the kind.
static bool scan(struct event_parser *p, enum event_kind kind, uint32_t required, struct str bytes,
                 struct event *out)
{
    event_init(out, kind);
    return event_scan_read(p->scan[kind], bytes, p->known[kind], &p->values, out) &&
           (required & ~p->values.sent) == 0;
}

// The values alone, to be judged in the order of the fields: of an event that scan() did not take.
// The scanner again, since jansson takes ten times as long to find what is wrong.
static int read_values(struct event_parser *p, enum event_kind kind, struct str bytes,
                       struct err *e)
{
    if (event_scan_read(p->scan[kind], bytes, 0, &p->values, NULL))
        return 0;
    return event_json_read(p->json, bytes, &p->values, e);
}

// Says where the value stands that a field's error is about. Looked for only now: readers keep no
// offsets of good events.
static int place_error(struct str bytes, struct err *e)
{
    if (e)
        e->offset = event_value_offset(bytes, e->field);
    return -1;
}

static int take_fields(const struct event_parser *p, enum event_kind kind, struct str bytes,
                       struct event *out, struct err *e)
{
    event_init(out, kind);
    if (event_fields_take(&p->values, p->known[kind], p->required[kind], out, e) != 0)
        return place_error(bytes, e);
    return 0;
}

int event_parse(struct event_parser *p, enum event_kind kind, struct str bytes, struct event *out,
                struct err *e)
{
    if (scan(p, kind, p->required[kind], bytes, out))
        return 0;
    if (read_values(p, kind, bytes, e) != 0)
        return -1;
    return take_fields(p, kind, bytes, out, e);
}

int event_parse_typed(struct event_parser *p, struct str bytes, struct event *out, struct err *e)
{
    for (int turn = 0; turn < 2; turn++) {
        if (scan(p, p->last_item, p->required[p->last_item] | 1u << EVENT_FIELD_TYPE, bytes, out))
            return 0;
        p->last_item = p->last_item == EVENT_REQUEST ? EVENT_RESPONSE : EVENT_REQUEST;
    }
    enum event_kind kind;
    if (read_values(p, p->last_item, bytes, e) != 0)
        return -1;
    if (event_kind_of(event_value_of(&p->values, EVENT_FIELD_TYPE), &kind, e) != 0)
        return place_error(bytes, e);
    return take_fields(p, kind, bytes, out, e);
}

int event_check_time(const struct event *ev, int64_t reference_us, int64_t margin_us, struct err *e)
{
    int64_t ahead_us;
    // The reference comes from a broker or a clock and may be anything.
    if (!__builtin_sub_overflow(ev->timestamp_us, reference_us, &ahead_us) &&
        ahead_us >= -(EVENT_PAST_US + margin_us) && ahead_us <= EVENT_FUTURE_US + margin_us)
        return 0;
    char at[TIME_RFC3339_MAX] = "an impossible time";
    if (time_in_range_us(reference_us))
        time_format_rfc3339(reference_us, at);
    return err_field(e, "timestamp", -1, "must lie between 7 days before and 1 hour after %s", at);
}
