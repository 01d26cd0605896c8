// SPDX-License-Identifier: Apache-2.0
// Prometheus' API on both sides. A digit, and the input is a request to that endpoint,
// "name=value&name=value" (and label=…, of the path): what is taken keeps its bounds, and its query
// selects times whose microseconds an int64 holds; what is refused says why, in UTF-8. A 'w', and
// the input makes a result: what is written of it is JSON, and says the same.
#include "tests/fuzz/fuzz.h"

#include "common/core/utf8.h"
#include "metrics-api/prometheus/write.h"

#include <jansson.h>
#include <math.h>

#define NOW_MS INT64_C(1795344000123)
#define DAY_MS (INT64_C(1000) * PROM_SPAN_DEFAULT_S)
#define MOST (PROM_TIME_MAX_MS + DAY_MS)
#define ENDPOINTS (PROM_BUILDINFO + 1)

static void check_text(struct str s)
{
    FUZZ_CHECK(s.n > 0);
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        FUZZ_CHECK(step > 0);
        i += step;
    }
}

// --- requests ---

static int take(struct prom_request *r, struct str name, struct str value, struct err *e)
{
    bool label = r->endpoint == PROM_LABEL_VALUES && !r->label && str_eq(name, STR_LIT("label"));
    return label ? prom_request_label(r, value, e) : prom_request_param(r, name, value, e);
}

static int ask(struct prom_request *r, struct str text, struct err *e)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '&', text.n);
        struct str pair = {text.p, end ? (size_t)(end - text.p) : text.n};
        const char *equals = pair.n > 0 ? memchr(pair.p, '=', pair.n) : NULL;
        struct str name = {pair.p, equals ? (size_t)(equals - pair.p) : pair.n};
        size_t before = name.n + (equals ? 1 : 0), skip = pair.n + (end ? 1 : 0);
        if (take(r, name, (struct str){pair.p + before, pair.n - before}, e) != 0)
            return -1;
        text = (struct str){text.p + skip, text.n - skip};
    }
    return prom_request_finish(r, NOW_MS, e);
}

static void check_bounds(const struct prom_request *r)
{
    bool query = r->endpoint <= PROM_QUERY_RANGE;
    bool list = r->endpoint >= PROM_SERIES && r->endpoint <= PROM_LABEL_VALUES;
    FUZZ_CHECK(r->start_ms <= r->end_ms && r->start_ms >= -MOST && r->end_ms <= MOST);
    FUZZ_CHECK(r->timeout_ms >= 0 && r->lookback_ms >= 0 && r->limit >= 0);
    FUZZ_CHECK(!query || (r->query && r->query[0] && strlen(r->query) <= PROM_QUERY_BYTES_MAX));
    FUZZ_CHECK(r->match_count <= (list ? PROM_MATCHES_MAX : 0));
    FUZZ_CHECK(r->endpoint != PROM_SERIES || r->match_count > 0);
    FUZZ_CHECK((r->endpoint == PROM_LABEL_VALUES) == (r->label != NULL));
    if (r->endpoint == PROM_QUERY_RANGE)
        FUZZ_CHECK(r->step_ms > 0 && (r->end_ms - r->start_ms) / r->step_ms <= PROM_STEPS_MAX);
    else
        FUZZ_CHECK(r->step_ms == 0 && (r->endpoint != PROM_QUERY || r->start_ms == r->end_ms));
}

static void check_selects(const struct prom_request *r, const char *text)
{
    struct promql_query *q;
    struct err e = {0};
    if (promql_parse(str_of(text), &promql_limits_default, &q, &e) != PROMQL_OK)
        return;
    const struct promql_when when = {.start_ms = r->start_ms,
                                     .end_ms = r->end_ms,
                                     .step_ms = r->step_ms,
                                     .lookback_ms = r->lookback_ms};
    size_t n;
    const struct promql_select *selects = promql_selects(q, &when, &n);
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(selects[i].from_ms > INT64_MIN / 1000 && selects[i].to_ms < INT64_MAX / 1000);
    promql_free(q);
}

static void request(int endpoint, struct str text)
{
    struct prom_request r = {.endpoint = (enum prom_endpoint)endpoint};
    struct err e = {0};
    if (ask(&r, text, &e) != 0) {
        check_text(str_of(e.detail));
    } else {
        check_bounds(&r);
        if (r.query)
            check_selects(&r, r.query);
        for (size_t i = 0; i < r.match_count; i++)
            check_selects(&r, r.matches[i]);
    }
    prom_request_clear(&r);
}

// --- results ---

#define SERIES 6
#define POINTS 5

// What the input has; then nothing but zeros.
static struct str rest;

static uint8_t take_byte(void)
{
    if (rest.n == 0)
        return 0;
    rest.n--;
    return (uint8_t)*rest.p++;
}

static struct str take_str(void)
{
    size_t n = take_byte() % 12;
    struct str s = {rest.p, n < rest.n ? n : rest.n};
    rest.p += s.n;
    rest.n -= s.n;
    return s;
}

static uint64_t take_bits(void)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | take_byte();
    return bits;
}

static struct label labels[SERIES][2];
static int64_t times[SERIES][POINTS];
static double values[SERIES][POINTS];
static struct promql_points series[SERIES];

static struct promql_result make_result(struct str notes[2])
{
    static const enum promql_type types[] = {PROMQL_SCALAR, PROMQL_VECTOR, PROMQL_MATRIX,
                                             PROMQL_STRING};
    struct promql_result r = {.type = types[take_byte() % 4], .series = series};
    r.n = r.type == PROMQL_SCALAR ? 1 : r.type == PROMQL_STRING ? 0 : take_byte() % (SERIES + 1u);
    for (size_t i = 0; i < r.n; i++) {
        // jansson takes no NUL in a key.
        labels[i][0] = (struct label){STR_LIT("__name__"), take_str()};
        labels[i][1] = (struct label){STR_LIT("b\xff"), take_str()};
        size_t n = r.type == PROMQL_MATRIX ? take_byte() % POINTS + 1u : 1;
        for (size_t j = 0; j < n; j++) {
            uint64_t bits = take_bits();
            times[i][j] = (int64_t)take_bits() / 1000;
            memcpy(&values[i][j], &bits, sizeof(bits));
        }
        series[i] = (struct promql_points){{labels[i], take_byte() % 3}, times[i], values[i], n};
    }
    notes[0] = take_str();
    notes[1] = take_str();
    r.string = take_str();
    r.warnings = notes;
    r.infos = notes + 1;
    r.warning_count = take_byte() % 2;
    r.info_count = take_byte() % 2;
    return r;
}

static void check_point(const json_t *point, int64_t t_ms, double v)
{
    const json_t *t = json_array_get(point, 0);
    const char *text = json_string_value(json_array_get(point, 1));
    FUZZ_CHECK(json_array_size(point) == 2 && json_is_number(t) && text);
    FUZZ_CHECK(fabs(json_number_value(t) - (double)t_ms / 1000) <= fabs((double)t_ms) * 1e-15);
    double read = strtod(text, NULL);
    FUZZ_CHECK(isnan(v) ? isnan(read) : memcmp(&read, &v, sizeof(v)) == 0);
}

static void check_series(const json_t *one, const struct promql_points *p, enum promql_type type)
{
    FUZZ_CHECK(json_object_size(json_object_get(one, "metric")) == p->labels.n);
    if (type == PROMQL_VECTOR) {
        check_point(json_object_get(one, "value"), p->t_ms[0], p->v[0]);
        return;
    }
    const json_t *points = json_object_get(one, "values");
    FUZZ_CHECK(json_array_size(points) == p->n);
    for (size_t i = 0; i < p->n; i++)
        check_point(json_array_get(points, i), p->t_ms[i], p->v[i]);
}

static void check_written(const struct promql_result *r, size_t limit, const struct buf *out)
{
    json_t *root = json_loadb(out->p, out->n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK(root);
    const json_t *result = json_object_get(json_object_get(root, "data"), "result");
    size_t n = limit > 0 && limit < r->n ? limit : r->n;
    size_t warnings = json_array_size(json_object_get(root, "warnings"));
    FUZZ_CHECK(warnings == r->warning_count + (n < r->n));
    FUZZ_CHECK(json_array_size(json_object_get(root, "infos")) == r->info_count);
    if (r->type == PROMQL_SCALAR)
        check_point(result, times[0][0], values[0][0]);
    else if (r->type == PROMQL_STRING)
        FUZZ_CHECK(json_is_string(json_array_get(result, 1)));
    else
        FUZZ_CHECK(json_array_size(result) == n);
    for (size_t i = 0; r->type != PROMQL_SCALAR && i < n; i++)
        check_series(json_array_get(result, i), &series[i], r->type);
    json_decref(root);
}

static void write_result(struct str text)
{
    rest = text;
    size_t limit = take_byte() % 8, max_bytes = take_byte() * 16u;
    struct str notes[2];
    struct promql_result r = make_result(notes);
    struct buf out = {0};
    FUZZ_CHECK(prom_write_result(&r, NOW_MS, (int64_t)limit, SIZE_MAX, &out) == 0);
    check_written(&r, limit, &out);
    size_t n = out.n;
    buf_clear(&out);
    int rc = prom_write_result(&r, NOW_MS, (int64_t)limit, max_bytes, &out);
    FUZZ_CHECK(rc == (n <= max_bytes ? 0 : -1) && out.n == (rc == 0 ? n : 0));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192)
        return 0;
    struct str text = {(const char *)data + 1, size - 1};
    if (data[0] == 'w')
        write_result(text);
    else
        request(data[0] % ENDPOINTS, text);
    return 0;
}
