// SPDX-License-Identifier: Apache-2.0
// Reads with jansson, behind a scan that bounds what jansson may be made to allocate. Every number
// is read as a double (JSON_DECODE_INT_AS_REAL): jansson would refuse the whole event over an
// integer beyond int64 in a field that is none of ours, and a known field is out of bounds long
// before that.
#include "common/core/event_json.h"

#include "common/core/event_keys.h"

#include <jansson.h>

#define FIELD_MAX sizeof(((struct err *)0)->field)

struct event_json {
    json_t *root; // owned; the strings of the last event point into it
};

struct event_json *event_json_new(void)
{
    return xcalloc(1, sizeof(struct event_json));
}

void event_json_free(struct event_json *j)
{
    if (!j)
        return;
    json_decref(j->root);
    free(j);
}

// Before jansson builds anything: 1 MiB of "{}," costs it 79 MiB, and its own depth limit is far
// above ours. Up to the first byte that is no JSON, this counts what jansson would build; behind it
// jansson stops.
static int check_size(struct str bytes, struct err *e)
{
    char field[FIELD_MAX];
    size_t depth = 0, tokens = 0;
    for (size_t at = 0; at < bytes.n;) {
        char c = bytes.p[at];
        if (c == '"') {
            at = event_string_end(bytes, at);
            continue;
        }
        at++;
        bool opens = c == '{' || c == '[';
        if (opens && ++depth > EVENT_JSON_DEPTH) {
            event_key_before(bytes, at - 1, field, sizeof(field));
            return err_field(e, field, (int64_t)at - 1, "is nested deeper than %d levels",
                             EVENT_JSON_DEPTH);
        }
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if ((opens || c == ',' || c == ':') && ++tokens > EVENT_JSON_TOKENS) {
            event_key_before(bytes, at - 1, field, sizeof(field));
            return err_field(e, field, (int64_t)at - 1, "holds more than %d values",
                             EVENT_JSON_TOKENS);
        }
    }
    return 0;
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
    char field[FIELD_MAX];
    event_key_before(bytes, (size_t)je->position, field, sizeof(field));
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

// Leaves the object in j->root.
static int read_json(struct event_json *j, struct str bytes, struct err *e)
{
    json_decref(j->root);
    j->root = NULL;
    if (check_size(bytes, e) != 0)
        return -1;
    json_error_t fault;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    j->root = json_loadb(bytes.n > 0 ? bytes.p : "", bytes.n, flags, &fault);
    if (!j->root)
        return json_fault(bytes, &fault, e);
    if (!json_is_object(j->root))
        return err_field(e, "", 0, "an event must be a JSON object");
    return 0;
}

static struct event_value value_of(const json_t *json)
{
    struct event_value v = {.type = EVENT_VALUE_NULL};
    switch (json_typeof(json)) {
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

int event_json_read(struct event_json *j, struct str bytes, struct event_values *out, struct err *e)
{
    if (read_json(j, bytes, e) != 0)
        return -1;
    out->sent = 0;
    for (size_t i = 0; i < EVENT_FIELDS; i++) {
        const json_t *value = json_object_get(j->root, event_fields[i].name.p);
        if (!value || json_is_null(value))
            continue;
        out->of[i] = value_of(value);
        out->sent |= 1u << i;
    }
    return 0;
}
