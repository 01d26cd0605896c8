// SPDX-License-Identifier: Apache-2.0
// The settings of a partition beside their definitions, worked out by trying every instant of a
// short time line.
#include "processor/settings.h"

#include "tests/support/random_settings.h"

#include <check.h>

// Everything that is asked for lies between the two, with room for what it leads to.
#define FIRST (-300)
#define LAST 300
#define WAIT_MAX 40

static void draw(struct random *r, struct settings *s, size_t count)
{
    random_settings(r, s, count, -60, WAIT_MAX);
}

// ---- the definitions ----

static int64_t wait_at(const struct settings *s, enum event_kind kind, int64_t time_ms)
{
    const struct settings_epoch *found = &s->epochs[0];
    for (size_t i = 1; i < s->count; i++)
        if (s->epochs[i].from_ms <= time_ms)
            found = &s->epochs[i];
    return kind == EVENT_REQUEST ? found->ttl_ms : found->skew_ms;
}

// Its own epoch's wait, and no less than whoever came before.
static int64_t until(const struct settings *s, enum event_kind kind, int64_t time_ms)
{
    int64_t until_ms = INT64_MIN;
    for (int64_t t = time_ms - 2 * WAIT_MAX; t <= time_ms; t++)
        until_ms = max_i64(until_ms, t + wait_at(s, kind, t));
    return until_ms;
}

static int64_t repeat_until(const struct settings *s, enum event_kind kind, int64_t time_ms)
{
    return until(s, 1 - kind, until(s, kind, time_ms));
}

static int64_t remembered_from(const struct settings *s, enum event_kind kind, int64_t now_ms)
{
    int64_t t = now_ms;
    while (repeat_until(s, kind, t - 1) >= now_ms)
        t--;
    return t;
}

// ---- against them ----

START_TEST(waits_and_memory_are_what_the_definitions_say)
{
    struct random r = {(uint64_t)_i};
    struct settings s;
    draw(&r, &s, 1 + (size_t)random_below(&r, 4));
    for (int64_t t = -120; t < 200; t++) {
        ck_assert_int_eq(settings_answer_by(&s, t), until(&s, EVENT_REQUEST, t));
        ck_assert_int_eq(settings_request_by(&s, t), until(&s, EVENT_RESPONSE, t));
        int64_t replay_ms = INT64_MAX;
        for (enum event_kind k = 0; k < 2; k++) {
            ck_assert_int_eq(settings_repeat_until(&s, k, t), repeat_until(&s, k, t));
            int64_t from_ms = remembered_from(&s, k, t);
            ck_assert_int_eq(settings_remembered_from(&s, k, t), from_ms);
            replay_ms = min_i64(replay_ms, remembered_from(&s, k, from_ms));
        }
        ck_assert_int_eq(settings_replay_from(&s, t), replay_ms);
    }
}
END_TEST

START_TEST(nothing_falls_as_time_goes_on)
{
    struct random r = {(uint64_t)_i};
    struct settings s;
    draw(&r, &s, SETTINGS_EPOCHS_MAX);
    for (int64_t t = FIRST; t < 10 * LAST; t++) {
        ck_assert_int_ge(settings_answer_by(&s, t), settings_answer_by(&s, t - 1));
        ck_assert_int_ge(settings_request_by(&s, t), settings_request_by(&s, t - 1));
        ck_assert_int_ge(settings_replay_from(&s, t), settings_replay_from(&s, t - 1));
        for (enum event_kind k = 0; k < 2; k++) {
            int64_t from_ms = settings_remembered_from(&s, k, t);
            ck_assert_int_ge(from_ms, settings_remembered_from(&s, k, t - 1));
            // The inverse, exactly: one instant before it is forgotten.
            ck_assert_int_ge(settings_repeat_until(&s, k, from_ms), t);
            ck_assert_int_lt(settings_repeat_until(&s, k, from_ms - 1), t);
        }
    }
}
END_TEST

START_TEST(one_epoch_is_ttl_and_skew)
{
    const struct settings s = {1, {{1, TIME_NONE, 300000, 60000, 1}}};
    const int64_t t = INT64_C(1795241640000), d_ms = 360000;
    ck_assert_int_eq(settings_answer_by(&s, t), t + 300000);
    ck_assert_int_eq(settings_request_by(&s, t), t + 60000);
    for (enum event_kind k = 0; k < 2; k++) {
        ck_assert_int_eq(settings_repeat_until(&s, k, t), t + d_ms);
        ck_assert_int_eq(settings_remembered_from(&s, k, t), t - d_ms);
        ck_assert_int_eq(settings_remembered_from(&s, k, TIME_NONE), TIME_NONE);
    }
    ck_assert_int_eq(settings_replay_from(&s, t), t - 2 * d_ms);
    ck_assert_int_eq(settings_replay_from(&s, TIME_NONE), TIME_NONE);
}
END_TEST

START_TEST(an_epoch_holds_from_its_first_instant_on)
{
    const struct settings s = {
        3, {{4, TIME_NONE, 50, 10, 2}, {5, 1000, 50, 10, 5}, {7, 1001, 80, 10, 5}}};
    ck_assert_int_eq(settings_at(&s, TIME_NONE)->epoch, 4);
    ck_assert_int_eq(settings_at(&s, 999)->epoch, 4);
    ck_assert_int_eq(settings_at(&s, 1000)->epoch, 5);
    ck_assert_int_eq(settings_at(&s, 1001)->epoch, 7);
    ck_assert_int_eq(settings_at(&s, INT64_MAX)->epoch, 7);
    ck_assert_int_eq(settings_newest(&s)->epoch, 7);
}
END_TEST

// A request at 999 would have waited until 1049; those of the lower TTL wait no less until theirs
// is longer again.
START_TEST(a_shorter_wait_begins_where_the_longer_ones_end)
{
    const struct settings s = {2, {{1, TIME_NONE, 50, 10, 1}, {2, 1000, 20, 10, 1}}};
    ck_assert_int_eq(settings_answer_by(&s, 999), 1049);
    ck_assert_int_eq(settings_answer_by(&s, 1000), 1049);
    ck_assert_int_eq(settings_answer_by(&s, 1029), 1049);
    ck_assert_int_eq(settings_answer_by(&s, 1030), 1050);
}
END_TEST

// ---- what follows from them ----

#define RECORDS 60

// Times of those records of one identity that repeat none before.
static size_t draw_survivors(struct random *r, const struct settings *s, enum event_kind kind,
                             int64_t *v)
{
    size_t n = 0;
    int64_t t = -100, seen_ms = TIME_NONE;
    for (int i = 0; i < RECORDS; i++) {
        t += random_below(r, random_chance(r, 50) ? 3 : WAIT_MAX);
        if (seen_ms == TIME_NONE || t > settings_repeat_until(s, kind, seen_ms))
            v[n++] = t;
        seen_ms = t;
    }
    return n;
}

static void expect_unique_partners(struct random *r)
{
    struct settings s;
    int64_t v[2][RECORDS];
    size_t n[2];
    draw(r, &s, 1 + (size_t)random_below(r, 4));
    for (enum event_kind k = 0; k < 2; k++)
        n[k] = draw_survivors(r, &s, k, v[k]);
    int partners[2][RECORDS] = {0};
    for (size_t q = 0; q < n[0]; q++)
        for (size_t a = 0; a < n[1]; a++)
            if (v[1][a] <= settings_answer_by(&s, v[0][q]) &&
                v[0][q] <= settings_request_by(&s, v[1][a])) {
                ck_assert_int_eq(++partners[0][q], 1);
                ck_assert_int_eq(++partners[1][a], 1);
            }
}

START_TEST(whoever_survives_the_dedup_has_one_partner_at_most)
{
    struct random r = {(uint64_t)_i};
    for (int i = 0; i < 500; i++)
        expect_unique_partners(&r);
}
END_TEST

// All that was judged before an epoch begins is judged alike with and without it: records up to
// then are told apart, matched, given up and replayed as they were.
START_TEST(a_later_epoch_changes_nothing_up_to_its_border)
{
    struct random r = {(uint64_t)_i};
    struct settings before, after;
    draw(&r, &after, 2 + (size_t)random_below(&r, 3));
    before = after;
    before.count--;
    int64_t border_ms = settings_newest(&after)->from_ms;
    for (int64_t t = border_ms - 150; t < border_ms; t++) {
        ck_assert_int_eq(settings_answer_by(&after, t), settings_answer_by(&before, t));
        ck_assert_int_eq(settings_request_by(&after, t), settings_request_by(&before, t));
        ck_assert_int_eq(settings_replay_from(&after, t), settings_replay_from(&before, t));
        for (enum event_kind k = 0; k < 2; k++) {
            ck_assert_int_eq(settings_remembered_from(&after, k, t),
                             settings_remembered_from(&before, k, t));
            for (int64_t x = t; x < border_ms; x++)
                ck_assert_int_eq(x <= settings_repeat_until(&after, k, t),
                                 x <= settings_repeat_until(&before, k, t));
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("settings");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, waits_and_memory_are_what_the_definitions_say, 0, 40);
    tcase_add_loop_test(tc, nothing_falls_as_time_goes_on, 0, 20);
    tcase_add_test(tc, one_epoch_is_ttl_and_skew);
    tcase_add_test(tc, an_epoch_holds_from_its_first_instant_on);
    tcase_add_test(tc, a_shorter_wait_begins_where_the_longer_ones_end);
    tcase_add_loop_test(tc, whoever_survives_the_dedup_has_one_partner_at_most, 0, 10);
    tcase_add_loop_test(tc, a_later_epoch_changes_nothing_up_to_its_border, 0, 50);
    Suite *suite = suite_create("settings");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
