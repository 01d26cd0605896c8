// SPDX-License-Identifier: Apache-2.0
// What each endpoint takes is a table. Values are judged as they come, so where several are wrong
// another may be told than Prometheus would tell.
#include "metrics-api/prometheus/request.h"

#include "common/core/timeunit.h"
#include "metrics-api/promql/labels.h"
#include "metrics-api/promql/literal.h"

#include <math.h>

#define SHOWN_BYTES 80 // of a value, in a message
#define SHOWN_MAX (4 * SHOWN_BYTES + 3)

// --- values: 0, or -1 with Prometheus' text, which does not name the parameter ---

// As Go's %q writes it.
static const char *shown(struct str value, char out[SHOWN_MAX])
{
    struct buf quoted = {0};
    quoted_print((struct str){value.p, value.n < SHOWN_BYTES ? value.n : SHOWN_BYTES}, &quoted);
    memcpy(out, quoted.p, quoted.n);
    out[quoted.n] = '\0';
    buf_free(&quoted);
    return out;
}

static bool number_time(struct str text, int64_t *ms)
{
    double v, whole;
    if (!literal_float(text, &v) || !isfinite(v))
        return false;
    double fraction = modf(v, &whole);
    if (fabs(whole) >= (double)(PROM_TIME_MAX_MS / 1000))
        *ms = v < 0 ? -PROM_TIME_MAX_MS : PROM_TIME_MAX_MS;
    else
        *ms = (int64_t)whole * 1000 + (int64_t)round(fraction * 1000);
    return true;
}

// What clients write for "from the beginning" and "to the end".
static bool extreme_time(struct str text, int64_t *ms)
{
    bool first = str_eq(text, STR_LIT("-292273086-05-16T16:47:06Z"));
    *ms = first ? -PROM_TIME_MAX_MS : PROM_TIME_MAX_MS;
    return first || str_eq(text, STR_LIT("292277025-08-18T07:12:54.999999999Z"));
}

static int parse_time(struct str text, int64_t *ms, struct err *e)
{
    char quoted[SHOWN_MAX];
    int64_t us;
    if (number_time(text, ms) || extreme_time(text, ms))
        return 0;
    if (time_parse_rfc3339(text, &us) != 0)
        return err_set(e, "cannot parse %s to a valid timestamp", shown(text, quoted));
    *ms = time_floor_us(us, US_PER_MS) / US_PER_MS;
    return 0;
}

static int parse_duration(struct str text, int64_t *ms, struct err *e)
{
    char quoted[SHOWN_MAX];
    double v;
    if (literal_float(text, &v) && !isnan(v)) {
        double ns = v * 1e9;
        if (fabs(ns) >= 0x1p63)
            return err_set(e, "cannot parse %s to a valid duration. It overflows int64",
                           shown(text, quoted));
        *ms = (int64_t)ns / 1000000;
        return 0;
    }
    if (text.n == 0 || literal_duration_ms(text, ms, e) != 0)
        return err_set(e, "cannot parse %s to a valid duration", shown(text, quoted));
    return 0;
}

// As strconv.Atoi.
static int parse_whole(struct str text, int64_t *value, struct err *e)
{
    char quoted[SHOWN_MAX];
    bool minus = text.n > 0 && text.p[0] == '-';
    size_t at = text.n > 0 && (minus || text.p[0] == '+');
    bool is_number = at < text.n, fits = true;
    for (*value = 0; at < text.n; at++) {
        int digit = text.p[at] - '0';
        is_number = is_number && digit >= 0 && digit <= 9;
        fits = fits && is_number && !__builtin_mul_overflow(*value, 10, value) &&
               !__builtin_add_overflow(*value, minus ? -digit : digit, value);
    }
    if (fits && is_number)
        return 0;
    return err_set(e, "strconv.Atoi: parsing %s: %s", shown(text, quoted),
                   is_number ? "value out of range" : "invalid syntax");
}

static int parse_text(struct str text, char **out, struct err *e)
{
    if (text.n > PROM_QUERY_BYTES_MAX)
        return err_set(e, "longer than %d bytes", PROM_QUERY_BYTES_MAX);
    if (memchr(text.p, '\0', text.n))
        return err_set(e, "a byte of it is NUL");
    char *copy = xmalloc(text.n + 1);
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    free(*out);
    *out = copy;
    return 0;
}

// --- parameters ---

static int blame(const char *name, const struct err *why, struct err *e)
{
    return err_set(e, "invalid parameter \"%s\": %s", name, why->detail);
}

static int take_text(const char *name, struct str value, char **out, struct err *e)
{
    struct err why;
    return parse_text(value, out, &why) == 0 ? 0 : blame(name, &why, e);
}

static int take_query(struct prom_request *r, struct str value, struct err *e)
{
    return take_text("query", value, &r->query, e);
}

static int take_metric(struct prom_request *r, struct str value, struct err *e)
{
    return take_text("metric", value, &r->metric, e);
}

static int take_match(struct prom_request *r, struct str value, struct err *e)
{
    if (r->match_count == PROM_MATCHES_MAX)
        return err_set(e, "invalid parameter \"match[]\": more than %d of them", PROM_MATCHES_MAX);
    if (take_text("match[]", value, &r->matches[r->match_count], e) != 0)
        return -1;
    r->match_count++;
    return 0;
}

static int take_time_of(struct prom_request *r, const char *name, struct str value, int64_t *ms,
                        struct err *e)
{
    struct err why;
    if (parse_time(value, ms, &why) == 0)
        return 0;
    if (r->endpoint == PROM_QUERY_RANGE)
        return blame(name, &why, e);
    // Prometheus names those twice that may be missing.
    return err_set(e, "invalid parameter \"%s\": invalid time value for '%s': %s", name, name,
                   why.detail);
}

static int take_time(struct prom_request *r, struct str value, struct err *e)
{
    return take_time_of(r, "time", value, &r->start_ms, e);
}

static int take_start(struct prom_request *r, struct str value, struct err *e)
{
    return take_time_of(r, "start", value, &r->start_ms, e);
}

static int take_end(struct prom_request *r, struct str value, struct err *e)
{
    return take_time_of(r, "end", value, &r->end_ms, e);
}

static int take_step(struct prom_request *r, struct str value, struct err *e)
{
    struct err why;
    return parse_duration(value, &r->step_ms, &why) == 0 ? 0 : blame("step", &why, e);
}

static int take_timeout(struct prom_request *r, struct str value, struct err *e)
{
    struct err why;
    if (parse_duration(value, &r->timeout_ms, &why) != 0)
        return blame("timeout", &why, e);
    r->timeout_ms = max_i64(r->timeout_ms, 1); // what has passed already ends the query at once
    return 0;
}

static int take_lookback(struct prom_request *r, struct str value, struct err *e)
{
    struct err why;
    if (parse_duration(value, &r->lookback_ms, &why) != 0)
        return err_set(e, "error parsing lookback delta duration: %s", why.detail);
    r->lookback_ms = max_i64(r->lookback_ms, 0);
    return 0;
}

static int take_limit(struct prom_request *r, struct str value, struct err *e)
{
    struct err why;
    if (parse_whole(value, &r->limit, &why) == 0 && r->limit < 0)
        err_set(&why, "limit must be non-negative");
    else if (parse_whole(value, &r->limit, &why) == 0)
        return 0;
    return blame("limit", &why, e);
}

static int take_metadata_limit(struct prom_request *r, struct str value, struct err *e)
{
    struct err unused;
    if (parse_whole(value, &r->limit, &unused) != 0)
        return err_set(e, "limit must be a number");
    r->limit = max_i64(r->limit, 0);
    return 0;
}

// Each metric has one description, so there is nothing to leave out.
static int take_limit_per_metric(struct prom_request *r, struct str value, struct err *e)
{
    (void)r;
    int64_t unused_limit;
    struct err unused;
    if (parse_whole(value, &unused_limit, &unused) != 0)
        return err_set(e, "limit_per_metric must be a number");
    return 0;
}

static int take_open(struct prom_request *r, struct str value, struct err *e)
{
    char quoted[SHOWN_MAX];
    r->open = str_eq(value, STR_LIT("true"));
    if (r->open || str_eq(value, STR_LIT("false")))
        return 0;
    return err_set(e, "invalid parameter \"open_windows\": true or false is wanted, not %s",
                   shown(value, quoted));
}

enum {
    INSTANT = 1 << PROM_QUERY,
    RANGE = 1 << PROM_QUERY_RANGE,
    QUERIES = INSTANT | RANGE,
    LISTS = 1 << PROM_SERIES | 1 << PROM_LABELS | 1 << PROM_LABEL_VALUES,
    METADATA = 1 << PROM_METADATA,
};

// Those that are not here are ignored; so are exemplars' times, which Grafana sends in ms.
static const struct parameter {
    const char *name;
    unsigned endpoints;
    int (*take)(struct prom_request *r, struct str value, struct err *e);
} parameters[] = {
    {"query", QUERIES | 1 << PROM_QUERY_EXEMPLARS, take_query},
    {"time", INSTANT, take_time},
    {"start", RANGE | LISTS, take_start},
    {"end", RANGE | LISTS, take_end},
    {"step", RANGE, take_step},
    {"timeout", QUERIES, take_timeout},
    {"lookback_delta", QUERIES, take_lookback},
    {"match[]", LISTS, take_match},
    {"limit", QUERIES | LISTS, take_limit},
    {"limit", METADATA, take_metadata_limit},
    {"limit_per_metric", METADATA, take_limit_per_metric},
    {"metric", METADATA, take_metric},
    {"open_windows", QUERIES | LISTS, take_open},
};

// Of those that the endpoint takes; ARRAY_LEN(parameters) where it takes none of that name.
static size_t find(const struct prom_request *r, struct str name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(parameters) && ((parameters[i].endpoints & 1U << r->endpoint) == 0 ||
                                         !str_eq(name, str_of(parameters[i].name))))
        i++;
    return i;
}

static bool is_given(const struct prom_request *r, const char *name)
{
    return (r->given & 1U << find(r, str_of(name))) != 0;
}

int prom_request_param(struct prom_request *r, struct str name, struct str value, struct err *e)
{
    if (r->parameter_count == PROM_PARAMETERS_MAX)
        return err_set(e, "more than %d parameters", PROM_PARAMETERS_MAX);
    r->parameter_count++;
    size_t i = find(r, name);
    if (i == ARRAY_LEN(parameters))
        return 0;
    const struct parameter *p = &parameters[i];
    bool again = (r->seen & 1U << i) != 0 && p->take != take_match;
    r->seen |= 1U << i;
    if (again || value.n == 0)
        return 0;
    r->given |= 1U << i;
    return p->take(r, value, e);
}

int prom_request_label(struct prom_request *r, struct str name, struct err *e)
{
    char quoted[SHOWN_MAX];
    struct err unused;
    if (!label_name_valid(name) || parse_text(name, &r->label, &unused) != 0)
        return err_set(e, "invalid label name: %s", shown(name, quoted));
    return 0;
}

// --- the whole ---

static int check_query(const struct prom_request *r, struct err *e)
{
    if (r->query)
        return 0;
    return err_set(e, "invalid parameter \"query\": unknown position: parse error: no expression "
                      "found in input");
}

static int check_order(const struct prom_request *r, struct err *e)
{
    if (r->start_ms <= r->end_ms)
        return 0;
    return err_set(e, "invalid parameter \"end\": end timestamp must not be before start time");
}

static int finish_instant(struct prom_request *r, int64_t now_ms, struct err *e)
{
    if (!is_given(r, "time"))
        r->start_ms = now_ms;
    r->end_ms = r->start_ms;
    return check_query(r, e);
}

static int finish_range(struct prom_request *r, struct err *e)
{
    const char *missing = !is_given(r, "start") ? "start" : is_given(r, "end") ? NULL : "end";
    if (missing)
        return err_set(e, "invalid parameter \"%s\": cannot parse \"\" to a valid timestamp",
                       missing);
    if (check_order(r, e) != 0)
        return -1;
    if (!is_given(r, "step"))
        return err_set(e, "invalid parameter \"step\": cannot parse \"\" to a valid duration");
    if (r->step_ms <= 0)
        return err_set(e, "invalid parameter \"step\": zero or negative query resolution step "
                          "widths are not accepted. Try a positive integer");
    if ((r->end_ms - r->start_ms) / r->step_ms > PROM_STEPS_MAX)
        return err_set(e, "exceeded maximum resolution of 11,000 points per timeseries. Try "
                          "decreasing the query resolution (?step=XX)");
    return check_query(r, e);
}

static int finish_list(struct prom_request *r, int64_t now_ms, struct err *e)
{
    if (r->endpoint == PROM_LABEL_VALUES && !r->label)
        return err_set(e, "invalid label name: \"\"");
    if (r->endpoint == PROM_SERIES && r->match_count == 0)
        return err_set(e, "no match[] parameter provided");
    bool has_start = is_given(r, "start");
    if (!is_given(r, "end"))
        r->end_ms = has_start ? max_i64(now_ms, r->start_ms) : now_ms;
    if (!has_start)
        r->start_ms = r->end_ms - PROM_SPAN_DEFAULT_S * MS_PER_S;
    return check_order(r, e);
}

int prom_request_finish(struct prom_request *r, int64_t now_ms, struct err *e)
{
    switch (r->endpoint) {
    case PROM_QUERY:
        return finish_instant(r, now_ms, e);
    case PROM_QUERY_RANGE:
        return finish_range(r, e);
    case PROM_SERIES:
    case PROM_LABELS:
    case PROM_LABEL_VALUES:
        return finish_list(r, now_ms, e);
    case PROM_METADATA:
    case PROM_QUERY_EXEMPLARS:
    case PROM_RULES:
    case PROM_ALERTS:
    case PROM_BUILDINFO:
        break;
    }
    return 0;
}

void prom_request_clear(struct prom_request *r)
{
    free(r->query);
    free(r->label);
    free(r->metric);
    for (size_t i = 0; i < r->match_count; i++)
        free(r->matches[i]);
    *r = (struct prom_request){.endpoint = r->endpoint};
}
