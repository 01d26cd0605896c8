// SPDX-License-Identifier: Apache-2.0
#include "common/core/hist.h"
#include "tests/unit/facts_case.h"

// Lets it go and finds it again.
static const struct facts_block *ended(struct facts_filling *b)
{
    const struct facts_block *block = facts_filling_end(b, DAY);
    enum facts_unit unit = block->unit;
    enum facts_group group = block->group;
    ck_assert_int_eq(block->start_us, DAY);
    ck_assert_int_eq(block->closed_through_us, DAY);
    facts_block_let_go(cache, block);
    const struct facts_block *found =
        facts_cache_find(cache, series, unit, group, DAY, INT64_MAX, &f, 0);
    ck_assert_ptr_eq(found, block);
    return found;
}

START_TEST(rows_ascend_whatever_the_order_they_come_in)
{
    static const int order[] = {7, 0, 9, 3};
    static const int places[] = {0, 3, 7, 9};
    struct facts_filling *b = filling(FACTS_MINUTES, FACTS_SUMS);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct fact_row row = {.window_start_us = DAY + order[i] * US_PER_MIN,
                               .latency_max_us = 1000 + order[i],
                               .ttft_max_us = 2000 + order[i],
                               .price_version = 77};
        int64_t value = 100 * order[i];
#define SET(name) row.name = value++;
        FACT_SUMS(SET)
#undef SET
        add(b, &row);
    }
    const struct facts_block *block = ended(b);
    ck_assert_uint_eq(block->n, ARRAY_LEN(places));
    for (size_t i = 0; i < block->n; i++) {
        ck_assert_int_eq(block->place[i], places[i]);
        const int64_t *columns = block->columns + i * FACTS_SUM_COLUMNS;
        int64_t value = 100 * places[i];
#define SAME(name) ck_assert_int_eq(columns[FACTS_##name], value++);
        FACT_SUMS(SAME)
#undef SAME
        ck_assert_int_eq(columns[FACTS_latency_max_us], 1000 + places[i]);
        ck_assert_int_eq(columns[FACTS_ttft_max_us], 2000 + places[i]);
    }
    facts_block_let_go(cache, block);
}
END_TEST

START_TEST(money_ends_at_an_int64)
{
    struct facts_filling *b = filling(FACTS_HOURS, FACTS_COSTS);
    for (int hour = 23; hour >= 0; hour--) {
        struct fact_row row = {.window_start_us = DAY + hour * US_PER_HOUR,
                               .cost = hour % 2 ? MONEY_MAX : (money)INT64_MAX + 1,
                               .reported_cost = 7 * hour};
        int64_t value = 100 * hour;
#define SET(name) row.name = value++;
        FACT_COSTS(SET)
#undef SET
        row.cache_savings = hour % 2 ? -MONEY_MAX : (money)INT64_MIN + hour;
        row.cost_request = (money)INT64_MAX - hour;
        add(b, &row);
    }
    const struct facts_block *block = ended(b);
    ck_assert_uint_eq(block->n, FACTS_BLOCK_HOURS);
    for (int hour = 0; hour < FACTS_BLOCK_HOURS; hour++) {
        ck_assert_int_eq(block->place[hour], hour);
        const int64_t *columns = block->columns + hour * FACTS_COST_COLUMNS;
        ck_assert_int_eq(columns[FACTS_cost_input], 100 * hour);
        ck_assert_int_eq(columns[FACTS_cost_reasoning], 100 * hour + 5);
        ck_assert_int_eq(columns[FACTS_cost_request], INT64_MAX - hour);
        ck_assert_int_eq(columns[FACTS_cache_savings], INT64_MIN + (hour % 2 ? 0 : hour));
        ck_assert_int_eq(columns[FACTS_cost], INT64_MAX);
        ck_assert_int_eq(columns[FACTS_reported_cost], 7 * hour);
    }
    facts_block_let_go(cache, block);
}
END_TEST

static void same_text(struct str a, const char *b)
{
    ck_assert_msg(str_eq(a, str_of(b)), "%.*s instead of %s", (int)a.n, a.p, b);
}

START_TEST(objects_are_copied)
{
    struct facts_filling *b = filling(FACTS_MINUTES, FACTS_OBJECTS);
    char text[] = "{\"timeout\": 3}";
    add(b,
        &(struct fact_row){.window_start_us = DAY + 5 * US_PER_MIN, .error_classes = str_of(text)});
    add(b, &(struct fact_row){.window_start_us = DAY + 2 * US_PER_MIN,
                              .error_classes = STR_LIT("{}"),
                              .finish_reasons = STR_LIT("{\"stop\": 12}")});
    memset(text, 'x', sizeof(text) - 1);
    const struct facts_block *block = ended(b);
    ck_assert_uint_eq(block->n, 2);
    same_text(block->objects[0], "{}");
    same_text(block->objects[1], "{\"stop\": 12}");
    same_text(block->objects[2], "{\"timeout\": 3}");
    same_text(block->objects[3], "{}"); // was not read
    facts_block_let_go(cache, block);
}
END_TEST

static void same_hist(const struct facts_hist *got, const struct hist *want)
{
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hist_filled(want, filled);
    ck_assert_uint_eq(got->n, n);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(got->index[i], filled[i].index);
        ck_assert_int_eq(got->count[i], filled[i].count);
    }
}

// Rows 4, 3, …, 0: the last is empty, and one was not read.
static void fill_hists(enum facts_group group)
{
    struct hist h[5] = {0};
    struct facts_filling *b = filling(FACTS_MINUTES, group);
    for (int i = 4; i >= 0; i--) {
        for (int k = 0; i != 2 && k < 40 * i; k++)
            hist_record(&h[i], k % 7 == 0 ? 0 : k == 11 ? HIST_MAX_US : k * i * 1000);
        struct buf plain = {0}, bytes = {0};
        hist_encode(&h[i], &plain);
        if (i % 2)
            hist_compress((struct str){plain.p, plain.n}, &bytes);
        else
            buf_add(&bytes, plain.p, plain.n);
        struct str hdr = i == 2 ? (struct str){0} : (struct str){bytes.p, bytes.n};
        struct str other = STR_LIT("of the other group");
        add(b, &(struct fact_row){.window_start_us = DAY + i * US_PER_MIN,
                                  .latency_hdr = group == FACTS_LATENCY ? hdr : other,
                                  .ttft_hdr = group == FACTS_TTFT ? hdr : other});
        buf_free(&plain);
        buf_free(&bytes);
    }
    const struct facts_block *block = ended(b);
    ck_assert_uint_eq(block->n, 5);
    for (int i = 0; i < 5; i++) {
        same_hist(&block->hists[i], &h[i]);
        hist_clear(&h[i]);
    }
    ck_assert_uint_eq(block->hists[0].n, 0);
    facts_block_let_go(cache, block);
}

START_TEST(histograms_are_their_filled_buckets)
{
    fill_hists(FACTS_LATENCY);
    fill_hists(FACTS_TTFT);
}
END_TEST

START_TEST(histograms_that_are_all_empty_take_nothing)
{
    struct facts_filling *b = filling(FACTS_MINUTES, FACTS_TTFT);
    add(b, &(struct fact_row){.window_start_us = DAY});
    const struct facts_block *block = ended(b);
    ck_assert_uint_eq(block->n, 1);
    ck_assert_uint_eq(block->hists[0].n, 0);
    facts_block_let_go(cache, block);
}
END_TEST

START_TEST(what_is_no_histogram_is_refused)
{
    static const char *const names[] = {[FACTS_LATENCY] = "latency_hdr", [FACTS_TTFT] = "ttft_hdr"};
    for (enum facts_group group = FACTS_LATENCY; group <= FACTS_TTFT; group++) {
        struct facts_filling *b = filling(FACTS_MINUTES, group);
        add(b, &(struct fact_row){.window_start_us = DAY});
        struct fact_row row = {.window_start_us = DAY + US_PER_MIN,
                               .latency_hdr = STR_LIT("x"),
                               .ttft_hdr = STR_LIT("x")};
        struct err e = {.detail = ""};
        ck_assert_int_eq(facts_filling_add(b, &row, &e), -1);
        ck_assert_str_eq(e.field, names[group]);
        ck_assert_str_ne(e.detail, "");
        ck_assert_int_eq(facts_filling_add(b, &row, NULL), -1);
        facts_filling_drop(b);
        ck_assert_uint_eq(facts_cache_bytes(cache), 0);
    }
}
END_TEST

START_TEST(windows_of_the_block_alone_are_taken_and_once)
{
    for (enum facts_unit unit = FACTS_MINUTES; unit <= FACTS_HOURS; unit++) {
        int64_t unit_us = facts_unit_us(unit), last_us = DAY + facts_block_us(unit) - unit_us;
        const int64_t wrong[] = {DAY - unit_us, DAY - 1, DAY + 1,   last_us - 1, last_us + unit_us,
                                 DAY,           last_us, INT64_MIN, INT64_MAX};
        struct facts_filling *b = filling(unit, FACTS_OBJECTS);
        add(b, &(struct fact_row){.window_start_us = last_us});
        add(b, &(struct fact_row){.window_start_us = DAY});
        for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
            struct err e = {.detail = ""};
            struct fact_row row = {.window_start_us = wrong[i]};
            ck_assert_int_eq(facts_filling_add(b, &row, &e), -1);
            ck_assert_str_eq(e.field, "window_start");
            ck_assert_str_ne(e.detail, "");
        }
        facts_filling_drop(b);
    }
}
END_TEST

START_TEST(one_without_rows_is_a_block_too)
{
    for (enum facts_group group = 0; group < FACTS_GROUPS; group++) {
        const struct facts_block *block = ended(filling(FACTS_MINUTES, group));
        ck_assert_uint_eq(block->n, 0);
        facts_block_let_go(cache, block);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus_facts_filling");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rows_ascend_whatever_the_order_they_come_in);
    tcase_add_test(t, money_ends_at_an_int64);
    tcase_add_test(t, objects_are_copied);
    tcase_add_test(t, histograms_are_their_filled_buckets);
    tcase_add_test(t, histograms_that_are_all_empty_take_nothing);
    tcase_add_test(t, what_is_no_histogram_is_refused);
    tcase_add_test(t, windows_of_the_block_alone_are_taken_and_once);
    tcase_add_test(t, one_without_rows_is_a_block_too);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
