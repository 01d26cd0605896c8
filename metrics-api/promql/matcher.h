// SPDX-License-Identifier: Apache-2.0
// What a selector asks of a label: name="value", != , =~ and !~. A label that is missing has the
// empty value.
#ifndef STREAMLENS_PROMQL_MATCHER_H
#define STREAMLENS_PROMQL_MATCHER_H

#include "metrics-api/promql/labels.h"
#include "metrics-api/promql/regex.h"

enum matcher_op {
    MATCHER_EQUAL,
    MATCHER_NOT_EQUAL,
    MATCHER_REGEX,
    MATCHER_NOT_REGEX,
};

struct matcher {
    enum matcher_op op;
    struct str name, value;
    struct regex *regex; // of the two that have one; owned by the query
};

bool matcher_matches(const struct matcher *m, struct str value);
bool matchers_match(const struct matcher *list, size_t n, struct labels l);

#endif
