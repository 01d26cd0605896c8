// SPDX-License-Identifier: Apache-2.0
// Whose, which and what; times are in test_question_time.c, pages in test_question_cursor.c.
#include "tests/unit/question_case.h"

#define METRICS ENDPOINT_METRICS
#define ALL_GROUPS (GROUP_TENANT | GROUP_ROUTE | GROUP_MODEL)

static const struct {
    const char *text, *route, *model;
    int64_t limit;
} taken[] = {
    {"tenant_id=acme", NULL, NULL, 60},
    {"tenant_id=acme&route=&model=&limit=", NULL, NULL, 60}, // empty: not asked for
    {"tenant_id=acme&route", NULL, NULL, 60},
    {"tenant_id=acme&route=chat", "chat", NULL, 60},
    {"model=gpt&tenant_id=acme&route=chat&limit=5", "chat", "gpt", 5},
    {"limit=1&tenant_id=acme", NULL, NULL, 1},
    {"tenant_id=acme&limit=0", NULL, NULL, 60}, // 0 or less: the default, as the original
    {"tenant_id=acme&limit=-1", NULL, NULL, 60},
    {"tenant_id=acme&limit=-99999999999999999999999", NULL, NULL, 60},
    {"tenant_id=acme&limit=+7", NULL, NULL, 7},
    {"tenant_id=acme&limit=0000000000000000000000000060", NULL, NULL, 60},
    {"tenant_id=acme&limit=10000", NULL, NULL, 10000},
    {"tenant_id=acme&fromat=x&TENANT_ID=x&fromat=y", NULL, NULL, 60}, // unknown
    {"tenant_id=acme&route='; DROP TABLE llm_series; --", "'; DROP TABLE llm_series; --", NULL, 60},
    {"tenant_id=acme&model=\xf0\x9f\x92\xa9 \xc3\xbc", NULL, "\xf0\x9f\x92\xa9 \xc3\xbc", 60},
};

static void check_names(const struct question_names *names, const char *wanted)
{
    ck_assert_uint_eq(names->n, wanted ? 1 : 0);
    if (wanted)
        ck_assert_str_eq(names->v[0], wanted);
}

START_TEST(takes_what_the_original_took)
{
    struct question q;
    ask_fine(&q, METRICS, taken[_i].text);
    ck_assert_str_eq(q.tenant_id, "acme");
    check_names(&q.routes, taken[_i].route);
    check_names(&q.models, taken[_i].model);
    ck_assert_int_eq(q.limit, taken[_i].limit);
    ck_assert(!q.cells && !q.ascending && !q.has_after && !q.zone && !q.prefix);
    ck_assert_uint_eq(q.group_by, ALL_GROUPS);
    ck_assert_int_eq(q.from_us, INT64_MIN);
    ck_assert_int_eq(q.to_us, INT64_MAX);
    ck_assert_int_eq(q.format, RENDER_JSON);
    question_clear(&q);
    ck_assert_ptr_null(q.tenant_id);
}
END_TEST

static const struct {
    enum question_endpoint endpoint;
    const char *text, *field, *says;
} refused[] = {
    {METRICS, "route=chat", "tenant_id", "required"},
    {METRICS, "tenant_id=", "tenant_id", "required"},
    {METRICS, "tenant_id=a&tenant_id=a", "tenant_id", "once"},
    {METRICS, "tenant_id=a&tenant_id=b", "tenant_id", "once"},
    {METRICS, "tenant_id=a&tenant_id=", "tenant_id", "once"},
    {METRICS, "tenant_id=&tenant_id=a", "tenant_id", "once"},
    {METRICS, "tenant_id=a&limit=1&limit=2", "limit", "once"},
    {METRICS, "tenant_id=a&step=5m&step=5m", "step", "once"},
    {METRICS, "tenant_id=a&limit=x", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=1x", "limit", "10000"},
    {METRICS, "tenant_id=a&limit= 1", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=1.0", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=1e3", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=-", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=+", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=--1", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=0x10", "limit", "10000"},
    {METRICS, "tenant_id=a&limit=10001", "limit", "from 1 to 10000"},
    {METRICS, "tenant_id=a&limit=18446744073709551617", "limit", "from 1 to 10000"}, // 2^64 + 1
    {METRICS, "tenant_id=a&route=\xff", "route", "UTF-8"},
    {METRICS, "tenant_id=a&model=a\nb", "model", "control"},
    {METRICS, "tenant_id=\xed\xa0\x80", "tenant_id", "UTF-8"}, // a surrogate
    {METRICS, "tenant_id=*", "tenant_id", "add step or group_by"},
    {ENDPOINT_STREAM, "tenant_id=*", "tenant_id", "one tenant"},
    {METRICS, "tenant_id=a&group_by=x", "group_by", "tenant_id, route and model"},
    {METRICS, "tenant_id=a&group_by=model,model", "group_by", "once"},
    {METRICS, "tenant_id=a&group_by=model,", "group_by", "route"},
    {METRICS, "tenant_id=a&group_by=,", "group_by", "route"},
    {METRICS, "tenant_id=a&group_by=model,none", "group_by", "none"},
    {METRICS, "tenant_id=a&group_by=none,model", "group_by", "none"},
    {METRICS, "tenant_id=a&group_by=Model", "group_by", "model"},
    {METRICS, "tenant_id=a&group_by=model, route", "group_by", "route"},
    {METRICS, "tenant_id=a&order=up", "order", "desc or asc"},
    {METRICS, "tenant_id=a&format=xml", "format", "json, ndjson or csv"},
    {METRICS, "tenant_id=a&step=5m&fill=x", "fill", "none, zero or null"},
    {METRICS, "tenant_id=a&fill=zero", "fill", "needs a step"},
    {METRICS, "tenant_id=a&group_by=model&fill=null", "fill", "needs a step"},
    {METRICS, "tenant_id=a&step=5m&fill=zero&cursor=AA", "fill", "cursor"},
    {ENDPOINT_TOP, "tenant_id=a&by=money", "by", "cost, requests, errors, p95 or tokens"},
    {ENDPOINT_HEATMAP, "tenant_id=a&metric=x", "metric", "latency or ttft"},
    {ENDPOINT_MODELS, "tenant_id=a&prefix=\xc3", "prefix", "UTF-8"},
    {METRICS, "tenant_id=a&percentiles=0", "percentiles", "above 0"},
    {METRICS, "tenant_id=a&percentiles=0.0000000", "percentiles", "above 0"},
    {METRICS, "tenant_id=a&percentiles=100.000001", "percentiles", "up to 100"},
    {METRICS, "tenant_id=a&percentiles=1000000000000000000000050", "percentiles", "up to 100"},
    {METRICS, "tenant_id=a&percentiles=-1", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=+1", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=1e1", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=nan", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=.5", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=5.", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=5.5.5", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=99.1234567", "percentiles", "6 decimals"},
    {METRICS, "tenant_id=a&percentiles=50,", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=50,,95", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=50, 95", "percentiles", ""},
    {METRICS, "tenant_id=a&percentiles=50,95,50.0", "percentiles", "once"},
    {METRICS, "tenant_id=a&percentiles=99.9,1,99.90", "percentiles", "once"},
    {METRICS, "tenant_id=a&percentiles=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "percentiles",
     "1 to 16"},
    {METRICS, "tenant_id=a&fields=x", "fields", "x is no field"},
};

START_TEST(refuses_the_rest_by_name)
{
    ask_wrong(refused[_i].endpoint, refused[_i].text, refused[_i].field, refused[_i].says);
}
END_TEST

#define READER                                                                                     \
    {                                                                                              \
        .tenant = STR_LIT("acme")                                                                  \
    }
#define OPERATOR                                                                                   \
    {                                                                                              \
        .any_tenant = true                                                                         \
    }
#define BOTH                                                                                       \
    {                                                                                              \
        .tenant = STR_LIT("acme"), .any_tenant = true                                              \
    }
#define STAR                                                                                       \
    {                                                                                              \
        .tenant = STR_LIT("*")                                                                     \
    }
#define NOBODY                                                                                     \
    {                                                                                              \
        .any_tenant = false                                                                        \
    }
#define EVERYBODY "(all)"

static const struct {
    struct question_rights rights;
    enum question_endpoint endpoint;
    const char *asks; // of tenant and step
    enum question_verdict verdict;
    const char *gets; // with QUESTION_FINE
} whose[] = {
    {READER, METRICS, "", QUESTION_FINE, "acme"},
    {READER, METRICS, "tenant_id=", QUESTION_FINE, "acme"},
    {READER, METRICS, "tenant_id=acme", QUESTION_FINE, "acme"},
    {READER, METRICS, "tenant_id=other", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "tenant_id=acm", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "tenant_id=acme2", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "tenant_id=ACME", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "tenant_id=*&step=1h", QUESTION_OTHER_TENANT, NULL},
    {READER, METRICS, "step=1h&group_by=tenant_id", QUESTION_FINE, "acme"},
    {READER, ENDPOINT_SUMMARY, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
    {READER, ENDPOINT_COST, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
    {READER, ENDPOINT_COST, "", QUESTION_FINE, "acme"},
    {READER, ENDPOINT_TENANTS, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
    {READER, ENDPOINT_TENANTS, "tenant_id=other", QUESTION_OTHER_TENANT, NULL},
    {READER, ENDPOINT_TENANTS, "", QUESTION_FINE, "acme"},
    {READER, ENDPOINT_SERIES, "", QUESTION_FINE, "acme"},
    {READER, ENDPOINT_STREAM, "", QUESTION_FINE, "acme"},
    {STAR, METRICS, "", QUESTION_FINE, "*"}, // a tenant of that name, and no more
    {STAR, METRICS, "tenant_id=*", QUESTION_FINE, "*"},
    {STAR, METRICS, "tenant_id=*&step=1h", QUESTION_FINE, "*"},
    {OPERATOR, METRICS, "", QUESTION_WRONG, NULL},
    {OPERATOR, METRICS, "tenant_id=", QUESTION_WRONG, NULL},
    {OPERATOR, METRICS, "step=1h", QUESTION_WRONG, NULL},
    {OPERATOR, METRICS, "tenant_id=other", QUESTION_FINE, "other"},
    {OPERATOR, METRICS, "tenant_id=**", QUESTION_FINE, "**"},
    {OPERATOR, METRICS, "tenant_id=*", QUESTION_WRONG, NULL},
    {OPERATOR, METRICS, "tenant_id=*&from=now-1h", QUESTION_WRONG, NULL},
    {OPERATOR, METRICS, "tenant_id=*&step=1h", QUESTION_FINE, EVERYBODY},
    {OPERATOR, METRICS, "tenant_id=*&group_by=none", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_SUMMARY, "", QUESTION_WRONG, NULL},
    {OPERATOR, ENDPOINT_COST, "", QUESTION_WRONG, NULL},
    {OPERATOR, ENDPOINT_COST, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_SUMMARY, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_TOP, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_HEATMAP, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_MODELS, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_MODELS, "", QUESTION_WRONG, NULL},
    {OPERATOR, ENDPOINT_SERIES, "", QUESTION_WRONG, NULL},
    {OPERATOR, ENDPOINT_STREAM, "tenant_id=*", QUESTION_WRONG, NULL},
    {OPERATOR, ENDPOINT_TENANTS, "", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_TENANTS, "tenant_id=*", QUESTION_FINE, EVERYBODY},
    {OPERATOR, ENDPOINT_TENANTS, "tenant_id=other", QUESTION_FINE, "other"},
    {BOTH, METRICS, "", QUESTION_FINE, "acme"},
    {BOTH, METRICS, "tenant_id=other", QUESTION_FINE, "other"},
    {BOTH, METRICS, "tenant_id=*&step=1h", QUESTION_FINE, EVERYBODY},
    {BOTH, METRICS, "step=1h", QUESTION_FINE, "acme"},
    {BOTH, ENDPOINT_TENANTS, "", QUESTION_FINE, EVERYBODY},
    // Without a tenant of one's own and without the right to name one, nothing is left to read.
    {NOBODY, METRICS, "tenant_id=acme", QUESTION_OTHER_TENANT, NULL},
    {NOBODY, METRICS, "", QUESTION_WRONG, NULL},
    {NOBODY, ENDPOINT_TENANTS, "", QUESTION_WRONG, NULL},
    {NOBODY, ENDPOINT_TENANTS, "tenant_id=*", QUESTION_OTHER_TENANT, NULL},
};

START_TEST(rights_decide_whose_rows)
{
    struct question q;
    struct err e;
    enum question_verdict verdict =
        ask_at(&q, whose[_i].endpoint, &whose[_i].rights, whose[_i].asks, NOW_US, &e);
    ck_assert_int_eq(verdict, whose[_i].verdict);
    if (verdict != QUESTION_FINE) {
        ck_assert_str_eq(e.field, "tenant_id");
        ck_assert_str_ne(e.detail, "");
    } else if (strcmp(whose[_i].gets, EVERYBODY) == 0) {
        ck_assert_ptr_null(q.tenant_id);
    } else {
        ck_assert_str_eq(q.tenant_id, whose[_i].gets);
    }
    question_clear(&q);
}
END_TEST

START_TEST(names_have_the_bounds_of_events)
{
    static const char *const names[] = {"tenant_id", "route", "model", "prefix"};
    char text[256];
    memset(text, 'x', sizeof(text));
    struct question q = {.endpoint = ENDPOINT_SERIES};
    struct err e = {0};
    ck_assert_int_eq(question_param(&q, str_of(names[_i]), (struct str){text, 255}, &e), 0);
    question_clear(&q);
    q.endpoint = ENDPOINT_SERIES;
    ck_assert_int_eq(question_param(&q, str_of(names[_i]), (struct str){text, 256}, &e), -1);
    ck_assert_str_eq(e.field, names[_i]);
    question_clear(&q);
}
END_TEST

START_TEST(a_nul_cannot_cut_a_value)
{
    static const char *const names[] = {"tenant_id", "route",    "model", "fields",
                                        "cursor",    "tz",       "step",  "from",
                                        "to",        "group_by", "order", "format"};
    static const struct str values[] = {
        STR_LIT("acme\0tail"),  STR_LIT("acme\0tail"), STR_LIT("acme\0tail"),
        STR_LIT("requests\0x"), STR_LIT("AA\0x"),      STR_LIT("Europe/Berlin\0x"),
        STR_LIT("5m\0x"),       STR_LIT("now\0x"),     STR_LIT("now\0x"),
        STR_LIT("model\0x"),    STR_LIT("asc\0x"),     STR_LIT("csv\0x")};
    struct question q = {.endpoint = METRICS};
    struct err e = {0};
    ck_assert_int_eq(question_param(&q, str_of(names[_i]), values[_i], &e), -1);
    ck_assert_str_eq(e.field, names[_i]);
    question_clear(&q);
}
END_TEST

START_TEST(any_of_several_names_each_once_in_order)
{
    struct question q;
    ask_fine(&q, METRICS,
             "tenant_id=a&route=b&model=z&route=a&route=&route=b&route=B&route=a/b&"
             "route=\xc3\xa4");
    static const char *const routes[] = {"B", "a", "a/b", "b", "\xc3\xa4"}; // bytewise
    ck_assert_uint_eq(q.routes.n, ARRAY_LEN(routes));
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        ck_assert_str_eq(q.routes.v[i], routes[i]);
    check_names(&q.models, "z");
    question_clear(&q);
}
END_TEST

START_TEST(a_hundred_names_and_no_more)
{
    struct question q = {.endpoint = METRICS};
    struct err e = {0};
    char name[16];
    for (int i = QUESTION_NAMES_MAX; i > 0; i--) {
        snprintf(name, sizeof(name), "m%d", i);
        ck_assert_int_eq(question_param(&q, STR_LIT("model"), str_of(name), &e), 0);
    }
    ck_assert_uint_eq(q.models.n, QUESTION_NAMES_MAX);
    ck_assert_int_eq(question_param(&q, STR_LIT("model"), STR_LIT("m7"), &e), 0); // known
    ck_assert_int_eq(question_param(&q, STR_LIT("route"), STR_LIT("m0"), &e), 0); // its own count
    ck_assert_int_eq(question_param(&q, STR_LIT("model"), STR_LIT("m0"), &e), -1);
    ck_assert_str_eq(e.field, "model");
    ck_assert_ptr_nonnull(strstr(e.detail, "100"));
    for (size_t i = 1; i < q.models.n; i++)
        ck_assert_int_lt(strcmp(q.models.v[i - 1], q.models.v[i]), 0);
    question_clear(&q);
}
END_TEST

START_TEST(three_hundred_parameters_and_no_more)
{
    struct question q = {.endpoint = METRICS};
    struct err e = {0};
    for (int i = 0; i < QUESTION_PARAMETERS_MAX; i++)
        ck_assert_int_eq(question_param(&q, STR_LIT("unknown"), STR_LIT("x"), &e), 0);
    ck_assert_int_eq(question_param(&q, STR_LIT("tenant_id"), STR_LIT("x"), &e), -1);
    ck_assert_ptr_nonnull(strstr(e.detail, "300"));
    question_clear(&q);
}
END_TEST

#define E(name) (1u << ENDPOINT_##name)
#define LISTS (E(SERIES) | E(TENANTS) | E(ROUTES) | E(MODELS))
#define EVERY (LISTS | E(METRICS) | E(SUMMARY) | E(TOP) | E(HEATMAP) | E(STREAM) | E(COST))
// Which endpoints look at a parameter: the others ignore even what cannot be.
static const struct {
    const char *name, *wrong;
    unsigned endpoints;
} known[] = {
    {"tenant_id", "\xff", EVERY | E(PRICES)},
    {"route", "\xff", EVERY},
    {"model", "\xff", EVERY},
    {"prefix", "\xff", LISTS | E(PRICES)},
    {"from", "x", EVERY & ~E(STREAM)},
    {"to", "x", EVERY & ~E(STREAM)},
    {"step", "x", E(METRICS) | E(HEATMAP)},
    {"tz", "!", E(METRICS) | E(HEATMAP)},
    {"group_by", "x", E(METRICS) | E(TOP) | E(COST)},
    {"percentiles", "x", E(METRICS) | E(SUMMARY) | E(TOP)},
    {"fields", "x", E(METRICS) | E(SUMMARY) | E(TOP) | E(STREAM)},
    {"fill", "x", E(METRICS)},
    {"by", "x", E(TOP)},
    {"metric", "x", E(HEATMAP)},
    {"order", "x", E(METRICS)},
    {"limit", "x", E(METRICS) | E(TOP) | E(COST) | E(PRICES) | LISTS},
    {"cursor", "x", E(METRICS) | E(PRICES) | LISTS},
    {"format", "x", E(METRICS) | E(TOP) | E(COST) | E(PRICES)},
    {"at", "x", E(PRICES)},
    {"name", "\xff", E(PRICES)},
    {"asked", "\xff", E(PRICES)},
};

START_TEST(an_endpoint_has_its_own_parameters)
{
    char text[64];
    snprintf(text, sizeof(text), "%s=%s", known[_i].name, known[_i].wrong);
    for (int endpoint = 0; endpoint <= ENDPOINT_PRICES; endpoint++) {
        struct question q;
        struct err e;
        struct question_rights acme = READER;
        enum question_verdict verdict =
            ask_at(&q, (enum question_endpoint)endpoint, &acme, text, NOW_US, &e);
        bool looked_at = (known[_i].endpoints & (1u << endpoint)) != 0;
        ck_assert_msg(verdict == (looked_at ? QUESTION_WRONG : QUESTION_FINE), "%s of %d", text,
                      endpoint);
        ck_assert_str_eq(e.field, looked_at ? known[_i].name : "");
        question_clear(&q);
    }
}
END_TEST

static const struct {
    enum question_endpoint endpoint;
    const char *text;
    bool cells;
    unsigned group_by;
    int64_t limit;
} kinds[] = {
    {METRICS, "", false, ALL_GROUPS, 60},
    {METRICS, "from=now-1h", false, ALL_GROUPS, 10000},
    {METRICS, "to=now-1h", false, ALL_GROUPS, 10000},
    {METRICS, "from=now-1h&limit=0", false, ALL_GROUPS, 10000},
    {METRICS, "from=now-1h&limit=17", false, ALL_GROUPS, 17},
    {METRICS, "from=&to=&step=&group_by=", false, ALL_GROUPS, 60},
    {METRICS, "fill=none&tz=UTC&order=asc&percentiles=1&fields=requests", false, ALL_GROUPS, 60},
    {METRICS, "step=5m", true, ALL_GROUPS, 10000},
    {METRICS, "step=5m&fill=zero", true, ALL_GROUPS, 10000},
    {METRICS, "group_by=none", true, 0, 10000},
    {METRICS, "group_by=route,tenant_id", true, GROUP_ROUTE | GROUP_TENANT, 10000},
    {METRICS, "step=1d&group_by=model&limit=-3", true, GROUP_MODEL, 10000},
    {ENDPOINT_SUMMARY, "", true, 0, 10000},
    {ENDPOINT_SUMMARY, "group_by=model&limit=5", true, 0, 10000},
    {ENDPOINT_TOP, "", true, GROUP_MODEL, 10},
    {ENDPOINT_TOP, "limit=0", true, GROUP_MODEL, 10},
    {ENDPOINT_TOP, "limit=11&group_by=route", true, GROUP_ROUTE, 11},
    {ENDPOINT_TOP, "group_by=none", true, 0, 10},
    {ENDPOINT_HEATMAP, "", true, 0, 10000},
    {ENDPOINT_COST, "", true, GROUP_MODEL, 100},
    {ENDPOINT_COST, "limit=-1&group_by=tenant_id", true, GROUP_TENANT, 100},
    {ENDPOINT_COST, "limit=101&group_by=none", true, 0, 101},
    {ENDPOINT_PRICES, "", false, 0, 10000},
    {ENDPOINT_PRICES, "limit=7&group_by=x", false, 0, 7},
    {ENDPOINT_STREAM, "", false, ALL_GROUPS, 10000},
    {ENDPOINT_SERIES, "", false, ALL_GROUPS, 10000},
    {ENDPOINT_TENANTS, "", false, GROUP_TENANT, 10000},
    {ENDPOINT_ROUTES, "limit=0", false, GROUP_ROUTE, 10000},
    {ENDPOINT_MODELS, "limit=3", false, GROUP_MODEL, 3},
};

START_TEST(what_is_asked_decides_what_is_computed)
{
    char text[128];
    struct question q;
    snprintf(text, sizeof(text), "tenant_id=a&%s", kinds[_i].text);
    ask_fine(&q, kinds[_i].endpoint, text);
    ck_assert_int_eq(q.cells, kinds[_i].cells);
    ck_assert_uint_eq(q.group_by, kinds[_i].group_by);
    ck_assert_int_eq(q.limit, kinds[_i].limit);
    question_clear(&q);
}
END_TEST

START_TEST(choices_have_their_values)
{
    static const char *const fills[] = {"none", "zero", "null"};
    static const char *const bys[] = {"cost", "requests", "errors", "p95", "tokens"};
    static const char *const formats[] = {"json", "ndjson", "csv"};
    char text[64];
    struct question q;
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof(text), "tenant_id=a&step=1h&fill=%s&format=%s", fills[i], formats[i]);
        ask_fine(&q, METRICS, text);
        ck_assert_int_eq(q.fill, i);
        ck_assert_int_eq(q.format, i);
        question_clear(&q);
    }
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof(text), "tenant_id=a&by=%s", bys[i]);
        ask_fine(&q, ENDPOINT_TOP, text);
        ck_assert_int_eq(q.by, i);
        question_clear(&q);
    }
    ask_fine(&q, ENDPOINT_HEATMAP, "tenant_id=a&metric=ttft");
    ck_assert_int_eq(q.metric, METRIC_TTFT);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&order=asc");
    ck_assert(q.ascending);
    question_clear(&q);
    ask_fine(&q, ENDPOINT_ROUTES, "tenant_id=a&order=desc&prefix=/v1");
    ck_assert(q.ascending); // names always are
    ck_assert_str_eq(q.prefix, "/v1");
    question_clear(&q);
}
END_TEST

START_TEST(accept_counts_where_format_is_not_given)
{
    struct question q;
    ask_fine(&q, METRICS, "tenant_id=a&format=");
    question_accept(&q, RENDER_CSV);
    ck_assert_int_eq(q.format, RENDER_CSV);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&format=json");
    question_accept(&q, RENDER_CSV);
    ck_assert_int_eq(q.format, RENDER_JSON);
    question_clear(&q);
    ask_fine(&q, ENDPOINT_SUMMARY, "tenant_id=a"); // it has one form
    question_accept(&q, RENDER_CSV);
    ck_assert_int_eq(q.format, RENDER_JSON);
    question_clear(&q);
    q.endpoint = METRICS; // before any parameter
    question_accept(&q, RENDER_NDJSON);
    ck_assert_int_eq(q.format, RENDER_NDJSON);
    question_clear(&q);
}
END_TEST

// --- fields ---

static bool shows(const struct question *q, const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(field_infos[i].name, name) == 0)
            return (q->fields.bits & (UINT64_C(1) << i)) != 0;
    ck_abort_msg("no field %s", name);
}

START_TEST(all_fields_come_that_the_answer_has)
{
    struct question q;
    ask_fine(&q, METRICS, "tenant_id=a");
    ck_assert_uint_eq((uint64_t)__builtin_popcountll(q.fields.bits), FIELD_COUNT);
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&step=1h");
    ck_assert_uint_eq((uint64_t)__builtin_popcountll(q.fields.bits), FIELD_COUNT - 3);
    ck_assert(!shows(&q, "publish_seq") && !shows(&q, "late") && !shows(&q, "revision"));
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&step=1h&group_by=route");
    ck_assert_uint_eq((uint64_t)__builtin_popcountll(q.fields.bits), FIELD_COUNT - 5);
    ck_assert(!shows(&q, "tenant_id") && shows(&q, "route") && !shows(&q, "model"));
    question_clear(&q);
    ask_fine(&q, ENDPOINT_SUMMARY, "tenant_id=a");
    ck_assert_uint_eq((uint64_t)__builtin_popcountll(q.fields.bits), FIELD_COUNT - 6);
    question_clear(&q);
    ask_fine(&q, ENDPOINT_STREAM, "tenant_id=a");
    ck_assert_uint_eq((uint64_t)__builtin_popcountll(q.fields.bits), FIELD_COUNT);
    question_clear(&q);
}
END_TEST

START_TEST(only_the_fields_that_are_named)
{
    struct question q;
    ask_fine(&q, METRICS, "tenant_id=a&fields=requests,publish_seq,requests,p95_latency_ms");
    ck_assert_uint_eq(q.fields.bits,
                      FIELD_BIT(requests) | FIELD_BIT(publish_seq) | FIELD_BIT(p95_latency_ms));
    question_clear(&q);
    ask_fine(&q, METRICS, "tenant_id=a&group_by=none&fields=window_start");
    ck_assert_uint_eq(q.fields.bits, FIELD_BIT(window_start));
    question_clear(&q);
}
END_TEST

static const struct {
    const char *text, *says;
} wrong_fields[] = {
    {"fields=nothing", "nothing is no field"},
    {"fields=requests,", "commas"},
    {"fields=requests,,errors", "commas"},
    {"fields=requests, errors", "commas"},
    {"fields=Requests", "commas"},
    {"fields=<script>", "commas"},
    {"fields=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "commas"}, // too long to be repeated
    {"step=1h&fields=requests,publish_seq", "publish_seq belongs to a stored row"},
    {"step=1h&fields=late", "late belongs to a stored row"},
    {"step=1h&fields=revision", "revision belongs to a stored row"},
    {"group_by=model&fields=route", "route is no field of these rows: it is not in group_by"},
    {"group_by=none&fields=model", "group_by"},
    {"percentiles=95&fields=p50_latency_ms", "p50_latency_ms is not among `percentiles`"},
    {"percentiles=95&fields=p50_ttft_ms", "percentiles"},
    {"fields=p75_latency_ms", "p75_latency_ms is no field"},
    {"percentiles=95&fields=p95.0_latency_ms", "no field"},
    {"percentiles=95&fields=p95_latency", "no field"},
    {"percentiles=95&fields=p95_latency_msx", "no field"},
};

START_TEST(fields_that_the_answer_has_not_are_named)
{
    char text[128];
    snprintf(text, sizeof(text), "tenant_id=a&%s", wrong_fields[_i].text);
    ask_wrong(METRICS, text, "fields", wrong_fields[_i].says);
}
END_TEST

static void check_percentiles(const struct question *q, const char *wanted)
{
    struct buf got = {0};
    for (size_t i = 0; i < q->fields.n; i++) {
        const struct percentile *p = &q->fields.percentiles[i];
        buf_addf(&got, "%s%s=%.9g%s%s", i > 0 ? " " : "", p->digits, p->q, p->latency ? "l" : "",
                 p->ttft ? "t" : "");
    }
    buf_addc(&got, '\0');
    ck_assert_str_eq(got.p, wanted);
    buf_free(&got);
}

static const struct {
    const char *text, *wanted;
} percentiles[] = {
    {"percentiles=50", "50=0.5lt"},
    {"percentiles=", ""},
    {"percentiles=95,50,99.9", "50=0.5lt 95=0.95lt 99.9=0.999lt"},
    {"percentiles=050.0,99.90,100,100.000000", NULL},
    {"percentiles=050.0,99.90,100", "50=0.5lt 99.9=0.999lt 100=1lt"},
    {"percentiles=0.000001,99.999999", "0.000001=1e-08lt 99.999999=0.99999999lt"},
    {"percentiles=100.000000,10", "10=0.1lt 100=1lt"},
    {"percentiles=99.9,95&fields=p95_ttft_ms,requests,p99.9_latency_ms", "95=0.95t 99.9=0.999l"},
    {"percentiles=99.9,95&fields=p95_ttft_ms,p95_latency_ms", "95=0.95lt"}, // the other: not made
    {"percentiles=99&fields=requests", ""},
    {"percentiles=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
     "1=0.01lt 2=0.02lt 3=0.03lt 4=0.04lt 5=0.05lt 6=0.06lt 7=0.07lt 8=0.08lt 9=0.09lt 10=0.1lt "
     "11=0.11lt 12=0.12lt 13=0.13lt 14=0.14lt 15=0.15lt 16=0.16lt"},
};

START_TEST(percentiles_are_the_shortest_digits_in_order)
{
    char text[128];
    snprintf(text, sizeof(text), "tenant_id=a&%s", percentiles[_i].text);
    if (!percentiles[_i].wanted) {
        ask_wrong(METRICS, text, "percentiles", "once");
        return;
    }
    struct question q;
    ask_fine(&q, METRICS, text);
    check_percentiles(&q, percentiles[_i].wanted);
    if (q.fields.n > 0)
        ck_assert_uint_eq(q.fields.bits & (FIELD_LATENCY_PERCENTILES | FIELD_TTFT_PERCENTILES), 0);
    question_clear(&q);
}
END_TEST

// --- the canonical text ---

static const struct {
    enum question_endpoint endpoint;
    const char *one, *other;
    bool same;
} pairs[] = {
    {METRICS, "tenant_id=a&route=b", "route=b&tenant_id=a", true},
    {METRICS, "tenant_id=a&route=b&route=c", "route=c&route=b&tenant_id=a&route=c", true},
    {METRICS, "tenant_id=a", "tenant_id=a&limit=60&order=desc&format=json&fill=none&x=y", true},
    {METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=2026-11-22T03:05:07Z&to=now", true},
    {METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=1795316760&limit=10000", true},
    {METRICS, "tenant_id=a&step=1h", "tenant_id=a&step=60m&tz=UTC&group_by=model,route,tenant_id",
     true},
    {METRICS, "tenant_id=a&percentiles=50,99.90", "tenant_id=a&percentiles=99.9,50.0", true},
    {METRICS, "tenant_id=a&fields=requests,errors", "tenant_id=a&fields=errors,requests", true},
    {ENDPOINT_TOP, "tenant_id=a", "tenant_id=a&by=cost&group_by=model&limit=10&from=now-1h", true},
    {METRICS, "tenant_id=a", "tenant_id=b", false},
    {METRICS, "tenant_id=*&step=1h", "tenant_id=a&step=1h", false},
    {METRICS, "tenant_id=a", "tenant_id=a&route=b", false},
    {METRICS, "tenant_id=a&model=b", "tenant_id=a&route=b", false},
    {METRICS, "tenant_id=a&route=b&route=c", "tenant_id=a&route=b;route=1:c", false},
    {METRICS, "tenant_id=a", "tenant_id=a&from=now-1h&limit=60", false},
    {METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-59m", false},
    {METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-1h&to=now-1m", false},
    {METRICS, "tenant_id=a&step=1d", "tenant_id=a&step=1d&tz=Europe/Berlin", false},
    {METRICS, "tenant_id=a&step=1d&from=now-9d&to=now", "tenant_id=a&step=2d&from=now-9d&to=now",
     false},
    {METRICS, "tenant_id=a&step=1h", "tenant_id=a&step=1h&group_by=model", false},
    {METRICS, "tenant_id=a&step=1h", "tenant_id=a&step=1h&fill=zero", false},
    {METRICS, "tenant_id=a&step=1h&fill=null", "tenant_id=a&step=1h&fill=zero", false},
    {METRICS, "tenant_id=a", "tenant_id=a&order=asc", false},
    {METRICS, "tenant_id=a", "tenant_id=a&limit=61", false},
    {METRICS, "tenant_id=a", "tenant_id=a&format=csv", false},
    {METRICS, "tenant_id=a", "tenant_id=a&fields=requests", false},
    {METRICS, "tenant_id=a", "tenant_id=a&percentiles=50", false},
    {METRICS, "tenant_id=a&percentiles=51", "tenant_id=a&percentiles=50", false},
    {METRICS, "tenant_id=a&percentiles=50&fields=p50_ttft_ms",
     "tenant_id=a&percentiles=50&fields=p50_latency_ms", false},
    {METRICS, "tenant_id=a&from=now-1h&limit=9", "tenant_id=a&from=now-1h&limit=9&group_by=model",
     false},
    {ENDPOINT_TOP, "tenant_id=a", "tenant_id=a&by=errors", false},
    {ENDPOINT_HEATMAP, "tenant_id=a", "tenant_id=a&metric=ttft", false},
    {ENDPOINT_MODELS, "tenant_id=a", "tenant_id=a&prefix=g", false},
    {ENDPOINT_COST, "tenant_id=a", "tenant_id=a&limit=100&group_by=model&from=now-1d&fields=x",
     true},
    {ENDPOINT_COST, "tenant_id=a", "tenant_id=a&group_by=route", false},
};

START_TEST(the_key_is_the_same_for_the_same_question_alone)
{
    char *one = key_of(pairs[_i].endpoint, pairs[_i].one);
    char *other = key_of(pairs[_i].endpoint, pairs[_i].other);
    ck_assert_msg((strcmp(one, other) == 0) == pairs[_i].same, "%s\n%s", one, other);
    free(one);
    free(other);
}
END_TEST

START_TEST(the_key_names_the_endpoint)
{
    char *keys[ENDPOINT_PRICES + 1];
    for (int i = 0; i <= ENDPOINT_PRICES; i++) {
        keys[i] = key_of((enum question_endpoint)i, "tenant_id=a");
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(keys[i], keys[k]);
    }
    for (int i = 0; i <= ENDPOINT_PRICES; i++)
        free(keys[i]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("question");
    tcase_add_loop_test(tc, takes_what_the_original_took, 0, ARRAY_LEN(taken));
    tcase_add_loop_test(tc, refuses_the_rest_by_name, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(tc, rights_decide_whose_rows, 0, ARRAY_LEN(whose));
    tcase_add_loop_test(tc, names_have_the_bounds_of_events, 0, 4);
    tcase_add_loop_test(tc, a_nul_cannot_cut_a_value, 0, 12);
    tcase_add_test(tc, any_of_several_names_each_once_in_order);
    tcase_add_test(tc, a_hundred_names_and_no_more);
    tcase_add_test(tc, three_hundred_parameters_and_no_more);
    tcase_add_loop_test(tc, an_endpoint_has_its_own_parameters, 0, ARRAY_LEN(known));
    tcase_add_loop_test(tc, what_is_asked_decides_what_is_computed, 0, ARRAY_LEN(kinds));
    tcase_add_test(tc, choices_have_their_values);
    tcase_add_test(tc, accept_counts_where_format_is_not_given);
    tcase_add_test(tc, all_fields_come_that_the_answer_has);
    tcase_add_test(tc, only_the_fields_that_are_named);
    tcase_add_loop_test(tc, fields_that_the_answer_has_not_are_named, 0, ARRAY_LEN(wrong_fields));
    tcase_add_loop_test(tc, percentiles_are_the_shortest_digits_in_order, 0,
                        ARRAY_LEN(percentiles));
    tcase_add_loop_test(tc, the_key_is_the_same_for_the_same_question_alone, 0, ARRAY_LEN(pairs));
    tcase_add_test(tc, the_key_names_the_endpoint);
    Suite *suite = suite_create("question");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
