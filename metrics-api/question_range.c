// SPDX-License-Identifier: Apache-2.0
// The range of a question, where it is not all there is.
#include "metrics-api/question_internal.h"

#define STEPS_DEFAULT 60
#define HOURS_DEFAULT 1
#define COST_DAYS_DEFAULT 1 // beside the same hours of the day before
#define LIST_DAYS_DEFAULT 30

static bool is_stored_rows(const struct question *q)
{
    return !q->cells && !question_lists(q);
}

// Where a range begins that ends at to_us: whole steps, of which the last one may be under way.
static int64_t default_from_us(const struct question *q, int64_t to_us)
{
    if (question_lists(q))
        return to_us - LIST_DAYS_DEFAULT * US_PER_DAY;
    if (q->endpoint == ENDPOINT_COST)
        return to_us - COST_DAYS_DEFAULT * US_PER_DAY;
    if (q->step_us == 0 || q->endpoint != ENDPOINT_METRICS)
        return to_us - HOURS_DEFAULT * US_PER_HOUR;
    // Where days of a zone begin is not known here.
    if (q->zone)
        return to_us - STEPS_DEFAULT * q->step_us;
    int64_t offset_us = steps_offset_us(q->step_us);
    int64_t last_us = time_floor_us(to_us - 1 - offset_us, q->step_us) + offset_us;
    return last_us - (STEPS_DEFAULT - 1) * q->step_us;
}

static int resolve(const struct question_time *t, int64_t now_us, const char *name, int64_t *out,
                   struct err *e)
{
    if (question_time_resolve(t, now_us, out) == 0)
        return 0;
    return err_field(e, name, -1, "must be in the years 0001 to 9999");
}

static int resolve_both(struct question *q, int64_t now_us, struct err *e)
{
    static const struct question_time now = {TIME_FROM_NOW, 0};
    const struct question_given *g = q->given;
    if (resolve(g->to.kind == TIME_MISSING ? &now : &g->to, now_us, "to", &q->to_us, e) != 0)
        return -1;
    if (g->from.kind != TIME_MISSING)
        return resolve(&g->from, now_us, "from", &q->from_us, e);
    q->from_us = is_stored_rows(q) ? INT64_MIN : default_from_us(q, q->to_us);
    return 0;
}

static int refuse_range(const struct question *q, const char *what, struct err *e)
{
    char from[TIME_RFC3339_MAX], to[TIME_RFC3339_MAX];
    time_format_rfc3339(q->from_us, from);
    time_format_rfc3339(q->to_us, to);
    return err_field(e, "from", -1, "must be %s `to`; rounded up to minutes they are %s and %s",
                     what, from, to);
}

static int check_range(const struct question *q, struct err *e)
{
    int64_t length_us = q->to_us - q->from_us;
    if (length_us <= 0)
        return refuse_range(q, "before", e);
    // Every instant that an answer can name has a text.
    if (!time_in_range_us(question_first_us(q)))
        return err_field(e, q->given->from.kind != TIME_MISSING ? "from" : "to", -1,
                         "must be later: all that is looked at must be in the years 0001 to 9999");
    return length_us <= QUESTION_RANGE_MAX_US ? 0 : refuse_range(q, "at most 4000 days before", e);
}
_Static_assert(QUESTION_RANGE_MAX_US == 4000 * US_PER_DAY, "check_range() says so");

// Of a heatmap: about 60 columns by default, never more than can be shown.
static int decide_heatmap_step(struct question *q, struct err *e)
{
    static const int64_t nice_min[] = {1,   2,   5,   10,   15,   30,   60,  120,
                                       180, 360, 720, 1440, 2880, 4320, 7200};
    int64_t length_us = q->to_us - q->from_us;
    if (q->step_us == 0) {
        size_t i = 0;
        while (i < ARRAY_LEN(nice_min) && nice_min[i] * US_PER_MIN * STEPS_DEFAULT < length_us)
            i++;
        q->step_us = i < ARRAY_LEN(nice_min) ? nice_min[i] * US_PER_MIN : QUESTION_STEP_MAX_US;
    }
    if (length_us <= q->step_us * QUESTION_HEATMAP_STEPS_MAX)
        return 0;
    return err_field(e, "step", -1, "must be longer: the range has more than %d of them",
                     QUESTION_HEATMAP_STEPS_MAX);
}

int question_decide_range(struct question *q, int64_t now_us, struct err *e)
{
    bool any = q->given->from.kind != TIME_MISSING || q->given->to.kind != TIME_MISSING;
    if (is_stored_rows(q) && !any) {
        q->from_us = INT64_MIN;
        q->to_us = INT64_MAX;
        return 0;
    }
    if (resolve_both(q, now_us, e) != 0)
        return -1;
    if (q->from_us == INT64_MIN)
        return 0;
    if (check_range(q, e) != 0)
        return -1;
    return q->endpoint == ENDPOINT_HEATMAP ? decide_heatmap_step(q, e) : 0;
}
