// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/selection.h"

static bool is_common(struct str name)
{
    return str_has(metric_labels, METRIC_LABELS, name);
}

bool selection_metric(const struct promql_select *s, const struct metric *m)
{
    struct str own = str_of(m->label);
    for (size_t i = 0; i < s->matcher_count; i++) {
        const struct matcher *t = &s->matchers[i];
        struct str value = STR_LIT("");
        if (is_common(t->name) || (own.p && !m->value && str_eq(t->name, own)))
            continue;
        if (str_eq(t->name, LABELS_NAME))
            value = str_of(m->name);
        else if (own.p && str_eq(t->name, own))
            value = str_of(m->value);
        if (!matcher_matches(t, value))
            return false;
    }
    return true;
}

bool selection_series(const struct promql_select *s, const struct str values[METRIC_LABELS])
{
    for (size_t i = 0; i < s->matcher_count; i++)
        for (size_t k = 0; k < METRIC_LABELS; k++)
            if (str_eq(s->matchers[i].name, metric_labels[k]) &&
                !matcher_matches(&s->matchers[i], values[k]))
                return false;
    return true;
}

bool selection_variant(const struct promql_select *s, const struct metric *m, struct str label)
{
    for (size_t i = 0; m->label && i < s->matcher_count; i++)
        if (str_eq(s->matchers[i].name, str_of(m->label)) &&
            !matcher_matches(&s->matchers[i], label))
            return false;
    return true;
}

bool selection_asks(const struct promql_select *s, struct str label)
{
    for (size_t i = 0; i < s->matcher_count; i++)
        if (str_eq(s->matchers[i].name, label))
            return true;
    return false;
}

struct str selection_only(const struct promql_select *s, struct str label)
{
    for (size_t i = 0; i < s->matcher_count; i++)
        if (s->matchers[i].op == MATCHER_EQUAL && s->matchers[i].value.n > 0 &&
            str_eq(s->matchers[i].name, label))
            return s->matchers[i].value;
    return (struct str){NULL, 0};
}
