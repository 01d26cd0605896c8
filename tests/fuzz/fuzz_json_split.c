// SPDX-License-Identifier: Apache-2.0
// Items lie in order inside the body with nothing but borders between them. An array is held
// against jansson: where jansson reads the whole, the items are its elements, and where every item
// is JSON and the split found no fault, jansson reads the whole.
#include "tests/fuzz/fuzz.h"

#include "common/core/json_split.h"

#include <jansson.h>

#define FLAGS JSON_DECODE_ANY

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Only what stands between items may lie between `from` and `to`.
static void check_gap(const char *from, const char *to, bool array)
{
    for (; from < to; from++)
        FUZZ_CHECK(is_space(*from) || (array && (*from == ',' || *from == '[' || *from == ']')));
}

static void check_item(struct str item, bool array)
{
    FUZZ_CHECK(item.n > 0);
    FUZZ_CHECK(!is_space(item.p[0]) && !is_space(item.p[item.n - 1]));
    FUZZ_CHECK(array || !memchr(item.p, '\n', item.n));
}

struct verdict {
    size_t items;
    bool all_json; // every item is JSON by itself
    bool too_deep; // for jansson, so that its verdict says nothing
};

static void judge_item(struct verdict *v, struct str item, const json_t *whole)
{
    json_error_t je;
    json_t *json = json_loadb(item.p, item.n, FLAGS, &je);
    if (!json)
        v->all_json = false;
    if (!json && json_error_code(&je) == json_error_stack_overflow)
        v->too_deep = true;
    if (whole) {
        FUZZ_CHECK(json);
        FUZZ_CHECK(json_equal(json, json_array_get(whole, v->items)));
    }
    json_decref(json);
    v->items++;
}

static size_t count_lines(struct str body)
{
    size_t lines = 0;
    bool blank = true;
    for (size_t i = 0; i < body.n; i++) {
        if (!is_space(body.p[i]) && blank) {
            lines++;
            blank = false;
        }
        if (body.p[i] == '\n')
            blank = true;
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size}, item;
    struct json_split s;
    json_split_init(&s, body);
    json_error_t je;
    json_t *whole = s.array ? json_loadb(body.p, body.n, FLAGS, &je) : NULL;
    bool too_deep = s.array && !whole && json_error_code(&je) == json_error_stack_overflow;

    struct verdict v = {.all_json = true};
    struct err e = {.offset = -2};
    const char *at = body.p;
    int rc;
    while ((rc = json_split_next(&s, &item, &e)) == 1) {
        FUZZ_CHECK(item.p >= at && item.p + item.n <= body.p + body.n);
        check_gap(at, item.p, s.array);
        check_item(item, s.array);
        at = item.p + item.n;
        judge_item(&v, item, whole);
    }
    if (rc == 0)
        check_gap(at, body.p + body.n, s.array);
    else
        FUZZ_CHECK(e.detail[0] && e.offset >= 0 && (size_t)e.offset <= size);
    FUZZ_CHECK(json_split_next(&s, &item, &e) == 0);

    if (!s.array)
        FUZZ_CHECK(rc == 0 && v.items == count_lines(body));
    if (whole)
        FUZZ_CHECK(rc == 0 && v.items == json_array_size(whole));
    if (s.array && rc == 0 && v.all_json)
        FUZZ_CHECK(whole || too_deep || v.too_deep);
    json_decref(whole);
    return 0;
}
