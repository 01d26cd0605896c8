// SPDX-License-Identifier: Apache-2.0
// Which metrics of the table, which series and which of their variants a selector asks for. Pure.
#ifndef STREAMLENS_PROMETHEUS_SELECTION_H
#define STREAMLENS_PROMETHEUS_SELECTION_H

#include "metrics-api/prometheus/metric.h"
#include "metrics-api/promql/source.h"

// By its name, its fixed label if it has one, and labels that it does not have.
bool selection_metric(const struct promql_select *s, const struct metric *m);
// By the labels that every series has, in their order.
bool selection_series(const struct promql_select *s, const struct str values[METRIC_LABELS]);
// Of a metric that is selected, by its own label where that is not fixed.
bool selection_variant(const struct promql_select *s, const struct metric *m, struct str label);
// Whether anything is asked of the label at all.
bool selection_asks(const struct promql_select *s, struct str label);
// The one value that `label` must have; p NULL where several may do.
struct str selection_only(const struct promql_select *s, struct str label);

#endif
