// SPDX-License-Identifier: Apache-2.0
// PromQL in a line of a test: a text, series in memory, and the result as text.
#ifndef STREAMLENS_TESTS_PROMQL_CASE_H
#define STREAMLENS_TESTS_PROMQL_CASE_H

#include "metrics-api/promql/literal.h"
#include "metrics-api/promql/promql.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

#define CASE_SERIES_MAX 40
#define CASE_SAMPLES_MAX 100

// Series as a case adds them, to be added sorted by labels.
struct promql_store {
    struct promql_series v[CASE_SERIES_MAX];
    struct label labels[CASE_SERIES_MAX][4];
    int64_t t_ms[CASE_SERIES_MAX][CASE_SAMPLES_MAX];
    double samples[CASE_SERIES_MAX][CASE_SAMPLES_MAX];
    size_t n;
};

// name{a="value"}; a NULL: no label. The values stand at 0, step, 2 * step …
static inline void store_add(struct promql_store *s, const char *name, const char *a,
                             int64_t step_ms, const double *values, size_t n)
{
    size_t i = s->n++;
    s->labels[i][0] = (struct label){LABELS_NAME, str_of(name)};
    s->labels[i][1] = (struct label){STR_LIT("a"), str_of(a ? a : "")};
    for (size_t j = 0; j < n; j++) {
        s->t_ms[i][j] = (int64_t)j * step_ms;
        s->samples[i][j] = values[j];
    }
    s->v[i] = (struct promql_series){{s->labels[i], a ? 2 : 1}, s->t_ms[i], s->samples[i], n};
}

static inline const struct hash_key *case_hash_key(void)
{
    static struct hash_key key;
    hash_key_init(&key, "case", 4);
    return &key;
}

struct promql_case {
    const struct promql_store *store; // NULL: empty
    struct promql_when when;
    struct promql_limits limits;
    const struct promql_quantile_answer *quantiles;
};

static inline struct promql_case case_at(const struct promql_store *store, int64_t t_ms)
{
    return (struct promql_case){
        store, {.start_ms = t_ms, .end_ms = t_ms}, promql_limits_default, NULL};
}

static inline struct promql_case case_range(const struct promql_store *store, int64_t start_ms,
                                            int64_t end_ms, int64_t step_ms)
{
    return (struct promql_case){store,
                                {.start_ms = start_ms, .end_ms = end_ms, .step_ms = step_ms},
                                promql_limits_default,
                                NULL};
}

static inline enum promql_verdict case_eval(const struct promql_case *c, const char *text,
                                            struct promql_result *result, struct err *e)
{
    struct promql_query *q;
    *result = (struct promql_result){0};
    enum promql_verdict verdict = promql_parse(str_of(text), &c->limits, &q, e);
    if (verdict != PROMQL_OK)
        return verdict;
    size_t n;
    const struct promql_select *selects = promql_selects(q, &c->when, &n);
    static struct promql_series series[20][CASE_SERIES_MAX];
    struct promql_series_set sets[20] = {0};
    for (size_t i = 0; i < n; i++) {
        sets[i].v = series[i];
        for (size_t j = 0; c->store && j < c->store->n; j++)
            if (matchers_match(selects[i].matchers, selects[i].matcher_count,
                               c->store->v[j].labels))
                series[i][sets[i].n++] = c->store->v[j];
    }
    struct promql_input input = {sets, c->quantiles, case_hash_key()};
    verdict = promql_eval(q, &c->when, &input, &c->limits, result, e);
    promql_free(q);
    return verdict;
}

// {a="1"} 5@1000 6@2000; {a="2"} … or "error: …", in a buffer that the next call reuses.
static inline const char *case_text(const struct promql_case *c, const char *text)
{
    static char shown[4096];
    struct promql_result r;
    struct err e;
    struct buf out = {0};
    if (case_eval(c, text, &r, &e) != PROMQL_OK) {
        buf_addf(&out, "error: %s", e.detail);
    } else {
        for (size_t i = 0; i < r.n; i++) {
            buf_adds(&out, i > 0 ? "; " : "");
            labels_print(r.series[i].labels, &out);
            for (size_t j = 0; j < r.series[i].n; j++) {
                buf_addc(&out, ' ');
                literal_print(r.series[i].v[j], &out);
                if (c->when.step_ms > 0 || r.type == PROMQL_MATRIX)
                    buf_addf(&out, "@%lld", (long long)r.series[i].t_ms[j]);
            }
        }
        for (size_t i = 0; i < r.warning_count; i++)
            buf_addf(&out, " | %.*s", (int)r.warnings[i].n, r.warnings[i].p);
        for (size_t i = 0; i < r.info_count; i++)
            buf_addf(&out, " | %.*s", (int)r.infos[i].n, r.infos[i].p);
        buf_add(&out, r.string.p, r.string.n);
    }
    promql_result_clear(&r);
    ck_assert_uint_lt(out.n, sizeof(shown));
    if (out.n > 0)
        memcpy(shown, out.p, out.n);
    shown[out.n] = '\0';
    buf_free(&out);
    return shown;
}

#endif
