// SPDX-License-Identifier: Apache-2.0
// METRICS.md: what people read of the table.
#include "metrics-api/prometheus/metric.h"

#define COLUMN_TEXT(name) #name,
static const char *const sum_columns[FACTS_SUM_COLUMNS] = {FACT_SUMS(COLUMN_TEXT) "latency_max_us",
                                                           "ttft_max_us"};
#undef COLUMN_TEXT
#define COLUMN_TEXT(name) #name "_pusd",
static const char *const cost_columns[FACTS_COST_COLUMNS] = {FACT_COSTS(COLUMN_TEXT) "cost_pusd",
                                                             "reported_cost_pusd"};
#undef COLUMN_TEXT

// clang-format off
static const char head[] =
    "# Metrics\n"
    "\n"
    "What `/api/v1` of metrics-api serves, for Grafana's Prometheus source and whoever speaks PromQL.\n"
    "This page is generated from the table in `metric.c`: change it there. [README.md](README.md#samples)\n"
    "tells how a window becomes a sample, and what a rate of them is.\n"
    "\n"
    "## Which for what\n"
    "\n"
    "- **A curve**: the rate of a counter, in Grafana over `$__rate_interval` with 60 s as the source's.\n"
    "  `sum by (model) (rate(llm_requests_total[$__rate_interval]))`\n"
    "- **A share**: `sum(rate(llm_errors_total[5m])) / sum(rate(llm_responses_total[5m]))`\n"
    "- **A percentile** of any group, to 1 %, from merged histograms: `histogram_quantile(0.95,\n"
    "  sum by (le, model) (rate(gen_ai_client_operation_duration_seconds_bucket[5m])))`\n"
    "- **An average**: `sum(rate(gen_ai_client_operation_duration_seconds_sum[5m])) /\n"
    "  sum(rate(gen_ai_client_operation_duration_seconds_count[5m]))`\n"
    "- **A sum that is exact** (`increase` extrapolates): gauges of minutes. At a whole minute,\n"
    "  `sum by (tenant_id) (sum_over_time(llm_minute_estimated_cost_usd[1h]))` is that of the hour before.\n"
    "- **What is open**: `sum(sum_over_time(llm_minute_in_flight[10m]))`\n"
    "- **A maximum**: `max by (model) (max_over_time(llm_minute_max_latency_seconds[1h]))`\n"
    "- **What a million tokens cost**, by class: `1e6 * sum by (class) (rate(llm_cost_usd_total[1h])) /\n"
    "  sum by (class) (rate(llm_tokens_total[1h]))`\n"
    "\n"
    "## Labels of all\n"
    "\n"
    "| label | what |\n"
    "|---|---|\n"
    "| `tenant_id` `route` `model` | the series', as events name them; `__other__` beyond the cap of series |\n"
    "| `gen_ai_request_model` | the model again, as dashboards for OpenTelemetry's metrics call it |\n"
    "| `service_name` | the route again, likewise |\n"
    "\n"
    "## Table\n"
    "\n"
    "`llm_minute_…` is of the minute that ends at the sample; all others count from 00:00 UTC on. `of`: the\n"
    "columns ([sql](../../sql/README.md#facts)) that it is made of. What is told once is of the rows below, too.\n"
    "\n"
    "| metric | type | label | of | what |\n"
    "|---|---|---|---|---|\n";
// clang-format on

static const char *type_name(enum metric_type type)
{
    return type == METRIC_COUNTER ? "counter" : type == METRIC_GAUGE ? "gauge" : "histogram";
}

static void add_columns(struct buf *out, const struct metric *m)
{
    const char *const *columns = m->group == FACTS_COSTS ? cost_columns : sum_columns;
    size_t n = m->group == FACTS_COSTS ? FACTS_COST_COLUMNS : FACTS_SUM_COLUMNS;
    const char *between = "";
    for (size_t i = 0; i < n; i++)
        if (m->plus >> i & 1) {
            buf_addf(out, "%s`%s`", between, columns[i]);
            between = " + ";
        }
    for (size_t i = 0; i < n; i++)
        if (m->minus >> i & 1)
            buf_addf(out, " − `%s`", columns[i]);
}

static void add_source(struct buf *out, const struct metric *m)
{
    switch (m->source) {
    case METRIC_COLUMNS:
        add_columns(out, m);
        break;
    case METRIC_ERRORS:
        buf_adds(out, "`error_classes`");
        break;
    case METRIC_REASONS:
        buf_adds(out, "`finish_reasons`");
        break;
    case METRIC_BUCKETS:
        buf_adds(out, m->group == FACTS_LATENCY ? "`latency_hdr`" : "`ttft_hdr`");
        break;
    }
    if (m->divisor != 1)
        buf_adds(out, m->divisor == 1000000 ? ", in s" : ", in USD");
}

static void add_label(struct buf *out, const struct metric *m)
{
    if (m->label)
        buf_addf(out, "`%s`", m->label);
    if (m->value)
        buf_addf(out, " = `%s`", m->value);
}

static void add_bounds(struct buf *out, enum facts_group group)
{
    const struct metric_bounds *b = metric_bounds(group);
    for (size_t i = 0; i <= b->n; i++)
        buf_addf(out, "%s`%s`", i ? " " : "", b->le[i]);
}

void metric_reference(struct buf *out)
{
    buf_adds(out, head);
    for (const struct metric *m = metrics; m < metrics + metric_count; m++) {
        buf_addf(out, "| `%s` | %s | ", m->name, type_name(m->type));
        add_label(out, m);
        buf_adds(out, " | ");
        add_source(out, m);
        bool first = m == metrics || strcmp(m[-1].family, m->family) != 0;
        buf_addf(out, " | %s |\n", first ? m->help : "");
    }
    buf_adds(out, "\n## Buckets\n\n`le` of latency: ");
    add_bounds(out, FACTS_LATENCY);
    buf_adds(out, "; of time to first token: ");
    add_bounds(out, FACTS_TTFT);
    buf_adds(out, ".\nA bucket has all values that are not above `le`, and of those that are so "
                  "by less than 1 % maybe some:\nit is made of histograms that tell no more.\n");
}
