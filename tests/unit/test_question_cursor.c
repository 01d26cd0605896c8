// SPDX-License-Identifier: Apache-2.0
// Pages: a cursor leads back to its place in its question, and nowhere else.
#include "common/core/hash.h"
#include "tests/unit/question_case.h"

#define METRICS ENDPOINT_METRICS
#define LONG_255                                                                                   \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab" \
    "c"                                                                                            \
    "def0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345678" \
    "9"                                                                                            \
    "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

// In the middle of most questions below: 2026-11-22T03:40:00Z.
#define START_US (NOW_MINUTE_US - 26 * US_PER_MIN)

static struct str maybe(const char *text)
{
    return text ? str_of(text) : (struct str){NULL, 0};
}

static struct fold_place place(int64_t start_us, const char *tenant, const char *route,
                               const char *model)
{
    return (struct fold_place){start_us, maybe(tenant), maybe(route), maybe(model)};
}

// The question with the cursor of that place behind it.
static char *next_page(enum question_endpoint endpoint, const char *text, struct fold_place last)
{
    struct question q;
    struct buf next = {0};
    ask_fine(&q, endpoint, text);
    buf_addf(&next, "%s&cursor=", text);
    question_cursor(&q, &last, &next);
    question_clear(&q);
    return buf_steal(&next);
}

static const struct {
    enum question_endpoint endpoint;
    const char *text;
    int64_t start_us;
    const char *tenant, *route, *model;
} pages[] = {
    {METRICS, "tenant_id=a", START_US, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&order=asc&route=/chat&model=gpt&model=b", START_US, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&from=now-1h", START_US, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&from=now-1h", NOW_MINUTE_US - US_PER_HOUR, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&from=now-1h", NOW_MINUTE_US - US_PER_MIN, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&to=now", START_US, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=a&from=2026-11-22T03:00:00Z&to=2026-11-22T04:00:00Z", START_US, "a", "r",
     "\xf0\x9f\x92\xa9"},
    {METRICS, "tenant_id=a&step=5m", START_US, "a", "/chat", "gpt"},
    {METRICS, "tenant_id=*&step=5m&group_by=model", START_US, NULL, NULL, "gpt"},
    {METRICS, "tenant_id=a&group_by=none", START_US, NULL, NULL, NULL},
    {METRICS, "tenant_id=a&step=1d&tz=Europe/Berlin&group_by=route", START_US, NULL, "r", NULL},
    {METRICS, "tenant_id=" LONG_255, START_US, LONG_255, LONG_255, LONG_255},
    {ENDPOINT_SERIES, "tenant_id=a", 0, "a", "/chat", "gpt"},
    {ENDPOINT_TENANTS, "tenant_id=*", 0, "a", NULL, NULL},
    {ENDPOINT_ROUTES, "tenant_id=a&prefix=/", 0, NULL, "/chat", NULL},
    {ENDPOINT_MODELS, "tenant_id=a&from=now-9d", 0, NULL, NULL, "gpt"},
    {ENDPOINT_MODELS, "tenant_id=*", 0, "a", "r", "gpt"},
};

static void check_same(struct str got, const char *wanted)
{
    ck_assert_int_eq(got.p != NULL, wanted != NULL);
    ck_assert(str_eq(got, maybe(wanted)));
}

START_TEST(a_cursor_leads_back_to_its_place)
{
    struct question first, q;
    struct err e;
    ask_fine(&first, pages[_i].endpoint, pages[_i].text);
    char *text =
        next_page(pages[_i].endpoint, pages[_i].text,
                  place(pages[_i].start_us, pages[_i].tenant, pages[_i].route, pages[_i].model));
    ck_assert_uint_eq(strspn(strstr(text, "cursor=") + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                                                          "nopqrstuvwxyz0123456789-_"),
                      strlen(strstr(text, "cursor=") + 7));
    // Two hours later the pages still go through the range of the first one.
    ck_assert_int_eq(ask_at(&q, pages[_i].endpoint, &anybody, text, NOW_US + 2 * US_PER_HOUR, &e),
                     QUESTION_FINE);
    ck_assert(q.has_after);
    ck_assert_int_eq(q.after.start_us, pages[_i].start_us);
    check_same(q.after.tenant_id, pages[_i].tenant);
    check_same(q.after.route, pages[_i].route);
    check_same(q.after.model, pages[_i].model);
    ck_assert_int_eq(q.from_us, first.from_us);
    ck_assert_int_eq(q.to_us, first.to_us);
    ck_assert_int_eq(q.step_us, first.step_us);
    ck_assert_int_eq(q.limit, first.limit);
    ck_assert_uint_eq(q.fields.bits, first.fields.bits);
    question_clear(&first);
    question_clear(&q);
    free(text);
}
END_TEST

START_TEST(a_page_leads_to_the_next)
{
    char *text = next_page(METRICS, "tenant_id=a&from=now-1h", place(START_US, "a", "r", "m"));
    struct question q;
    struct err e;
    struct buf other = {0}, again = {0};
    ck_assert_int_eq(ask_at(&q, METRICS, &anybody, text, NOW_US + US_PER_HOUR, &e), QUESTION_FINE);
    struct fold_place last = place(START_US - US_PER_MIN, "a", "r2", "m2");
    buf_adds(&other, "tenant_id=a&from=now-1h&cursor=");
    question_cursor(&q, &last, &other);
    char *third = buf_steal(&other);
    question_clear(&q);
    ck_assert_int_eq(ask_at(&q, METRICS, &anybody, third, NOW_US + 2 * US_PER_HOUR, &e),
                     QUESTION_FINE);
    ck_assert_int_eq(q.to_us, NOW_MINUTE_US);
    ck_assert_int_eq(q.after.start_us, START_US - US_PER_MIN);
    check_same(q.after.route, "r2");
    question_key(&q, &again);
    char *key = buf_steal(&again), *first = key_of(METRICS, "tenant_id=a&from=now-1h");
    ck_assert_str_ne(key, first); // a page is a question of its own
    question_clear(&q);
    free(text);
    free(third);
    free(key);
    free(first);
}
END_TEST

// The same rows, asked in other words: the cursor of one is good for the other.
static const struct {
    const char *one, *other;
} same[] = {
    {"tenant_id=a", "tenant_id=a&limit=7"},
    {"tenant_id=a", "tenant_id=a&fields=requests"},
    {"tenant_id=a", "tenant_id=a&percentiles=75"},
    {"tenant_id=a", "tenant_id=a&format=csv"},
    {"tenant_id=a", "unknown=1&tenant_id=a&order=desc&fill=none"},
    {"tenant_id=a&route=x&route=y", "route=y&tenant_id=a&route=x&route=y"},
    {"tenant_id=a&from=2026-11-22T03:00:00Z", "tenant_id=a&from=1795316400000"},
    {"tenant_id=a&from=2026-11-22T03:00:00Z", "tenant_id=a&from=2026-11-22T02:59:30Z"},
    {"tenant_id=a&from=now-1h", "tenant_id=a&from=now-60m"},
    {"tenant_id=a&step=5m&fill=zero", "tenant_id=a&step=300"},
};

START_TEST(other_words_are_the_same_question)
{
    char *with = next_page(METRICS, same[_i].one, place(START_US, "a", "r", "m"));
    struct buf text = {0};
    struct question q;
    buf_addf(&text, "%s&%s", same[_i].other, strstr(with, "cursor="));
    buf_addc(&text, '\0');
    ask_fine(&q, METRICS, text.p);
    ck_assert_int_eq(q.after.start_us, START_US);
    question_clear(&q);
    buf_free(&text);
    free(with);
}
END_TEST

static const struct {
    enum question_endpoint from, to;
    const char *one, *other;
} foreign[] = {
    {METRICS, METRICS, "tenant_id=a", "tenant_id=b"},
    {METRICS, METRICS, "tenant_id=a", "tenant_id=a&route=r"},
    {METRICS, METRICS, "tenant_id=a&route=r", "tenant_id=a"},
    {METRICS, METRICS, "tenant_id=a&route=r", "tenant_id=a&model=r"},
    {METRICS, METRICS, "tenant_id=a&model=r", "tenant_id=a&model=s"},
    {METRICS, METRICS, "tenant_id=a&route=r", "tenant_id=a&route=r&route=s"},
    {METRICS, METRICS, "tenant_id=a", "tenant_id=a&order=asc"},
    {METRICS, METRICS, "tenant_id=a", "tenant_id=a&from=now-1h"},
    {METRICS, METRICS, "tenant_id=a", "tenant_id=a&to=now"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h", "tenant_id=a"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-61m"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-1h&to=now"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=2026-11-22T03:06:00Z"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h&to=now", "tenant_id=a&from=now&to=now-1h"},
    {METRICS, METRICS, "tenant_id=a", "tenant_id=a&step=1m"},
    {METRICS, METRICS, "tenant_id=a&step=5m", "tenant_id=a&step=10m"},
    {METRICS, METRICS, "tenant_id=a&step=5m", "tenant_id=a&step=5m&group_by=model,route"},
    {METRICS, METRICS, "tenant_id=a&step=5m", "tenant_id=*&step=5m"},
    {METRICS, METRICS, "tenant_id=a&step=1d", "tenant_id=a&step=1d&tz=Europe/Berlin"},
    {METRICS, METRICS, "tenant_id=a&from=now-1h",
     "tenant_id=a&from=now-1h&group_by=tenant_id,route,model"},
    {METRICS, ENDPOINT_SERIES, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-1h"},
    {ENDPOINT_SERIES, METRICS, "tenant_id=a&from=now-1h", "tenant_id=a&from=now-1h"},
    {ENDPOINT_SERIES, ENDPOINT_MODELS, "tenant_id=a", "tenant_id=a"},
    {ENDPOINT_MODELS, ENDPOINT_MODELS, "tenant_id=a", "tenant_id=a&prefix=m"},
};

static void refuse(enum question_endpoint endpoint, const char *text)
{
    ask_wrong(endpoint, text, "cursor", "is not one of this question");
}

START_TEST(a_cursor_of_another_question_is_refused)
{
    char *with = next_page(foreign[_i].from, foreign[_i].one, place(START_US, "a", "r", "m"));
    struct buf text = {0};
    buf_addf(&text, "%s&%s", foreign[_i].other, strstr(with, "cursor="));
    buf_addc(&text, '\0');
    refuse(foreign[_i].to, text.p);
    buf_free(&text);
    free(with);
}
END_TEST

// The tenant may come of the credential alone.
START_TEST(a_cursor_of_another_tenant_is_refused)
{
    struct question_rights a = {.tenant = STR_LIT("a")}, b = {.tenant = STR_LIT("b")};
    struct question q;
    struct err e;
    struct buf text = {0};
    struct fold_place last = place(START_US, "a", "r", "m");
    ck_assert_int_eq(ask_at(&q, METRICS, &a, "", NOW_US, &e), QUESTION_FINE);
    buf_adds(&text, "cursor=");
    question_cursor(&q, &last, &text);
    buf_addc(&text, '\0');
    question_clear(&q);
    ck_assert_int_eq(ask_at(&q, METRICS, &a, text.p, NOW_US, &e), QUESTION_FINE);
    question_clear(&q);
    ck_assert_int_eq(ask_at(&q, METRICS, &b, text.p, NOW_US, &e), QUESTION_WRONG);
    ck_assert_str_eq(e.field, "cursor");
    question_clear(&q);
    buf_free(&text);
}
END_TEST

// With a name of 1 to 3 bytes, so that the last digit has 0, 2 and 4 bits to spare.
START_TEST(a_damaged_cursor_is_refused)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .";
    char route[] = "abc";
    route[_i + 1] = '\0';
    char *text = next_page(METRICS, "tenant_id=a&from=now-1h", place(START_US, "a", route, "m"));
    for (char *c = strstr(text, "cursor=") + 7; *c; c++) {
        char was = *c;
        for (size_t i = 0; i < sizeof(digits) - 1; i++) {
            *c = digits[i];
            if (digits[i] != was)
                refuse(METRICS, text);
        }
        *c = '\0'; // cut there; without any it would not be given
        if (c[-1] != '=')
            refuse(METRICS, text);
        *c = was;
    }
    struct buf more = {0};
    buf_addf(&more, "%sA", text);
    buf_addc(&more, '\0');
    refuse(METRICS, more.p);
    buf_free(&more);
    free(text);
}
END_TEST

static const char *const made_up[] = {"x",
                                      "AA",
                                      "AQ",
                                      "=",
                                      "null",
                                      "0",
                                      "../../etc/passwd",
                                      "' OR 1=1",
                                      "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                      "\xc3\xa4",
                                      LONG_255 LONG_255 LONG_255 LONG_255 LONG_255};

START_TEST(a_made_up_cursor_is_refused)
{
    struct buf text = {0};
    buf_addf(&text, "tenant_id=a&cursor=%s", made_up[_i]);
    buf_addc(&text, '\0');
    refuse(METRICS, text.p);
    buf_free(&text);
}
END_TEST

// Whoever reads the source can make a cursor with the hash that fits. So one is made here, of a
// question as it should never have been asked.
static const struct {
    const char *text;
    int64_t from_us, to_us;
    struct fold_place place;
} forged[] = {
#define HOUR NOW_MINUTE_US - US_PER_HOUR, NOW_MINUTE_US
#define NAMED                                                                                      \
    {"a", 1}, {"r", 1},                                                                            \
    {                                                                                              \
        "m", 1                                                                                     \
    }
    {"tenant_id=a&from=now-1h", INT64_MIN, NOW_MINUTE_US, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", NOW_MINUTE_US - US_PER_HOUR, INT64_MAX, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", INT64_MIN, INT64_MAX, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", NOW_MINUTE_US, NOW_MINUTE_US - US_PER_HOUR, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", NOW_MINUTE_US, NOW_MINUTE_US, {NOW_MINUTE_US, NAMED}},
    {"tenant_id=a&from=now-1h", NOW_MINUTE_US - US_PER_HOUR + 1, NOW_MINUTE_US, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", NOW_MINUTE_US - US_PER_HOUR, NOW_MINUTE_US + 1, {START_US, NAMED}},
    {"tenant_id=a&from=now-1h",
     NOW_MINUTE_US - 4001 * US_PER_DAY,
     NOW_MINUTE_US,
     {START_US, NAMED}},
    {"tenant_id=a&from=now-1h",
     INT64_MIN / US_PER_MIN *US_PER_MIN,
     NOW_MINUTE_US,
     {START_US, NAMED}},
    {"tenant_id=a&from=now-1h",
     NOW_MINUTE_US - US_PER_HOUR,
     INT64_MAX / US_PER_MIN *US_PER_MIN,
     {START_US, NAMED}},
    {"tenant_id=a&from=now-1h", HOUR, {NOW_MINUTE_US, NAMED}},
    {"tenant_id=a&from=now-1h", HOUR, {NOW_MINUTE_US - US_PER_HOUR - 1, NAMED}},
    {"tenant_id=a&from=now-1h", HOUR, {START_US, {NULL, 0}, {"r", 1}, {"m", 1}}},
    {"tenant_id=a&from=now-1h", HOUR, {START_US, {"a", 1}, {"r", 1}, {NULL, 0}}},
    {"tenant_id=a&from=now-1h", HOUR, {START_US, {"a", 1}, {"\0", 1}, {"m", 1}}},
    {"tenant_id=a&from=now-1h", HOUR, {START_US, {"a", 1}, {"r", 1}, {"\xff", 1}}},
    {"tenant_id=a&step=1m&group_by=model", HOUR, {START_US, NAMED}},
    {"tenant_id=a&step=1m&group_by=model",
     INT64_MIN,
     INT64_MAX,
     {START_US, {NULL, 0}, {NULL, 0}, {"m", 1}}},
    {"tenant_id=a", HOUR, {START_US, NAMED}},
};

START_TEST(a_forged_cursor_is_held_to_what_can_be_asked)
{
    struct question q;
    struct buf text = {0};
    ask_fine(&q, METRICS, forged[_i].text);
    q.from_us = forged[_i].from_us;
    q.to_us = forged[_i].to_us;
    buf_addf(&text, "%s&cursor=", forged[_i].text);
    question_cursor(&q, &forged[_i].place, &text);
    buf_addc(&text, '\0');
    question_clear(&q);
    refuse(METRICS, text.p);
    buf_free(&text);
}
END_TEST

START_TEST(a_forged_list_has_a_range_and_the_name_that_it_goes_on_from)
{
    char *text = next_page(ENDPOINT_MODELS, "tenant_id=a", place(0, "a", "r", NULL));
    refuse(ENDPOINT_MODELS, text);
    free(text);
    static const int64_t from_us[] = {INT64_MIN, NOW_MINUTE_US};
    for (size_t i = 0; i < ARRAY_LEN(from_us); i++) {
        struct question q;
        struct buf forged_text = {0};
        struct fold_place last = place(0, NULL, NULL, "m");
        ask_fine(&q, ENDPOINT_MODELS, "tenant_id=a");
        q.from_us = from_us[i];
        buf_adds(&forged_text, "tenant_id=a&cursor=");
        question_cursor(&q, &last, &forged_text);
        buf_addc(&forged_text, '\0');
        question_clear(&q);
        refuse(ENDPOINT_MODELS, forged_text.p);
        buf_free(&forged_text);
    }
}
END_TEST

// Of a page's bytes, with the hash that fits: a question of rows without a range.
static char *forge(const void *bytes, size_t n)
{
    struct question q;
    struct buf hashed = {0}, page = {0}, text = {0};
    ask_fine(&q, METRICS, "tenant_id=a");
    question_key(&q, &hashed);
    hashed.n = (size_t)((const char *)memmem(hashed.p, hashed.n, ";from=", 6) + 1 - hashed.p);
    buf_adds(&hashed, "from=0:0;to=0:0;");
    buf_add(&hashed, bytes, n);
    uint64_t hash = hash_stable64(hashed.p, hashed.n);
    buf_add(&page, bytes, n);
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_addc(&page, (char)(hash >> shift & 0xff));
    buf_adds(&text, "tenant_id=a&cursor=");
    buf_add_base64(&text, page.p, page.n);
    buf_addc(&text, '\0');
    for (char *c = text.p + strlen("tenant_id=a&cursor="); *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    question_clear(&q);
    buf_free(&hashed);
    buf_free(&page);
    return buf_steal(&text);
}

#define OPEN_PAGE "\200\0\0\0\0\0\0\0\177\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0"
static const struct str broken[] = {
    STR_LIT("\2" OPEN_PAGE "\1a\1r\1m"), // of another version
    STR_LIT("\0" OPEN_PAGE "\1a\1r\1m"),
    STR_LIT("\1" OPEN_PAGE "\1a\1r\1mm"), // bytes behind the names
    STR_LIT("\1" OPEN_PAGE "\1a\1r\1m\0"),
    STR_LIT("\1" OPEN_PAGE "\1a\1r\2m"), // a name beyond the end
    STR_LIT("\1" OPEN_PAGE "\1a\1r\377m"),
    STR_LIT("\1" OPEN_PAGE "\1a\3r\1m"), // and a name too few
    STR_LIT("\1" OPEN_PAGE "\5a\1r\1m"),   STR_LIT("\1" OPEN_PAGE), STR_LIT("\1"), STR_LIT(""),
};

START_TEST(a_forged_page_is_read_to_its_end)
{
    char *good = forge(STR_LIT("\1" OPEN_PAGE "\1a\1r\1m").p, 1 + 24 + 6);
    struct question q;
    ask_fine(&q, METRICS, good); // else the forgery proves nothing
    question_clear(&q);
    free(good);
    char *bad = forge(broken[_i].p, broken[_i].n);
    refuse(METRICS, bad);
    free(bad);
}
END_TEST

// Another process, of another build, may answer the next page: only a new version changes the text.
START_TEST(a_cursor_is_the_same_everywhere)
{
    char *text = next_page(METRICS, "tenant_id=a", place(START_US, "a", "r", "m"));
    ck_assert_str_eq(strstr(text, "cursor="),
                     "cursor=AYAAAAAAAAAAf_________8ABmDVO1UkAAFhAXIBbcdFw0505ye9");
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("question_cursor");
    tcase_add_loop_test(tc, a_cursor_leads_back_to_its_place, 0, ARRAY_LEN(pages));
    tcase_add_test(tc, a_page_leads_to_the_next);
    tcase_add_loop_test(tc, other_words_are_the_same_question, 0, ARRAY_LEN(same));
    tcase_add_loop_test(tc, a_cursor_of_another_question_is_refused, 0, ARRAY_LEN(foreign));
    tcase_add_test(tc, a_cursor_of_another_tenant_is_refused);
    tcase_add_loop_test(tc, a_damaged_cursor_is_refused, 0, 3);
    tcase_add_loop_test(tc, a_made_up_cursor_is_refused, 0, ARRAY_LEN(made_up));
    tcase_add_loop_test(tc, a_forged_cursor_is_held_to_what_can_be_asked, 0, ARRAY_LEN(forged));
    tcase_add_test(tc, a_forged_list_has_a_range_and_the_name_that_it_goes_on_from);
    tcase_add_loop_test(tc, a_forged_page_is_read_to_its_end, 0, ARRAY_LEN(broken));
    tcase_add_test(tc, a_cursor_is_the_same_everywhere);
    Suite *suite = suite_create("question_cursor");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
