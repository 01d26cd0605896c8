// SPDX-License-Identifier: Apache-2.0
// The input as a question: a byte for the endpoint, one for who asks, then
// "name=value&name=value". What is answered keeps to whose rows may be seen and to every bound; its
// cursor leads back to the same question; what is refused says why.
#include "tests/fuzz/fuzz.h"

#include "metrics-api/question.h"

#define NOW_US (INT64_C(1795320306) * US_PER_S + 789)
#define ENDPOINTS (ENDPOINT_PRICES + 1)

static const struct question_rights askers[] = {
    {.tenant = {"acme", 4}}, {.any_tenant = true},  {.tenant = {"acme", 4}, .any_tenant = true},
    {.tenant = {"*", 1}},    {.any_tenant = false},
};

static bool lists(const struct question *q)
{
    return q->endpoint >= ENDPOINT_SERIES && q->endpoint <= ENDPOINT_MODELS;
}

static enum question_verdict ask(struct question *q, int endpoint,
                                 const struct question_rights *rights, struct str text,
                                 int64_t now_us, struct err *e)
{
    *q = (struct question){.endpoint = (enum question_endpoint)endpoint};
    *e = (struct err){0};
    while (text.n > 0) {
        const char *end = memchr(text.p, '&', text.n);
        struct str pair = {text.p, end ? (size_t)(end - text.p) : text.n};
        const char *equals = pair.n > 0 ? memchr(pair.p, '=', pair.n) : NULL;
        struct str name = {pair.p, equals ? (size_t)(equals - pair.p) : pair.n};
        size_t before = name.n + (equals ? 1 : 0), skip = pair.n + (end ? 1 : 0);
        if (question_param(q, name, (struct str){pair.p + before, pair.n - before}, e) != 0)
            return QUESTION_WRONG;
        text = (struct str){text.p + skip, text.n - skip};
    }
    return question_finish(q, rights, now_us, e);
}

static void check_tenant(const struct question *q, const struct question_rights *rights)
{
    bool prices = q->endpoint == ENDPOINT_PRICES;
    FUZZ_CHECK(!q->every_tenant || (prices && !q->tenant_id && rights->any_tenant && !q->name));
    if (!q->tenant_id)
        FUZZ_CHECK(prices || (rights->any_tenant && (q->cells || lists(q))));
    else if (!rights->any_tenant)
        FUZZ_CHECK(rights->tenant.p && str_eq(str_of(q->tenant_id), rights->tenant));
}

static void check_times(const struct question *q)
{
    bool open_from = q->from_us == INT64_MIN, open_to = q->to_us == INT64_MAX;
    FUZZ_CHECK(q->from_us < q->to_us && (open_from || !open_to));
    if (open_from)
        FUZZ_CHECK(!q->cells && !lists(q));
    else
        FUZZ_CHECK(q->to_us - q->from_us <= QUESTION_RANGE_MAX_US && q->from_us % US_PER_MIN == 0 &&
                   time_in_range_us(q->from_us));
    FUZZ_CHECK(open_to || (q->to_us % US_PER_MIN == 0 && time_in_range_us(q->to_us)));
    FUZZ_CHECK(q->step_us >= 0 && q->step_us <= QUESTION_STEP_MAX_US &&
               q->step_us % US_PER_MIN == 0);
    FUZZ_CHECK(q->step_us == 0 || q->cells);
    if (q->zone)
        FUZZ_CHECK(q->step_us > 0 && q->step_us % US_PER_DAY == 0 && q->zone[0] != '/' &&
                   strlen(q->zone) <= QUESTION_ZONE_MAX && !strchr(q->zone, '.'));
    if (q->endpoint == ENDPOINT_HEATMAP)
        FUZZ_CHECK(q->step_us * QUESTION_HEATMAP_STEPS_MAX >= q->to_us - q->from_us);
}

static void check_prices(const struct question *q)
{
    FUZZ_CHECK(time_in_range_us(q->at_us) && q->at_us % US_PER_MIN == 0);
    FUZZ_CHECK(q->from_us == INT64_MIN && q->to_us == INT64_MAX && !q->cells);
    FUZZ_CHECK(q->has_after ? q->price_version > 0 && q->after.model.p && q->after.start_us >= 0
                            : q->price_version == 0);
    FUZZ_CHECK(q->name || !q->asked);
    if (q->name)
        FUZZ_CHECK(!q->prefix && !q->has_after && q->format == RENDER_JSON);
}

static void check_names(const struct question_names *names)
{
    FUZZ_CHECK(names->n <= QUESTION_NAMES_MAX);
    for (size_t i = 1; i < names->n; i++)
        FUZZ_CHECK(strcmp(names->v[i - 1], names->v[i]) < 0);
}

static void check_fields(const struct question *q)
{
    const struct fields *f = &q->fields;
    FUZZ_CHECK(f->n <= PERCENTILES_MAX);
    for (size_t i = 0; i < f->n; i++) {
        FUZZ_CHECK(f->percentiles[i].q > 0 && f->percentiles[i].q <= 1);
        FUZZ_CHECK(i == 0 || f->percentiles[i - 1].q < f->percentiles[i].q);
        FUZZ_CHECK(f->percentiles[i].latency || f->percentiles[i].ttft);
        FUZZ_CHECK(atof(f->percentiles[i].digits) > 0);
    }
    if (f->n > 0)
        FUZZ_CHECK((f->bits & (FIELD_LATENCY_PERCENTILES | FIELD_TTFT_PERCENTILES)) == 0);
    if (q->cells)
        FUZZ_CHECK((f->bits & (FIELD_BIT(publish_seq) | FIELD_BIT(late) | FIELD_BIT(revision))) ==
                   0);
    if (q->cells && (q->group_by & GROUP_TENANT) == 0)
        FUZZ_CHECK((f->bits & FIELD_BIT(tenant_id)) == 0);
}

static struct buf key_of(const struct question *q)
{
    struct buf key = {0};
    question_key(q, &key);
    FUZZ_CHECK(key.n > 0 && !memchr(key.p, '\0', key.n));
    return key;
}

// Asked again a day later with the cursor of its first instant, it goes on in the same range.
static void check_cursor(const struct question *q, const struct question_rights *rights,
                         struct str text)
{
    struct buf next = {0};
    struct str name = {"x", 1}, none = {NULL, 0};
    bool prices = q->endpoint == ENDPOINT_PRICES;
    int64_t start_us = q->from_us == INT64_MIN ? q->to_us - 1 : q->from_us;
    struct question seen = *q;
    seen.price_version = 5; // what the answer to the first page found
    struct fold_place last = {start_us, (q->group_by & GROUP_TENANT) != 0 ? name : none,
                              (q->group_by & GROUP_ROUTE) != 0 ? name : none,
                              prices || (q->group_by & GROUP_MODEL) != 0 ? name : none};
    buf_add(&next, text.p, text.n);
    buf_adds(&next, "&cursor=");
    question_cursor(&seen, &last, &next);
    struct question later;
    struct err e;
    enum question_verdict verdict = ask(&later, (int)q->endpoint, rights,
                                        (struct str){next.p, next.n}, NOW_US + US_PER_DAY, &e);
    FUZZ_CHECK(verdict == QUESTION_FINE && later.has_after);
    FUZZ_CHECK(later.from_us == q->from_us && later.to_us == q->to_us &&
               later.after.start_us == start_us && later.step_us == q->step_us &&
               later.limit == q->limit && str_eq(later.after.model, last.model));
    FUZZ_CHECK(!prices || (later.at_us == q->at_us && later.price_version == 5));
    if (prices)
        check_prices(&later);
    else
        check_times(&later);
    question_clear(&later);
    buf_free(&next);
}

static void check_fine(const struct question *q, const struct question_rights *rights,
                       struct str text)
{
    check_tenant(q, rights);
    if (q->endpoint == ENDPOINT_PRICES)
        check_prices(q);
    else
        check_times(q);
    check_names(&q->routes);
    check_names(&q->models);
    check_fields(q);
    FUZZ_CHECK(q->limit >= 1 && q->limit <= QUESTION_LIMIT_MAX);
    FUZZ_CHECK(q->cells || lists(q) || q->endpoint == ENDPOINT_PRICES ||
               q->group_by == (GROUP_TENANT | GROUP_ROUTE | GROUP_MODEL));
    struct question again;
    struct err e;
    FUZZ_CHECK(ask(&again, (int)q->endpoint, rights, text, NOW_US, &e) == QUESTION_FINE);
    struct buf one = key_of(q), other = key_of(&again);
    FUZZ_CHECK(str_eq((struct str){one.p, one.n}, (struct str){other.p, other.n}));
    buf_free(&one);
    buf_free(&other);
    question_clear(&again);
    bool pages =
        q->endpoint == ENDPOINT_METRICS || lists(q) || (q->endpoint == ENDPOINT_PRICES && !q->name);
    if (pages && q->fill == FILL_NONE && !memmem(text.p, text.n, "cursor", 6) && text.n < 500)
        check_cursor(q, rights, text);
}

static void check_error(const struct err *e)
{
    FUZZ_CHECK(e->detail[0] != '\0' && strlen(e->detail) < sizeof(e->detail) - 1);
    for (const char *c = e->detail; *c; c++)
        FUZZ_CHECK(*c >= 0x20 && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int endpoint = data[0] % ENDPOINTS;
    const struct question_rights *rights = &askers[data[1] % ARRAY_LEN(askers)];
    struct str text = {(const char *)data + 2, size - 2};
    struct question q;
    struct err e;
    enum question_verdict verdict = ask(&q, endpoint, rights, text, NOW_US, &e);
    if (verdict == QUESTION_FINE)
        check_fine(&q, rights, text);
    else
        check_error(&e);
    if (verdict == QUESTION_OTHER_TENANT)
        FUZZ_CHECK(!rights->any_tenant && strcmp(e.field, "tenant_id") == 0);
    question_clear(&q);
    return 0;
}
