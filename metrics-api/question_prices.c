// SPDX-License-Identifier: Apache-2.0
// What is asked of the catalogue: as of when, and a list or one name.
#include "metrics-api/question_internal.h"

static int decide_instant(struct question *q, int64_t now_us, struct err *e)
{
    static const struct question_time now = {TIME_FROM_NOW, 0};
    const struct question_time *at = &q->given->at;
    if (question_time_minute(at->kind == TIME_MISSING ? &now : at, now_us, &q->at_us) == 0)
        return 0;
    return err_field(e, "at", -1, "must be in the years 0001 to 9999");
}

// One name has one answer, which is no list.
static int decide_name(struct question *q, struct err *e)
{
    if (!q->name)
        return q->asked ? err_field(e, "asked", -1,
                                    "goes with name: the model that was asked for, where `name` is "
                                    "the one that answered")
                        : 0;
    if (q->every_tenant)
        return err_field(e, "tenant_id", -1,
                         "must be one tenant, or left out, where a name is looked up");
    if (q->prefix)
        return err_field(e, "prefix", -1, "is of the list: must be left out together with name");
    if (question_has(q, PARAM_CURSOR))
        return err_field(e, "cursor", -1, "is of the list: must be left out together with name");
    if (question_has(q, PARAM_FORMAT) && q->format != RENDER_JSON)
        return err_field(e, "format", -1, "must be json, or left out, together with name");
    q->format = RENDER_JSON;
    return 0;
}

int question_decide_prices(struct question *q, int64_t now_us, struct err *e)
{
    q->from_us = INT64_MIN;
    q->to_us = INT64_MAX;
    if (decide_name(q, e) != 0)
        return -1;
    return question_has(q, PARAM_CURSOR) ? question_take_cursor(q, e)
                                         : decide_instant(q, now_us, e);
}
