// SPDX-License-Identifier: Apache-2.0
// What the tests of event.h share: a parser made afresh for each test, and whole events to which a
// case adds fields.
#ifndef STREAMLENS_TESTS_EVENT_CASE_H
#define STREAMLENS_TESTS_EVENT_CASE_H

#include "common/core/buf.h"
#include "common/core/event.h"

#include <check.h>

#define T0 "2026-11-21T06:14:00Z"
#define T0_US INT64_C(1795241640000000)
// Whole events but for their last fields; a case adds `,"field":value}`.
#define REQUEST                                                                                    \
    "{\"request_id\":\"r-1\",\"tenant_id\":\"t\",\"route\":\"/chat\",\"model\":\"m\","             \
    "\"timestamp\":\"" T0 "\""
#define RESPONSE "{\"request_id\":\"r-1\",\"timestamp\":\"" T0 "\""

static struct event_parser *parser;
static struct event ev;
static struct err e;

static inline void make_parser(void)
{
    parser = event_parser_new();
    ev = (struct event){0};
    e = (struct err){.offset = -2};
}

static inline void free_parser(void)
{
    event_parser_free(parser);
}

// Parses a copy of exactly that size, so that a sanitizer sees a read behind the end. The copy
// lives until the next call, since strings may point into it.
static inline int parse(enum event_kind kind, struct str bytes)
{
    static char *copy;
    free(copy);
    copy = xmemdup(bytes.n > 0 ? bytes.p : "", bytes.n);
    return event_parse(parser, kind, (struct str){copy, bytes.n}, &ev, &e);
}

static inline int parse_text(enum event_kind kind, const char *text)
{
    return parse(kind, str_of(text));
}

static inline void expect_str(struct str got, const char *want)
{
    if (!want) {
        ck_assert_ptr_null(got.p);
        return;
    }
    ck_assert_msg(str_eq(got, str_of(want)), "\"%.*s\" instead of \"%s\"", (int)got.n, got.p, want);
}

static inline void expect_refused(enum event_kind kind, struct str bytes, const char *field)
{
    ck_assert_msg(parse(kind, bytes) == -1, "accepted: %.*s", (int)bytes.n, bytes.p);
    ck_assert_msg(strcmp(e.field, field) == 0, "%.*s: blames \"%s\" (%s), not \"%s\"", (int)bytes.n,
                  bytes.p, e.field, e.detail, field);
    ck_assert_str_ne(e.detail, "");
}

#endif
