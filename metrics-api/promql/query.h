// SPDX-License-Identifier: Apache-2.0
// A parsed query, as the parser leaves it and the evaluator reads it.
#ifndef STREAMLENS_PROMQL_QUERY_H
#define STREAMLENS_PROMQL_QUERY_H

#include "metrics-api/promql/ast.h"
#include "metrics-api/promql/promql.h"

struct promql_query {
    struct arena arena;
    struct str text;
    struct node *root;
    struct regex **regexes; // owned, of the matchers
    size_t regex_count, regex_cap;
    // Every selector, and the first one of each select.
    struct node_selector **selectors;
    size_t selector_count, selector_cap;
    size_t select_count;
    struct promql_select *selects;
    struct promql_quantile *quantiles;
    size_t quantile_count;
};

// Numbers the selects and finds the quantiles, once the tree stands.
void query_bind(struct promql_query *q);
// "1:5", the line and column of an offset.
void query_print_position(struct str text, size_t at, struct buf *out);

#endif
