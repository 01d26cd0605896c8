// SPDX-License-Identifier: Apache-2.0
// Parts of a date, in UTC, of seconds since 1970.
#include "metrics-api/promql/eval.h"

#include <math.h>

struct date {
    int64_t year, month, day; // month and day from 1
    int64_t day_of_year;      // from 1
    int64_t days_in_month;
    int64_t week_day; // 0: Sunday
    int64_t hour, minute;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Years are counted from March, so that the day that some have comes last; 400 of them are a cycle.
static struct date date_of(int64_t s)
{
    int64_t days = floor_div(s, 86400), left = s - days * 86400;
    int64_t shifted = days + 719468, era = floor_div(shifted, 146097),
            of_era = shifted - era * 146097;
    int64_t of_year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t day = of_era - (365 * of_year + of_year / 4 - of_year / 100);
    int64_t shifted_month = (5 * day + 2) / 153;
    struct date d = {.hour = left / 3600, .minute = left / 60 % 60};
    d.day = day - (153 * shifted_month + 2) / 5 + 1;
    d.month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    d.year = of_year + era * 400 + (d.month <= 2);
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    d.days_in_month = lengths[d.month - 1] + (d.month == 2 && is_leap(d.year));
    for (int64_t m = 1; m < d.month; m++)
        d.day_of_year += lengths[m - 1] + (m == 2 && is_leap(d.year));
    d.day_of_year += d.day;
    d.week_day = (days % 7 + 11) % 7; // 1970 began on a Thursday
    return d;
}

static double part(const char *name, double seconds)
{
    // About as far as days can be told from one another; behind it are no dates.
    if (!(fabs(seconds) < 1e15))
        return NAN;
    struct date d = date_of((int64_t)seconds);
    const struct {
        const char *name;
        int64_t value;
    } parts[] = {
        {"day_of_month", d.day},
        {"day_of_week", d.week_day},
        {"day_of_year", d.day_of_year},
        {"days_in_month", d.days_in_month},
        {"hour", d.hour},
        {"minute", d.minute},
        {"month", d.month},
        {"year", d.year},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strcmp(parts[i].name, name) == 0)
            return (double)parts[i].value;
    abort(); // functions and this table name the same ones
}

int eval_date(struct eval *ev, const struct node *call, struct vector *out)
{
    bool now = call->call.n == 0;
    if ((now ? eval_number(ev, 0, out) : eval_node(ev, call->call.args[0], out)) != 0)
        return -1;
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        double *v = out->rows[i].v;
        for (size_t step = 0; step < ev->steps; step++) {
            double seconds = now ? (double)floor_div(eval_time_ms(ev, step), 1000) : v[step];
            if (!promql_is_stale(v[step]))
                v[step] = part(call->call.function->name, seconds);
        }
    }
    if (ev->verdict != PROMQL_OK)
        return -1;
    return now ? 0 : vector_drop_names(ev, out);
}
