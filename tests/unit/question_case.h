// SPDX-License-Identifier: Apache-2.0
// Questions in a line of a test, as in a query string but for its escapes: "a=1&b=2".
#ifndef STREAMLENS_TESTS_QUESTION_CASE_H
#define STREAMLENS_TESTS_QUESTION_CASE_H

#include "metrics-api/question.h"

#include <check.h>
#include <stdio.h>

#define NOW_US (INT64_C(1795320306) * US_PER_S + 789)  // 2026-11-22T04:05:06.000789Z
#define NOW_MINUTE_US (INT64_C(1795320360) * US_PER_S) // rounded up
static const struct question_rights anybody = {.any_tenant = true};

// The parameters as they come, then the rest; the first error ends it. To be cleared.
static inline enum question_verdict ask_at(struct question *q, enum question_endpoint endpoint,
                                           const struct question_rights *rights, const char *text,
                                           int64_t now_us, struct err *e)
{
    *q = (struct question){.endpoint = endpoint};
    *e = (struct err){0};
    while (*text) {
        size_t n = strcspn(text, "&"), name = strcspn(text, "=&");
        struct str value = {text + name + (name < n), n - name - (name < n)};
        if (question_param(q, (struct str){text, name}, value, e) != 0)
            return QUESTION_WRONG;
        text += n + (text[n] == '&');
    }
    return question_finish(q, rights, now_us, e);
}

static inline enum question_verdict ask(struct question *q, enum question_endpoint endpoint,
                                        const char *text, struct err *e)
{
    return ask_at(q, endpoint, &anybody, text, NOW_US, e);
}

static inline void ask_fine(struct question *q, enum question_endpoint endpoint, const char *text)
{
    struct err e;
    ck_assert_msg(ask(q, endpoint, text, &e) == QUESTION_FINE, "%s: refused: %s: %s", text, e.field,
                  e.detail);
}

// It is refused, and the error names the field and says that.
static inline void ask_wrong(enum question_endpoint endpoint, const char *text, const char *field,
                             const char *says)
{
    struct question q;
    struct err e;
    ck_assert_msg(ask(&q, endpoint, text, &e) == QUESTION_WRONG, "%s: not refused", text);
    ck_assert_msg(strcmp(e.field, field) == 0, "%s: blames %s: %s", text, e.field, e.detail);
    ck_assert_msg(strstr(e.detail, says) != NULL, "%s: says %s", text, e.detail);
    ck_assert_str_ne(e.detail, "");
    question_clear(&q);
}

static inline int64_t at_us(const char *rfc3339)
{
    int64_t us;
    ck_assert_msg(time_parse_rfc3339(str_of(rfc3339), &us) == 0, "%s", rfc3339);
    return us;
}

static inline char *key_of(enum question_endpoint endpoint, const char *text)
{
    struct question q;
    struct buf key = {0};
    ask_fine(&q, endpoint, text);
    question_key(&q, &key);
    question_clear(&q);
    return buf_steal(&key);
}

#endif
