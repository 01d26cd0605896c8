// SPDX-License-Identifier: Apache-2.0
// Shared by question*.c alone.
#ifndef STREAMLENS_QUESTION_INTERNAL_H
#define STREAMLENS_QUESTION_INTERNAL_H

#include "metrics-api/question.h"
#include "metrics-api/question_time.h"

enum question_parameter {
    PARAM_TENANT_ID,
    PARAM_ROUTE,
    PARAM_MODEL,
    PARAM_PREFIX,
    PARAM_FROM,
    PARAM_TO,
    PARAM_STEP,
    PARAM_TZ,
    PARAM_GROUP_BY,
    PARAM_PERCENTILES,
    PARAM_FIELDS,
    PARAM_FILL,
    PARAM_BY,
    PARAM_METRIC,
    PARAM_ORDER,
    PARAM_LIMIT,
    PARAM_CURSOR,
    PARAM_FORMAT,
    PARAM_LAST_EVENT_ID,
    PARAM_AT,
    PARAM_NAME,
    PARAM_ASKED,
    PARAM_COUNT
};
_Static_assert(PARAM_COUNT <= 32, "a bit each in question_given");

// What was asked, as far as the rest of the question decides what it means.
struct question_given {
    unsigned seen, valued; // a bit each parameter; valued: it was not empty
    size_t count;          // parameters, unknown ones too
    struct question_time from, to, at;
    char *fields, *cursor; // owned
    struct buf page;       // the cursor, decoded; question.after points into it
};

static inline bool question_has(const struct question *q, enum question_parameter p)
{
    return q->given && (q->given->valued & (1u << p)) != 0;
}
// Of the endpoints that list what exists.
static inline bool question_lists(const struct question *q)
{
    return q->endpoint >= ENDPOINT_SERIES && q->endpoint <= ENDPOINT_MODELS;
}

// NUL-terminated, the caller's to free.
char *question_text(struct str s);
// The next item of a list with commas; an empty one is an item too. False at its end: *rest is
// {NULL, 0} then. To begin, rest is the whole list, which is not empty.
bool question_item(struct str *rest, struct str *item);

// question_values.c: one value each, not empty.
typedef int (*question_parse_fn)(struct question *q, const char *name, struct str value,
                                 struct err *e);
int question_parse_tenant(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_route(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_model(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_prefix(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_from(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_to(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_step(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_tz(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_group_by(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_percentiles(struct question *q, const char *name, struct str value,
                               struct err *e);
int question_parse_fields(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_fill(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_by(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_metric(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_order(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_limit(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_cursor(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_format(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_last_event_id(struct question *q, const char *name, struct str value,
                                 struct err *e);
int question_parse_at(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_name(struct question *q, const char *name, struct str value, struct err *e);
int question_parse_asked(struct question *q, const char *name, struct str value, struct err *e);

// What question_finish() does, in this order. The tenant, cells and group_by are decided before.
// question_range.c: from_us, to_us, and a step where the endpoint has one by itself.
int question_decide_range(struct question *q, int64_t now_us, struct err *e) MUST_CHECK;
// question_prices.c: the instant; and what goes with a name.
int question_decide_prices(struct question *q, int64_t now_us, struct err *e) MUST_CHECK;
// question_fields.c: q->fields.
int question_decide_fields(struct question *q, struct err *e) MUST_CHECK;
// question_cursor.c: the range and the place of a cursor that was given.
int question_take_cursor(struct question *q, struct err *e) MUST_CHECK;

#endif
