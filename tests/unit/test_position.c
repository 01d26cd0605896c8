// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/position.h"

#include "tests/sim/random.h"

#include <check.h>
#include <stdio.h>

#define DATABASE "0123456789abcdef"

static struct position parsed(const char *snapshot)
{
    struct position p;
    struct err e;
    char text[200];
    snprintf(text, sizeof(text), DATABASE "-%s", snapshot);
    ck_assert_int_eq(position_parse(&p, str_of(text), &e), 0);
    return p;
}

static bool covers(const char *whole, const char *part)
{
    struct position a = parsed(whole), b = parsed(part);
    bool is = position_covers(&a, &b);
    position_clear(&a);
    position_clear(&b);
    return is;
}

START_TEST(a_position_is_written_as_it_was_read)
{
    static const char *const snapshots[] = {"1:1:", "5:9:5", "5:9:5,7,8",
                                            "4294967300:4294967400:4294967300,4294967399"};
    for (size_t i = 0; i < ARRAY_LEN(snapshots); i++) {
        struct position p = parsed(snapshots[i]), copy = {0};
        struct buf text = {0};
        position_copy(&copy, &p);
        position_clear(&p);
        ck_assert(!position_is_set(&p));
        position_text(&copy, &text);
        buf_addc(&text, '\0');
        ck_assert_str_eq(text.p + POSITION_DATABASE + 1, snapshots[i]);
        ck_assert_mem_eq(text.p, DATABASE "-", POSITION_DATABASE + 1);
        buf_free(&text);
        position_clear(&copy);
    }
}
END_TEST

START_TEST(anything_else_is_refused)
{
    static const char *const wrong[] = {
        "",
        DATABASE,
        DATABASE "-",
        DATABASE "-5",
        DATABASE "-5:6",
        DATABASE "-:6:",
        DATABASE "-5::",
        DATABASE "-0:6:",
        DATABASE "-6:5:",
        DATABASE "-5:9:4",
        DATABASE "-5:9:9",
        DATABASE "-5:9:7,6",
        DATABASE "-5:9:7,7",
        DATABASE "-5:9:7,",
        DATABASE "-5:9:,7",
        DATABASE "-5:9: 7",
        DATABASE "-5:9:7 ",
        DATABASE "-+5:9:",
        DATABASE "-5:4611686018427387904:",
        DATABASE "-5:99999999999999999999999999:",
        DATABASE "0-5:9:",
        "0123456789abcde-5:9:",
        "0123456789ABCDEF-5:9:",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct position p;
        struct err e;
        ck_assert_msg(position_parse(&p, str_of(wrong[i]), &e) == -1, "%s", wrong[i]);
        ck_assert_str_eq(e.field, "last_event_id");
        ck_assert(!position_is_set(&p));
    }
}
END_TEST

START_TEST(a_position_covers_what_it_has_all_of)
{
    ck_assert(covers("5:9:5", "5:9:5"));
    ck_assert(covers("9:9:", "5:9:5"));
    ck_assert(covers("5:12:5,10", "5:9:5"));
    ck_assert(!covers("5:9:5", "9:9:"));
    ck_assert(!covers("5:8:5", "5:9:5"));
    ck_assert(!covers("5:12:5,7", "5:9:5"));
    ck_assert(covers("5:12:5,9", "5:9:5"));
}
END_TEST

// By its meaning: of each transaction.
static bool sees(const struct position *p, uint64_t xid)
{
    for (size_t i = 0; i < p->running_count; i++)
        if (p->running[i] == xid)
            return false;
    return xid < p->xmax;
}

START_TEST(it_covers_another_where_it_sees_all_that_the_other_sees)
{
    struct random r = {(uint64_t)_i + 1};
    struct position p[2];
    for (int k = 0; k < 2; k++) {
        uint64_t running[8];
        p[k] = (struct position){.database = DATABASE, .xmin = 1, .running = running};
        p[k].xmax = (uint64_t)random_below(&r, 9) + 1;
        // The last one before xmax has ended: it is what made it xmax.
        for (uint64_t xid = 1; xid + 1 < p[k].xmax; xid++)
            if (random_below(&r, 3) == 0)
                running[p[k].running_count++] = xid;
        struct position on_stack = p[k];
        p[k] = (struct position){0};
        position_copy(&p[k], &on_stack);
    }
    bool all = true;
    for (uint64_t xid = 1; xid < 12; xid++)
        all = all && (sees(&p[0], xid) || !sees(&p[1], xid));
    ck_assert_int_eq(position_covers(&p[0], &p[1]), all);
    position_clear(&p[0]);
    position_clear(&p[1]);
}
END_TEST

START_TEST(one_that_is_too_long_covers_less)
{
    struct position p = {.database = DATABASE, .xmin = 1000000, .xmax = 2000000}, short_one;
    struct buf text = {0};
    struct err e;
    p.running_count = 500;
    p.running = xmalloc(p.running_count * sizeof(*p.running));
    for (size_t i = 0; i < p.running_count; i++)
        p.running[i] = p.xmin + 2 * i;
    position_text(&p, &text);
    ck_assert_uint_le(text.n, POSITION_TEXT_MAX);
    ck_assert_int_eq(position_parse(&short_one, (struct str){text.p, text.n}, &e), 0);
    ck_assert(position_covers(&p, &short_one));
    ck_assert(!position_covers(&short_one, &p));
    p.running_count = 200;
    buf_clear(&text);
    position_text(&p, &text);
    ck_assert_uint_gt(text.n, 200 * 8);
    position_clear(&short_one);
    position_clear(&p);
    buf_free(&text);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("position");
    tcase_add_test(t, a_position_is_written_as_it_was_read);
    tcase_add_test(t, anything_else_is_refused);
    tcase_add_test(t, a_position_covers_what_it_has_all_of);
    tcase_add_loop_test(t, it_covers_another_where_it_sees_all_that_the_other_sees, 0, 500);
    tcase_add_test(t, one_that_is_too_long_covers_less);
    Suite *s = suite_create("position");
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
