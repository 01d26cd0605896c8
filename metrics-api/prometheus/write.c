// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/write.h"

#include "common/core/utf8.h"
#include "metrics-api/prometheus/metric.h"
#include "metrics-api/promql/literal.h"

#define TRUNCATED STR_LIT("results truncated due to limit")

// --- values ---

void prom_write_value(double v, struct buf *out)
{
    literal_print_sample(v, out);
}

void prom_write_time(int64_t t_ms, struct buf *out)
{
    char text[24], *end = text + sizeof(text), *at = end;
    uint64_t ms = t_ms < 0 ? 0 - (uint64_t)t_ms : (uint64_t)t_ms;
    uint64_t whole = ms / 1000, fraction = ms % 1000;
    if (fraction > 0) {
        for (int i = 0; i < 3; i++, fraction /= 10)
            *--at = (char)('0' + fraction % 10);
        *--at = '.';
    }
    do {
        *--at = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole > 0);
    if (t_ms < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(end - at));
}

// Bytes that are no UTF-8 become U+FFFD each.
static void add_text(struct str s, struct buf *out)
{
    struct buf clean = {0};
    size_t kept = 0;
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        if (step == 0) {
            buf_add(&clean, s.p + kept, i - kept);
            buf_adds(&clean, "\xef\xbf\xbd");
            kept = i + 1;
        }
        i += step ? step : 1;
    }
    if (kept == 0) {
        buf_add_json_str(out, s);
        return;
    }
    buf_add(&clean, s.p + kept, s.n - kept);
    buf_add_json_str(out, (struct str){clean.p, clean.n});
    buf_free(&clean);
}

static void add_labels(struct labels l, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < l.n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_text(l.v[i].name, out);
        buf_addc(out, ':');
        add_text(l.v[i].value, out);
    }
    buf_addc(out, '}');
}

static void add_point(int64_t t_ms, double v, struct buf *out)
{
    buf_addc(out, '[');
    prom_write_time(t_ms, out);
    buf_adds(out, ",\"");
    prom_write_value(v, out);
    buf_adds(out, "\"]");
}

// --- the whole ---

static void begin(struct buf *out)
{
    buf_adds(out, "{\"status\":\"success\",\"data\":");
}

static void add_list(const char *name, const struct str *texts, size_t n, bool truncated,
                     struct buf *out)
{
    if (n == 0 && !truncated)
        return;
    buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_text(texts[i], out);
    }
    if (truncated) {
        if (n > 0)
            buf_addc(out, ',');
        add_text(TRUNCATED, out);
    }
    buf_addc(out, ']');
}

static void end(bool truncated, struct buf *out)
{
    add_list("warnings", NULL, 0, truncated, out);
    buf_addc(out, '}');
}

static size_t limited(size_t n, int64_t limit)
{
    return limit > 0 && (uint64_t)limit < n ? (size_t)limit : n;
}

static void add_series(const struct promql_points *s, enum promql_type type, struct buf *out)
{
    buf_adds(out, "{\"metric\":");
    add_labels(s->labels, out);
    if (type == PROMQL_VECTOR) {
        buf_adds(out, ",\"value\":");
        add_point(s->t_ms[0], s->v[0], out);
    } else {
        buf_adds(out, ",\"values\":[");
        for (size_t i = 0; i < s->n; i++) {
            if (i > 0)
                buf_addc(out, ',');
            add_point(s->t_ms[i], s->v[i], out);
        }
        buf_addc(out, ']');
    }
    buf_addc(out, '}');
}

// What is beyond the bytes allowed is noticed a series later: out is that much longer meanwhile.
static int add_vector(const struct promql_result *r, size_t n, size_t max_bytes, struct buf *out)
{
    size_t before = out->n;
    buf_addc(out, '[');
    for (size_t i = 0; i < n && out->n - before <= max_bytes; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_series(&r->series[i], r->type, out);
    }
    buf_addc(out, ']');
    return out->n - before <= max_bytes ? 0 : -1;
}

static int add_result(const struct promql_result *r, int64_t time_ms, size_t n, size_t max_bytes,
                      struct buf *out)
{
    switch (r->type) {
    case PROMQL_SCALAR:
        add_point(r->series[0].t_ms[0], r->series[0].v[0], out);
        return 0;
    case PROMQL_STRING:
        buf_addc(out, '[');
        prom_write_time(time_ms, out);
        buf_addc(out, ',');
        add_text(r->string, out);
        buf_addc(out, ']');
        return 0;
    case PROMQL_VECTOR:
    case PROMQL_MATRIX:
        return add_vector(r, n, max_bytes, out);
    case PROMQL_NONE_TYPE:
        break;
    }
    abort(); // no result has it
}

int prom_write_result(const struct promql_result *r, int64_t time_ms, int64_t limit,
                      size_t max_bytes, struct buf *out)
{
    static const char *const names[] = {[PROMQL_SCALAR] = "scalar",
                                        [PROMQL_VECTOR] = "vector",
                                        [PROMQL_MATRIX] = "matrix",
                                        [PROMQL_STRING] = "string"};
    size_t before = out->n, n = limited(r->n, limit);
    begin(out);
    buf_addf(out, "{\"resultType\":\"%s\",\"result\":", names[r->type]);
    int rc = add_result(r, time_ms, n, max_bytes, out);
    buf_addc(out, '}');
    add_list("warnings", r->warnings, r->warning_count, n < r->n, out);
    add_list("infos", r->infos, r->info_count, false, out);
    buf_addc(out, '}');
    if (rc == 0 && out->n - before <= max_bytes)
        return 0;
    out->n = before;
    return -1;
}

void prom_write_names(const struct str *names, size_t n, int64_t limit, struct buf *out)
{
    begin(out);
    buf_addc(out, '[');
    for (size_t i = 0; i < limited(n, limit); i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_text(names[i], out);
    }
    buf_addc(out, ']');
    end(limited(n, limit) < n, out);
}

int prom_write_series(const struct labels *series, size_t n, int64_t limit, size_t max_bytes,
                      struct buf *out)
{
    size_t before = out->n;
    begin(out);
    buf_addc(out, '[');
    for (size_t i = 0; i < limited(n, limit) && out->n - before <= max_bytes; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_labels(series[i], out);
    }
    buf_addc(out, ']');
    end(limited(n, limit) < n, out);
    if (out->n - before <= max_bytes)
        return 0;
    out->n = before;
    return -1;
}

// --- what the table tells ---

static bool is_first_of_family(size_t i)
{
    size_t first = 0;
    while (strcmp(metrics[first].family, metrics[i].family) != 0)
        first++;
    return first == i;
}

// Whether it is the family's name, or that of samples of it.
static bool has_metric(const char *family, const char *metric)
{
    if (strcmp(family, metric) == 0)
        return true;
    for (size_t i = 0; i < metric_count; i++)
        if (strcmp(metrics[i].family, family) == 0 && strcmp(metrics[i].name, metric) == 0)
            return true;
    return false;
}

void prom_write_metadata(const char *metric, int64_t limit, struct buf *out)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    int64_t count = 0;
    begin(out);
    buf_addc(out, '{');
    for (size_t i = 0; i < metric_count && (limit == 0 || count < limit); i++) {
        const struct metric *m = &metrics[i];
        if (!is_first_of_family(i) || (metric && !has_metric(m->family, metric)))
            continue;
        if (count++ > 0)
            buf_addc(out, ',');
        add_text(str_of(m->family), out);
        buf_addf(out, ":[{\"type\":\"%s\",\"unit\":", types[m->type]);
        add_text(str_of(m->unit), out);
        buf_adds(out, ",\"help\":");
        add_text(str_of(m->help), out);
        buf_adds(out, "}]");
    }
    buf_addc(out, '}');
    end(false, out);
}

// Grafana takes whoever names `features` for another product than Prometheus.
void prom_write_buildinfo(const char *version, const char *revision, struct buf *out)
{
    begin(out);
    buf_adds(out, "{\"version\":");
    add_text(str_of(version), out);
    buf_adds(out, ",\"revision\":");
    add_text(str_of(revision), out);
    buf_adds(out, ",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}");
    end(false, out);
}

// --- what there is none of ---

void prom_write_empty_groups(struct buf *out)
{
    begin(out);
    buf_adds(out, "{\"groups\":[]}");
    end(false, out);
}

void prom_write_empty_alerts(struct buf *out)
{
    begin(out);
    buf_adds(out, "{\"alerts\":[]}");
    end(false, out);
}

void prom_write_empty_list(struct buf *out)
{
    begin(out);
    buf_adds(out, "[]");
    end(false, out);
}

// --- errors ---

static const struct {
    const char *name;
    int status;
} errors[] = {
    [PROM_BAD_DATA] = {"bad_data", 400},   [PROM_EXECUTION] = {"execution", 422},
    [PROM_TIMEOUT] = {"timeout", 503},     [PROM_UNAVAILABLE] = {"unavailable", 503},
    [PROM_NOT_FOUND] = {"not_found", 404}, [PROM_UNAUTHORIZED] = {"unauthorized", 401},
    [PROM_FORBIDDEN] = {"forbidden", 403}, [PROM_INTERNAL] = {"internal", 500},
};

int prom_error_status(enum prom_error type)
{
    return errors[type].status;
}

void prom_write_error(enum prom_error type, const char *text, struct buf *out)
{
    buf_addf(out, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", errors[type].name);
    add_text(str_of(text), out);
    buf_addc(out, '}');
}
