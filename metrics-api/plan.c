// SPDX-License-Identifier: Apache-2.0
// Where a step ends within an hour, that hour is read as minutes; so is the first, where the range
// has a part of it. What lies between is read as hours. Of the last one nobody knows yet.
#include "metrics-api/plan.h"

static int64_t hour_of(int64_t t_us)
{
    return time_floor_us(t_us, US_PER_HOUR);
}

static int64_t hour_after(int64_t t_us)
{
    return hour_of(t_us) + US_PER_HOUR;
}

// Appends; what touches the last one prolongs it.
static void add_span(struct plan_span **spans, size_t *n, int64_t from_us, int64_t to_us)
{
    if (from_us >= to_us)
        return;
    if (*n > 0 && (*spans)[*n - 1].to_us == from_us) {
        (*spans)[*n - 1].to_us = to_us;
        return;
    }
    if ((*n & (*n - 1)) == 0) // full: sizes are powers of two
        *spans = xrealloc(*spans, (*n ? 2 * *n : 1) * sizeof(**spans));
    (*spans)[(*n)++] = (struct plan_span){from_us, to_us};
}

// The next thing to plan begins at `at`: hours up to where minutes are needed, then those.
static void add_minutes(struct plan *p, int64_t *at_us, int64_t from_us, int64_t to_us)
{
    from_us = max_i64(from_us, *at_us);
    if (from_us >= to_us)
        return;
    add_span(&p->hours, &p->hour_count, *at_us, from_us);
    add_span(&p->minutes, &p->minute_count, from_us, to_us);
    *at_us = to_us;
}

static void add_all_minutes(struct plan *p, int64_t from_us, int64_t to_us)
{
    plan_clear(p); // with its first span a list grows anew
    add_span(&p->minutes, &p->minute_count, from_us, to_us);
}

static bool has_too_many(const struct plan *p)
{
    return p->hour_count > PLAN_SPANS_MAX || p->minute_count > PLAN_SPANS_MAX;
}

// Shorter steps end within each hour.
static bool steps_within_hours(const struct steps *s)
{
    return !s->at && s->step_us > 0 && s->step_us < US_PER_HOUR;
}

static void plan_range(const struct steps *s, int64_t from_us, struct plan *p)
{
    int64_t at_us = from_us, to_us = s->to_us;
    if (hour_of(from_us) != from_us)
        add_minutes(p, &at_us, from_us, min_i64(hour_after(from_us), to_us));
    for (int64_t t_us = steps_end_us(s, from_us); t_us < to_us && !has_too_many(p);
         t_us = steps_end_us(s, t_us))
        if (hour_of(t_us) != t_us)
            add_minutes(p, &at_us, hour_of(t_us), min_i64(hour_after(t_us), to_us));
    p->has_tail = at_us <= hour_of(to_us) && hour_of(to_us) < to_us;
    if (p->has_tail)
        p->tail = (struct plan_span){hour_of(to_us), to_us};
    else
        add_minutes(p, &at_us, hour_of(to_us), to_us);
    add_span(&p->hours, &p->hour_count, at_us, p->has_tail ? p->tail.from_us : to_us);
    if (has_too_many(p))
        add_all_minutes(p, from_us, to_us);
}

// Minutes that were dropped: those at an end of the range, or where a step ends in between.
static const char *field_at_fault(const struct steps *s, int64_t from_us, const struct plan *p)
{
    if (steps_within_hours(s))
        return "step";
    if (hour_of(from_us) != from_us)
        return "from";
    return p->minute_count == 0 || p->minutes[0].from_us == hour_of(s->to_us) ? "to" : "step";
}

static bool needs_minutes_before(const struct plan *p, int64_t t_us)
{
    return (p->minute_count > 0 && p->minutes[0].from_us < t_us) ||
           (p->has_tail && p->tail.from_us < t_us);
}

static int refuse(const char *field, int64_t minutes_from_us, struct err *e)
{
    char kept[TIME_RFC3339_MAX];
    time_format_rfc3339(minutes_from_us, kept);
    return err_field(e, field, -1,
                     "minutes are kept from %s on: before that a range begins and ends, and its "
                     "steps end, on whole hours (UTC)",
                     kept);
}

int plan_make(const struct steps *steps, const struct plan_kept *kept, struct plan *out,
              struct err *e)
{
    plan_clear(out);
    int64_t from_us = max_i64(steps->from_us, kept->hours_from_us);
    if (from_us >= steps->to_us)
        return 0;
    if (steps_within_hours(steps))
        add_all_minutes(out, from_us, steps->to_us);
    else
        plan_range(steps, from_us, out);
    if (needs_minutes_before(out, kept->minutes_from_us))
        return refuse(field_at_fault(steps, from_us, out), kept->minutes_from_us, e);
    return 0;
}

void plan_clear(struct plan *p)
{
    free(p->hours);
    free(p->minutes);
    *p = (struct plan){0};
}
