// SPDX-License-Identifier: Apache-2.0
// One parameter's value each: what it may be, whatever else is asked.
#include "metrics-api/question_internal.h"

#include "common/core/event.h"
#include "metrics-api/position.h"

#include <stdio.h>

char *question_text(struct str s)
{
    char *text = xmalloc(s.n + 1);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

bool question_item(struct str *rest, struct str *item)
{
    if (!rest->p)
        return false;
    const char *comma = memchr(rest->p, ',', rest->n);
    *item = (struct str){rest->p, comma ? (size_t)(comma - rest->p) : rest->n};
    *rest = comma ? (struct str){comma + 1, rest->n - item->n - 1} : (struct str){NULL, 0};
    return true;
}

// Nothing else can be stored, and what reaches SQL as a C string holds no NUL.
static int parse_name(char **into, const char *name, struct str value, struct err *e)
{
    if (event_check_name(name, value, e) != 0)
        return -1;
    *into = question_text(value);
    return 0;
}

int question_parse_tenant(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->tenant_id, name, value, e);
}

int question_parse_prefix(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->prefix, name, value, e);
}

int question_parse_name(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->name, name, value, e);
}

int question_parse_asked(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->asked, name, value, e);
}

// Where the name stands among the names, or would stand.
static size_t name_place(const struct question_names *names, const char *text)
{
    size_t at = 0;
    while (at < names->n && strcmp(names->v[at], text) < 0)
        at++;
    return at;
}

static int add_name(struct question_names *into, const char *name, struct str value, struct err *e)
{
    char *text;
    if (parse_name(&text, name, value, e) != 0)
        return -1;
    size_t at = name_place(into, text);
    bool known = at < into->n && strcmp(into->v[at], text) == 0;
    if (known || into->n == QUESTION_NAMES_MAX) {
        free(text);
        return known ? 0
                     : err_field(e, name, -1, "may be given at most %d times", QUESTION_NAMES_MAX);
    }
    memmove(&into->v[at + 1], &into->v[at], (into->n - at) * sizeof(into->v[0]));
    into->v[at] = text;
    into->n++;
    return 0;
}

int question_parse_route(struct question *q, const char *name, struct str value, struct err *e)
{
    return add_name(&q->routes, name, value, e);
}

int question_parse_model(struct question *q, const char *name, struct str value, struct err *e)
{
    return add_name(&q->models, name, value, e);
}

static int parse_time(struct question_time *into, const char *name, struct str value, struct err *e)
{
    if (question_time_parse(value, into) == 0)
        return 0;
    return err_field(e, name, -1,
                     "must be a time as 2026-11-21T06:14:00Z, seconds or milliseconds since 1970, "
                     "now, or now-1h (units w d h m s); in a URL a + is written %%2B");
}

int question_parse_from(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_time(&q->given->from, name, value, e);
}

int question_parse_to(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_time(&q->given->to, name, value, e);
}

int question_parse_at(struct question *q, const char *name, struct str value, struct err *e)
{
    return parse_time(&q->given->at, name, value, e);
}

int question_parse_step(struct question *q, const char *name, struct str value, struct err *e)
{
    int64_t us;
    if (question_duration_parse(value, &us) != 0 || us < US_PER_MIN || us > QUESTION_STEP_MAX_US ||
        us % US_PER_MIN != 0)
        return err_field(e, name, -1,
                         "must be whole minutes from 1m to 7d, as 5m, 1h30m, 1d or seconds");
    q->step_us = us;
    return 0;
}

int question_parse_tz(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char taken[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/-";
    bool fine = value.n <= QUESTION_ZONE_MAX && value.p[0] != '/';
    for (size_t i = 0; i < value.n && fine; i++)
        fine = memchr(taken, value.p[i], sizeof(taken) - 1) != NULL;
    if (!fine)
        return err_field(e, name, -1,
                         "must be a name of the tz database, as Europe/Berlin (at most %d bytes)",
                         QUESTION_ZONE_MAX);
    // What every step is cut by anyway.
    if (!str_eq(value, STR_LIT("UTC")))
        q->zone = question_text(value);
    return 0;
}

int question_parse_group_by(struct question *q, const char *name, struct str value, struct err *e)
{
    static const struct {
        const char *name;
        unsigned bit;
    } groups[] = {{"tenant_id", GROUP_TENANT}, {"route", GROUP_ROUTE}, {"model", GROUP_MODEL}};
    if (str_eq(value, STR_LIT("none")))
        return 0;
    struct str item;
    while (question_item(&value, &item)) {
        size_t i = 0;
        while (i < ARRAY_LEN(groups) && !str_eq(item, str_of(groups[i].name)))
            i++;
        if (i == ARRAY_LEN(groups) || (q->group_by & groups[i].bit) != 0)
            return err_field(e, name, -1,
                             "must be none, or of tenant_id, route and model, each at most once, "
                             "with commas between");
        q->group_by |= groups[i].bit;
    }
    return 0;
}

// In millionths of a percent.
static bool parse_percent(struct str s, int64_t *out)
{
    size_t at = 0;
    int64_t whole = 0, part = 0;
    for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++)
        whole = min_i64(whole * 10 + (s.p[at] - '0'), 1000);
    bool fine = at > 0;
    if (at < s.n && s.p[at] == '.') {
        size_t first = ++at;
        for (int64_t scale = 100000; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; scale /= 10)
            part += scale * (s.p[at++] - '0');
        fine = fine && at > first && at - first <= 6;
    }
    *out = whole * 1000000 + part;
    return fine && at == s.n && *out > 0 && *out <= 100000000;
}

static struct percentile percentile_of(int64_t millionths)
{
    struct percentile p = {.q = (double)millionths / 1e8, .latency = true, .ttft = true};
    int n = snprintf(p.digits, sizeof(p.digits), "%d.%06d", (int)(millionths / 1000000),
                     (int)(millionths % 1000000));
    while (p.digits[n - 1] == '0')
        n--;
    if (p.digits[n - 1] == '.')
        n--;
    p.digits[n] = '\0';
    return p;
}

// Ascending, so that the same ones in another order are the same question.
static bool add_percentile(struct fields *f, struct percentile p)
{
    size_t at = 0;
    while (at < f->n && f->percentiles[at].q < p.q)
        at++;
    if (f->n == PERCENTILES_MAX || (at < f->n && strcmp(f->percentiles[at].digits, p.digits) == 0))
        return false;
    memmove(&f->percentiles[at + 1], &f->percentiles[at], (f->n - at) * sizeof(p));
    f->percentiles[at] = p;
    f->n++;
    return true;
}

int question_parse_percentiles(struct question *q, const char *name, struct str value,
                               struct err *e)
{
    struct str item;
    int64_t millionths;
    while (question_item(&value, &item)) {
        if (!parse_percent(item, &millionths) ||
            !add_percentile(&q->fields, percentile_of(millionths)))
            return err_field(e, name, -1,
                             "must be 1 to %d numbers above 0 and up to 100, each once and with at "
                             "most 6 decimals, as 50,95,99.9",
                             PERCENTILES_MAX);
    }
    return 0;
}

// For question_finish(). A NUL would cut what is judged there.
static int keep_text(char **into, const char *name, struct str value, struct err *e)
{
    if (memchr(value.p, '\0', value.n))
        return err_field(e, name, -1, "must not hold control characters");
    *into = question_text(value);
    return 0;
}

int question_parse_fields(struct question *q, const char *name, struct str value, struct err *e)
{
    return keep_text(&q->given->fields, name, value, e);
}

int question_parse_cursor(struct question *q, const char *name, struct str value, struct err *e)
{
    return keep_text(&q->given->cursor, name, value, e);
}

#define CHOICES_MAX 5
// The number of the value among the choices, -1 where it is none; the error's text is made of them.
static int parse_choice(const char *const choices[CHOICES_MAX], const char *name, struct str value,
                        struct err *e)
{
    char allowed[128];
    size_t n = 0;
    for (int i = 0; i < CHOICES_MAX && choices[i]; i++) {
        if (str_eq(value, str_of(choices[i])))
            return i;
        bool last = i + 1 == CHOICES_MAX || !choices[i + 1];
        n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s",
                              i == 0 ? ""
                              : last ? " or "
                                     : ", ",
                              choices[i]);
    }
    return err_field(e, name, -1, "must be %s", allowed);
}

int question_parse_fill(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char *const choices[CHOICES_MAX] = {
        [FILL_NONE] = "none", [FILL_ZERO] = "zero", [FILL_NULL] = "null"};
    int i = parse_choice(choices, name, value, e);
    if (i < 0)
        return -1;
    q->fill = (enum question_fill)i;
    return 0;
}

int question_parse_by(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char *const choices[CHOICES_MAX] = {[BY_COST] = "cost",
                                                     [BY_REQUESTS] = "requests",
                                                     [BY_ERRORS] = "errors",
                                                     [BY_P95] = "p95",
                                                     [BY_TOKENS] = "tokens"};
    int i = parse_choice(choices, name, value, e);
    if (i < 0)
        return -1;
    q->by = (enum question_by)i;
    return 0;
}

int question_parse_metric(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char *const choices[CHOICES_MAX] = {
        [METRIC_LATENCY] = "latency", [METRIC_TTFT] = "ttft"};
    int i = parse_choice(choices, name, value, e);
    if (i < 0)
        return -1;
    q->metric = (enum question_metric)i;
    return 0;
}

int question_parse_order(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char *const choices[CHOICES_MAX] = {"desc", "asc"};
    int i = parse_choice(choices, name, value, e);
    if (i < 0)
        return -1;
    q->ascending = i == 1;
    return 0;
}

int question_parse_format(struct question *q, const char *name, struct str value, struct err *e)
{
    static const char *const choices[CHOICES_MAX] = {
        [RENDER_JSON] = "json", [RENDER_NDJSON] = "ndjson", [RENDER_CSV] = "csv"};
    int i = parse_choice(choices, name, value, e);
    if (i < 0)
        return -1;
    q->format = (enum render_format)i;
    return 0;
}

int question_parse_limit(struct question *q, const char *name, struct str value, struct err *e)
{
    bool negative = value.p[0] == '-';
    size_t i = negative || value.p[0] == '+' ? 1 : 0;
    bool digits = i < value.n;
    int64_t n = 0;
    for (; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') {
            digits = false;
            break;
        }
        n = min_i64(n * 10 + (value.p[i] - '0'), INT64_C(1) << 32); // enough to be out of range
    }
    if (!digits)
        return err_field(e, name, -1, "must be a whole number from 1 to %d", QUESTION_LIMIT_MAX);
    if (negative)
        n = 0;
    if (n > QUESTION_LIMIT_MAX)
        return err_field(e, name, -1, "must be from 1 to %d; 0 or less means as many as by default",
                         QUESTION_LIMIT_MAX);
    q->limit = n;
    return 0;
}

int question_parse_last_event_id(struct question *q, const char *name, struct str value,
                                 struct err *e)
{
    struct position p;
    (void)name;
    if (position_parse(&p, value, e) != 0)
        return -1;
    position_clear(&p);
    q->last_event_id = question_text(value);
    return 0;
}
