// SPDX-License-Identifier: Apache-2.0
// The PromQL engine on a string, with series in memory: a command a line, as JSON, and an answer a
// line. test_scripts.py speaks to it.
//
//     {"op": "clear"}
//     {"op": "load", "labels": {"__name__": "x"}, "t": [0, 60000], "v": ["1", "NaN"]}
//         and "flag": "why no case with it counts", which comes back with whatever selects it
//     {"op": "eval", "query": "sum(x)", "start": 0, "end": 60000, "step": 60000}     step 0: an
//     instant
#include "metrics-api/promql/promql.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

struct store {
    struct arena arena;
    struct promql_series *v; // sorted by labels
    size_t n, cap;
    struct {
        struct labels labels;
        const char *why;
    } flags[4096];
    size_t flag_count;
};

static int compare_labels(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    return str_compare(x->name, y->name);
}

static struct labels read_labels(struct store *s, json_t *json)
{
    struct label *v = arena_array(&s->arena, json_object_size(json), sizeof(*v));
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        struct str text = {json_string_value(value), json_string_length(value)};
        if (text.n > 0)
            v[n++] = (struct label){arena_str(&s->arena, str_of(name)), arena_str(&s->arena, text)};
    }
    qsort(v, n, sizeof(*v), compare_labels);
    return (struct labels){v, n};
}

static struct promql_series *series_of(struct store *s, struct labels labels)
{
    size_t at = 0;
    while (at < s->n && labels_compare(s->v[at].labels, labels) < 0)
        at++;
    if (at < s->n && labels_compare(s->v[at].labels, labels) == 0)
        return &s->v[at];
    if (s->n == s->cap)
        s->v = xrealloc(s->v, (s->cap = s->cap ? s->cap * 2 : 16) * sizeof(*s->v));
    memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
    s->n++;
    s->v[at] = (struct promql_series){.labels = labels};
    return &s->v[at];
}

// Samples that are older than those that are there are put before them, as a head block would.
static void load(struct store *s, json_t *command)
{
    const char *flag = json_string_value(json_object_get(command, "flag"));
    if (flag && s->flag_count < ARRAY_LEN(s->flags)) {
        s->flags[s->flag_count].labels = read_labels(s, json_object_get(command, "labels"));
        s->flags[s->flag_count++].why = arena_str(&s->arena, str_of(flag)).p;
        return;
    }
    json_t *times = json_object_get(command, "t"), *values = json_object_get(command, "v");
    struct promql_series *series = series_of(s, read_labels(s, json_object_get(command, "labels")));
    size_t more = json_array_size(times), n = 0, i = 0, j = 0;
    int64_t *t_ms = arena_array(&s->arena, series->n + more, sizeof(*t_ms));
    double *v = arena_array(&s->arena, series->n + more, sizeof(*v));
    while (i < series->n || j < more) {
        int64_t t = j < more ? json_integer_value(json_array_get(times, j)) : INT64_MAX;
        if (i < series->n && series->t_ms[i] <= t) {
            j += series->t_ms[i] == t; // what is there stays
            t_ms[n] = series->t_ms[i];
            v[n++] = series->v[i++];
            continue;
        }
        const char *text = json_string_value(json_array_get(values, j++));
        t_ms[n] = t;
        v[n++] = strcmp(text, "stale") == 0 ? promql_stale() : strtod(text, NULL);
    }
    series->t_ms = t_ms;
    series->v = v;
    series->n = n;
}

static void clear(struct store *s)
{
    free(s->v);
    arena_free(&s->arena);
    *s = (struct store){0};
}

static struct promql_series_set selected(const struct store *s, const struct promql_select *select)
{
    struct promql_series *v = xcalloc(s->n + 1, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct promql_series one = s->v[i];
        if (!matchers_match(select->matchers, select->matcher_count, one.labels))
            continue;
        size_t from = 0;
        while (from < one.n && one.t_ms[from] < select->from_ms)
            from++;
        while (one.n > from && one.t_ms[one.n - 1] > select->to_ms)
            one.n--;
        v[n++] = (struct promql_series){one.labels, one.t_ms + from, one.v + from, one.n - from};
    }
    return (struct promql_series_set){v, n};
}

static const char *flagged(const struct store *s, const struct promql_select *select)
{
    for (size_t i = 0; i < s->flag_count; i++)
        if (matchers_match(select->matchers, select->matcher_count, s->flags[i].labels))
            return s->flags[i].why;
    return NULL;
}

static json_t *text_json(struct str s)
{
    json_t *text = json_stringn(s.p, s.n);
    return text ? text : json_string("(not UTF-8)");
}

static json_t *points_json(const struct promql_points *p)
{
    json_t *labels = json_object(), *t = json_array(), *v = json_array();
    for (size_t i = 0; i < p->labels.n; i++)
        json_object_setn_new(labels, p->labels.v[i].name.p, p->labels.v[i].name.n,
                             text_json(p->labels.v[i].value));
    for (size_t i = 0; i < p->n; i++) {
        char text[40];
        snprintf(text, sizeof(text), "%.17g", p->v[i]);
        json_array_append_new(t, json_integer(p->t_ms[i]));
        json_array_append_new(v, json_string(promql_is_stale(p->v[i]) ? "stale" : text));
    }
    return json_pack("{sososo}", "labels", labels, "t", t, "v", v);
}

static json_t *texts_json(const struct str *v, size_t n)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(texts, text_json(v[i]));
    return texts;
}

static json_t *result_json(const struct promql_result *r)
{
    json_t *series = json_array();
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(series, points_json(&r->series[i]));
    return json_pack("{sssosososo}", "type", promql_type_name(r->type), "series", series, "string",
                     text_json(r->string.p ? r->string : STR_LIT("")), "warnings",
                     texts_json(r->warnings, r->warning_count), "infos",
                     texts_json(r->infos, r->info_count));
}

static json_t *refusal_json(enum promql_verdict verdict, const struct err *e)
{
    static const char *const names[] = {"ok", "bad_data", "unsupported", "execution", "timeout"};
    return json_pack("{ssssss}", "refused", names[verdict], "error", e->detail, "field", e->field);
}

static json_t *eval(const struct store *s, json_t *command)
{
    static struct hash_key key;
    struct promql_query *q;
    struct promql_result result = {0};
    struct err e = {0};
    hash_key_init(&key, "test", 4);
    json_t *query = json_object_get(command, "query");
    struct str text = {json_string_value(query), json_string_length(query)};
    struct promql_when when = {
        .start_ms = json_integer_value(json_object_get(command, "start")),
        .end_ms = json_integer_value(json_object_get(command, "end")),
        .step_ms = json_integer_value(json_object_get(command, "step")),
        .delayed_name_removal = !json_is_false(json_object_get(command, "delayed")),
    };
    enum promql_verdict verdict = promql_parse(text, &promql_limits_default, &q, &e);
    if (verdict != PROMQL_OK)
        return refusal_json(verdict, &e);
    size_t n;
    const struct promql_select *selects = promql_selects(q, &when, &n);
    struct promql_series_set *sets = xcalloc(n + 1, sizeof(*sets));
    const char *flag = NULL;
    for (size_t i = 0; i < n; i++) {
        sets[i] = selected(s, &selects[i]);
        flag = flag ? flag : flagged(s, &selects[i]);
    }
    struct promql_input input = {.sets = sets, .hash_key = &key};
    verdict = promql_eval(q, &when, &input, &promql_limits_default, &result, &e);
    json_t *answer = verdict == PROMQL_OK ? result_json(&result) : refusal_json(verdict, &e);
    if (flag)
        json_object_set_new(answer, "flag", json_string(flag));
    promql_result_clear(&result);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)sets[i].v);
    free(sets);
    promql_free(q);
    return answer;
}

int main(void)
{
    static struct store store;
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        json_error_t error;
        json_t *command = json_loads(line, 0, &error), *answer;
        const char *op = json_string_value(json_object_get(command, "op"));
        if (!op) {
            answer = json_pack("{ss}", "refused", error.text);
        } else if (strcmp(op, "eval") == 0) {
            answer = eval(&store, command);
        } else {
            if (strcmp(op, "load") == 0)
                load(&store, command);
            else
                clear(&store);
            answer = json_object();
        }
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(answer);
        json_decref(command);
    }
    clear(&store);
    free(line);
    return 0;
}
