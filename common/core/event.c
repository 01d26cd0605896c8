// SPDX-License-Identifier: Apache-2.0
// Reads with jansson, behind a scan that bounds what jansson may be made to allocate. Every number
// is read as a double (JSON_DECODE_INT_AS_REAL): jansson would refuse the whole event over an
// integer beyond int64 in a field that is none of ours, and a known field is out of bounds long
// before that.
#include "common/core/event.h"

#include "common/core/event_fields.h"
#include "common/core/timeunit.h"

#include <jansson.h>
#include <stdio.h>

struct event_parser {
    json_t *root; // owned; the strings of the last event point into it
};

struct event_parser *event_parser_new(void)
{
    return xcalloc(1, sizeof(struct event_parser));
}

void event_parser_free(struct event_parser *p)
{
    if (!p)
        return;
    json_decref(p->root);
    free(p);
}

// The offset behind the string that begins at `at`, or the end of the bytes.
static size_t string_end(struct str bytes, size_t at)
{
    for (at++; at < bytes.n && bytes.p[at] != '"'; at++) {
        if (bytes.p[at] == '\\')
            at++;
    }
    return at < bytes.n ? at + 1 : bytes.n;
}

// Before jansson builds anything: 1 MiB of "{}," costs it 79 MiB, and its own depth limit is far
// above ours. Up to the first byte that is no JSON, this counts what jansson would build; behind it
// jansson stops.
static int check_size(struct str bytes, struct err *e)
{
    size_t depth = 0, tokens = 0;
    for (size_t at = 0; at < bytes.n;) {
        char c = bytes.p[at];
        if (c == '"') {
            at = string_end(bytes, at);
            continue;
        }
        at++;
        bool opens = c == '{' || c == '[';
        if (opens && ++depth > EVENT_JSON_DEPTH)
            return err_field(e, "", (int64_t)at - 1, "is nested deeper than %d levels",
                             EVENT_JSON_DEPTH);
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if ((opens || c == ',' || c == ':') && ++tokens > EVENT_JSON_TOKENS)
            return err_field(e, "", (int64_t)at - 1, "holds more than %d values",
                             EVENT_JSON_TOKENS);
    }
    return 0;
}

// The outermost object's last key that begins before `offset`: the field that an error there
// belongs to. Not found where the key is written with escapes: the sender's bytes are shown as they
// are.
static struct str key_before(struct str bytes, size_t offset)
{
    struct str key = {NULL, 0};
    size_t depth = 0;
    bool object = false, key_next = false;
    for (size_t at = 0; at < bytes.n && at < offset;) {
        char c = bytes.p[at];
        if (c == '"') {
            size_t end = string_end(bytes, at);
            if (object && depth == 1 && key_next && end - at >= 2)
                key = (struct str){bytes.p + at + 1, end - at - 2};
            key_next = false;
            at = end;
            continue;
        }
        at++;
        if ((c == '{' || c == '[') && depth++ == 0)
            object = c == '{';
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (c == '{' || c == ',')
            key_next = true;
    }
    return key;
}

// A key goes into an error only where it can stand there as it is: whole and in plain characters.
static void name_field(struct str key, char *field, size_t size)
{
    field[0] = '\0';
    if (key.n == 0 || key.n >= size)
        return;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] < 0x21 || key.p[i] > 0x7e || key.p[i] == '\\')
            return;
    }
    memcpy(field, key.p, key.n);
    field[key.n] = '\0';
}

// jansson's reason without the bytes it quotes, which may end in the middle of a character. The
// offset tells where it is.
static size_t reason_length(const char *text)
{
    const char *quote = strstr(text, " near '");
    return quote ? (size_t)(quote - text) : strlen(text);
}

static int json_fault(struct str bytes, const json_error_t *je, struct err *e)
{
    char field[sizeof(((struct err *)0)->field)];
    name_field(key_before(bytes, (size_t)je->position), field, sizeof(field));
    switch (json_error_code(je)) {
    case json_error_duplicate_key:
        return err_field(e, field, je->position, "a key stands twice in one object");
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return err_field(e, field, je->position, "must not hold the character U+0000");
    case json_error_invalid_utf8:
        return err_field(e, field, je->position, "must be valid UTF-8");
    case json_error_numeric_overflow:
        return err_field(e, field, je->position, "is a number beyond what a double can hold");
    case json_error_end_of_input_expected:
        return err_field(e, "", je->position, "more bytes follow the JSON object");
    default:
        return err_field(e, field, je->position, "is not valid JSON: %.*s",
                         (int)reason_length(je->text), je->text);
    }
}

// Leaves the object in p->root.
static int read_json(struct event_parser *p, struct str bytes, struct err *e)
{
    json_decref(p->root);
    p->root = NULL;
    if (check_size(bytes, e) != 0)
        return -1;
    json_error_t je;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    p->root = json_loadb(bytes.n > 0 ? bytes.p : "", bytes.n, flags, &je);
    if (!p->root)
        return json_fault(bytes, &je, e);
    if (!json_is_object(p->root))
        return err_field(e, "", 0, "an event must be a JSON object");
    return 0;
}

static struct event_value value_of(const json_t *json)
{
    struct event_value v = {.type = EVENT_VALUE_NULL};
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT:
        v.type = EVENT_VALUE_OBJECT;
        break;
    case JSON_ARRAY:
        v.type = EVENT_VALUE_ARRAY;
        break;
    case JSON_STRING:
        v.type = EVENT_VALUE_STRING;
        v.string = (struct str){json_string_value(json), json_string_length(json)};
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        v.type = EVENT_VALUE_NUMBER;
        v.number = json_number_value(json);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v.type = EVENT_VALUE_BOOL;
        v.boolean = json_is_true(json);
        break;
    case JSON_NULL:
        break;
    }
    return v;
}

static int take_fields(const json_t *root, enum event_kind kind, struct event *out, struct err *e)
{
    event_init(out, kind);
    for (size_t i = 0; i < ARRAY_LEN(event_fields); i++) {
        const struct event_field *f = &event_fields[i];
        if (!(f->known_in & EVENT_IN(kind)))
            continue;
        struct event_value v = value_of(json_object_get(root, f->name.p));
        if (v.type == EVENT_VALUE_NULL && (f->required_in & EVENT_IN(kind)))
            return event_field_missing(f, e);
        if (event_field_take(f, &v, out, e) != 0)
            return -1;
    }
    return 0;
}

int event_parse(struct event_parser *p, enum event_kind kind, struct str bytes, struct event *out,
                struct err *e)
{
    if (read_json(p, bytes, e) != 0)
        return -1;
    return take_fields(p->root, kind, out, e);
}

int event_parse_typed(struct event_parser *p, struct str bytes, struct event *out, struct err *e)
{
    if (read_json(p, bytes, e) != 0)
        return -1;
    struct event_value type = value_of(json_object_get(p->root, "type"));
    enum event_kind kind;
    if (event_kind_of(&type, &kind, e) != 0)
        return -1;
    return take_fields(p->root, kind, out, e);
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
