// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/matcher.h"

bool matcher_matches(const struct matcher *m, struct str value)
{
    switch (m->op) {
    case MATCHER_EQUAL:
        return str_eq(m->value, value);
    case MATCHER_NOT_EQUAL:
        return !str_eq(m->value, value);
    case MATCHER_REGEX:
        return regex_matches(m->regex, value.p, value.n);
    case MATCHER_NOT_REGEX:
        break;
    }
    return !regex_matches(m->regex, value.p, value.n);
}

bool matchers_match(const struct matcher *list, size_t n, struct labels l)
{
    for (size_t i = 0; i < n; i++)
        if (!matcher_matches(&list[i], labels_get(l, list[i].name)))
            return false;
    return true;
}
