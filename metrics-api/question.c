// SPDX-License-Identifier: Apache-2.0
// Which parameters an endpoint has, and what of a question hangs together. Values are read in
// question_values.c.
#include "metrics-api/question_internal.h"

#define BIT(endpoint) (1u << ENDPOINT_##endpoint)
#define LISTS (BIT(SERIES) | BIT(TENANTS) | BIT(ROUTES) | BIT(MODELS))
#define EVERY                                                                                      \
    (BIT(METRICS) | BIT(SUMMARY) | BIT(TOP) | BIT(HEATMAP) | BIT(COST) | BIT(STREAM) | LISTS)
#define STEPPED (BIT(METRICS) | BIT(HEATMAP))

static const struct parameter {
    const char *name;
    question_parse_fn parse;
    unsigned endpoints;
    bool repeats;
} parameters[PARAM_COUNT] = {
    [PARAM_TENANT_ID] = {"tenant_id", question_parse_tenant, EVERY | BIT(PRICES), false},
    [PARAM_ROUTE] = {"route", question_parse_route, EVERY, true},
    [PARAM_MODEL] = {"model", question_parse_model, EVERY, true},
    [PARAM_PREFIX] = {"prefix", question_parse_prefix, BIT(PRICES) | LISTS, false},
    [PARAM_FROM] = {"from", question_parse_from, EVERY & ~BIT(STREAM), false},
    [PARAM_TO] = {"to", question_parse_to, EVERY & ~BIT(STREAM), false},
    [PARAM_STEP] = {"step", question_parse_step, STEPPED, false},
    [PARAM_TZ] = {"tz", question_parse_tz, STEPPED, false},
    [PARAM_GROUP_BY] = {"group_by", question_parse_group_by, BIT(METRICS) | BIT(TOP) | BIT(COST),
                        false},
    [PARAM_PERCENTILES] = {"percentiles", question_parse_percentiles,
                           BIT(METRICS) | BIT(SUMMARY) | BIT(TOP), false},
    [PARAM_FIELDS] = {"fields", question_parse_fields,
                      BIT(METRICS) | BIT(SUMMARY) | BIT(TOP) | BIT(STREAM), false},
    [PARAM_FILL] = {"fill", question_parse_fill, BIT(METRICS), false},
    [PARAM_BY] = {"by", question_parse_by, BIT(TOP), false},
    [PARAM_METRIC] = {"metric", question_parse_metric, BIT(HEATMAP), false},
    [PARAM_ORDER] = {"order", question_parse_order, BIT(METRICS), false},
    [PARAM_LIMIT] = {"limit", question_parse_limit,
                     BIT(METRICS) | BIT(TOP) | BIT(COST) | BIT(PRICES) | LISTS, false},
    [PARAM_CURSOR] = {"cursor", question_parse_cursor, BIT(METRICS) | BIT(PRICES) | LISTS, false},
    [PARAM_FORMAT] = {"format", question_parse_format,
                      BIT(METRICS) | BIT(TOP) | BIT(COST) | BIT(PRICES), false},
    [PARAM_LAST_EVENT_ID] = {"last_event_id", question_parse_last_event_id, BIT(STREAM), false},
    [PARAM_AT] = {"at", question_parse_at, BIT(PRICES), false},
    [PARAM_NAME] = {"name", question_parse_name, BIT(PRICES), false},
    [PARAM_ASKED] = {"asked", question_parse_asked, BIT(PRICES), false},
};

static struct question_given *given_of(struct question *q)
{
    if (!q->given)
        q->given = xcalloc(1, sizeof(*q->given));
    return q->given;
}

int question_param(struct question *q, struct str name, struct str value, struct err *e)
{
    struct question_given *g = given_of(q);
    if (++g->count > QUESTION_PARAMETERS_MAX)
        return err_set(e, "there are more than %d parameters", QUESTION_PARAMETERS_MAX);
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const struct parameter *p = &parameters[i];
        if ((p->endpoints & (1u << q->endpoint)) == 0 || !str_eq(name, str_of(p->name)))
            continue;
        // Two tenants in one question would leave it to chance whose rows are shown.
        if (!p->repeats && (g->seen & (1u << i)) != 0)
            return err_field(e, p->name, -1, "must be given once");
        g->seen |= 1u << i;
        if (value.n == 0)
            return 0;
        g->valued |= 1u << i;
        return p->parse(q, p->name, value, e);
    }
    return 0;
}

void question_accept(struct question *q, enum render_format format)
{
    if ((parameters[PARAM_FORMAT].endpoints & (1u << q->endpoint)) != 0 &&
        !question_has(q, PARAM_FORMAT))
        q->format = format;
}

// What is computed, and from what.
static int decide_kind(struct question *q, struct err *e)
{
    if (q->endpoint == ENDPOINT_METRICS) {
        if (q->fill != FILL_NONE && q->step_us == 0)
            return err_field(e, "fill", -1, "needs a step: it is steps without rows that it fills");
        q->cells = q->step_us > 0 || question_has(q, PARAM_GROUP_BY);
    } else {
        q->cells = q->endpoint == ENDPOINT_SUMMARY || q->endpoint == ENDPOINT_TOP ||
                   q->endpoint == ENDPOINT_HEATMAP || q->endpoint == ENDPOINT_COST;
    }
    if (q->zone && (q->step_us == 0 || q->step_us % US_PER_DAY != 0))
        return err_field(e, "tz", -1,
                         "needs a step of whole days, as step=1d: shorter ones are cut by UTC");
    if (q->fill != FILL_NONE && question_has(q, PARAM_CURSOR))
        return err_field(e, "fill", -1, "must be none, or left out, together with cursor");
    return 0;
}

static void decide_group_by(struct question *q)
{
    static const unsigned all = GROUP_TENANT | GROUP_ROUTE | GROUP_MODEL;
    static const unsigned by_default[] = {
        [ENDPOINT_METRICS] = all,
        [ENDPOINT_SUMMARY] = 0,
        [ENDPOINT_TOP] = GROUP_MODEL,
        [ENDPOINT_HEATMAP] = 0,
        [ENDPOINT_STREAM] = all,
        [ENDPOINT_SERIES] = all,
        [ENDPOINT_TENANTS] = GROUP_TENANT,
        [ENDPOINT_ROUTES] = GROUP_ROUTE,
        [ENDPOINT_MODELS] = GROUP_MODEL,
        [ENDPOINT_COST] = GROUP_MODEL,
        [ENDPOINT_PRICES] = 0,
    };
    if (!question_has(q, PARAM_GROUP_BY))
        q->group_by = by_default[q->endpoint];
}

static enum question_verdict decide_tenant(struct question *q, const struct question_rights *rights,
                                           struct err *e)
{
    bool named = q->tenant_id != NULL;
    bool all = rights->any_tenant && (named ? strcmp(q->tenant_id, QUESTION_ALL_TENANTS) == 0
                                            : q->endpoint == ENDPOINT_TENANTS);
    if (all) {
        free(q->tenant_id);
        q->tenant_id = NULL;
        q->every_tenant = q->endpoint == ENDPOINT_PRICES;
        return QUESTION_FINE;
    }
    if (!named && rights->tenant.p)
        q->tenant_id = question_text(rights->tenant);
    if (!q->tenant_id && q->endpoint == ENDPOINT_PRICES)
        return QUESTION_FINE;
    if (!q->tenant_id) {
        err_field(e, "tenant_id", -1, "is required: whose metrics to show");
        return QUESTION_WRONG;
    }
    if (!rights->any_tenant && !str_eq(str_of(q->tenant_id), rights->tenant)) {
        err_field(e, "tenant_id", -1,
                  "must be left out, or be the tenant that the credential was given to");
        return QUESTION_OTHER_TENANT;
    }
    return QUESTION_FINE;
}

static int check_all_tenants(const struct question *q, struct err *e)
{
    if (q->tenant_id || q->cells || question_lists(q))
        return 0;
    return err_field(e, "tenant_id", -1,
                     q->endpoint == ENDPOINT_STREAM
                         ? "must be one tenant: changes are not streamed of all at once"
                         : "must be one tenant where rows are shown; for sums over all of them "
                           "add step or group_by");
}

static void decide_limit(struct question *q)
{
    bool ranged = q->cells || question_has(q, PARAM_FROM) || question_has(q, PARAM_TO);
    if (q->limit > 0)
        return;
    if (q->endpoint == ENDPOINT_TOP)
        q->limit = QUESTION_TOP_DEFAULT;
    else if (q->endpoint == ENDPOINT_COST)
        q->limit = QUESTION_COST_DEFAULT;
    else if (q->endpoint == ENDPOINT_METRICS && !ranged)
        q->limit = QUESTION_LIMIT_DEFAULT;
    else
        q->limit = QUESTION_LIMIT_MAX;
}

enum question_verdict question_finish(struct question *q, const struct question_rights *rights,
                                      int64_t now_us, struct err *e)
{
    given_of(q);
    enum question_verdict verdict = decide_tenant(q, rights, e);
    if (verdict != QUESTION_FINE)
        return verdict;
    if (q->endpoint == ENDPOINT_PRICES) {
        decide_limit(q);
        return question_decide_prices(q, now_us, e) == 0 ? QUESTION_FINE : QUESTION_WRONG;
    }
    if (decide_kind(q, e) != 0 || check_all_tenants(q, e) != 0)
        return QUESTION_WRONG;
    decide_group_by(q);
    decide_limit(q);
    // Names go from a to z, a heatmap's columns from the oldest to the newest.
    if (question_lists(q) || q->endpoint == ENDPOINT_HEATMAP)
        q->ascending = true;
    bool later_page = question_has(q, PARAM_CURSOR);
    if ((later_page ? question_take_cursor(q, e) : question_decide_range(q, now_us, e)) != 0)
        return QUESTION_WRONG;
    return question_decide_fields(q, e) == 0 ? QUESTION_FINE : QUESTION_WRONG;
}

static void clear_names(struct question_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
}

void question_clear(struct question *q)
{
    free(q->tenant_id);
    clear_names(&q->routes);
    clear_names(&q->models);
    free(q->prefix);
    free(q->zone);
    free(q->last_event_id);
    free(q->name);
    free(q->asked);
    if (q->given) {
        free(q->given->fields);
        free(q->given->cursor);
        buf_free(&q->given->page);
        free(q->given);
    }
    *q = (struct question){0};
}
