// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/query.h"

#include "common/core/event.h"

typedef int (*parse_fn)(struct query *q, const char *name, struct str value, struct err *e);

static char *text_of(struct str s)
{
    char *text = xmalloc(s.n + 1);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

static int parse_name(char **into, const char *name, struct str value, struct err *e)
{
    // Nothing else can be stored, and what reaches SQL as a C string holds no NUL.
    if (event_check_name(name, value, e) != 0)
        return -1;
    *into = text_of(value);
    return 0;
}

static int parse_tenant(struct query *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->tenant_id, name, value, e);
}

static int parse_route(struct query *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->route, name, value, e);
}

static int parse_model(struct query *q, const char *name, struct str value, struct err *e)
{
    return parse_name(&q->model, name, value, e);
}

static int parse_limit(struct query *q, const char *name, struct str value, struct err *e)
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
        return err_field(e, name, -1, "must be a whole number from 1 to %d", QUERY_LIMIT_MAX);
    if (negative)
        n = 0;
    if (n > QUERY_LIMIT_MAX)
        return err_field(e, name, -1, "must be from 1 to %d; 0 or less means %d", QUERY_LIMIT_MAX,
                         QUERY_LIMIT_DEFAULT);
    q->limit = n;
    return 0;
}

static const struct param {
    const char *name;
    parse_fn parse;
} params[] = {
    {"tenant_id", parse_tenant},
    {"route", parse_route},
    {"model", parse_model},
    {"limit", parse_limit},
};

int query_param(struct query *q, struct str name, struct str value, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        const struct param *p = &params[i];
        if (!str_eq(name, str_of(p->name)))
            continue;
        // Two tenants in one question would leave it to chance whose rows are shown.
        if (q->given & (1u << i))
            return err_field(e, p->name, -1, "must be given once");
        q->given |= 1u << i;
        return value.n == 0 ? 0 : p->parse(q, p->name, value, e);
    }
    return 0;
}

enum query_verdict query_finish(struct query *q, const struct query_rights *rights, struct err *e)
{
    if (!q->tenant_id && rights->tenant.p)
        q->tenant_id = text_of(rights->tenant);
    if (!q->tenant_id) {
        err_field(e, "tenant_id", -1, "is required: whose metrics to show");
        return QUERY_WRONG;
    }
    if (!rights->any_tenant && !str_eq(str_of(q->tenant_id), rights->tenant)) {
        err_field(e, "tenant_id", -1,
                  "must be left out, or be the tenant that the credential was given to");
        return QUERY_OTHER_TENANT;
    }
    if (q->limit <= 0)
        q->limit = QUERY_LIMIT_DEFAULT;
    return QUERY_FINE;
}

void query_clear(struct query *q)
{
    free(q->tenant_id);
    free(q->route);
    free(q->model);
    *q = (struct query){0};
}
