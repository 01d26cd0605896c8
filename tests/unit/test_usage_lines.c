// SPDX-License-Identifier: Apache-2.0
#include "common/core/usage_lines.h"

#include "tests/sim/random.h"

#include <check.h>
#include <stdio.h>

static struct usage_lines lines;

static void make(void)
{
    lines = (struct usage_lines){0};
}

static void clear(void)
{
    usage_lines_clear(&lines);
}

static struct usage_key key_of(const char *model, const char *asked, const char *tier,
                               int64_t context_above)
{
    return (struct usage_key){str_of(model), str_of(asked), str_of(tier), context_above};
}

// A request with so many tokens of the prompt.
static void add_to(struct usage_lines *l, struct usage_key key, int64_t tokens)
{
    usage_lines_add(l, &key, &(struct usage){.requests = 1, .uncached_prompt_tokens = tokens});
}

static void add(const char *model, int64_t tokens)
{
    add_to(&lines, key_of(model, "", "", 0), tokens);
}

static bool same_usage(const struct usage *a, const struct usage *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void expect_same(const struct usage_lines *a, const struct usage_lines *b)
{
    ck_assert_uint_eq(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const struct usage_key *x = &a->v[i].key, *y = &b->v[i].key;
        ck_assert(str_eq(x->model, y->model) && str_eq(x->asked, y->asked));
        ck_assert(str_eq(x->tier, y->tier) && x->context_above == y->context_above);
        ck_assert(same_usage(&a->v[i].sum, &b->v[i].sum));
    }
    ck_assert(same_usage(&a->other, &b->other));
}

// ---- keys ----

START_TEST(every_part_of_the_key_separates_lines)
{
    for (int times = 0; times < 2; times++) {
        add_to(&lines, key_of("m", "", "", 0), 1);
        add_to(&lines, key_of("n", "", "", 0), 1);
        add_to(&lines, key_of("m", "m0", "", 0), 1);
        add_to(&lines, key_of("m", "", "flex", 0), 1);
        add_to(&lines, key_of("m", "", "", 128000), 1);
        // Where one name ends and the next begins is a part of it.
        add_to(&lines, key_of("mf", "", "lex", 0), 1);
        add_to(&lines, key_of("m", "f", "lex", 0), 1);
    }
    ck_assert_uint_eq(lines.n, 7);
    for (size_t i = 0; i < lines.n; i++) {
        ck_assert_int_eq(lines.v[i].sum.requests, 2);
        ck_assert_int_eq(lines.v[i].sum.uncached_prompt_tokens, 2);
    }
    ck_assert_int_eq(lines.other.requests, 0);
}
END_TEST

START_TEST(lines_stand_in_the_order_of_their_keys)
{
    // From the last to the first.
    add_to(&lines, key_of("\xc3\xa9", "", "", 0), 1); // bytewise, and as unsigned bytes
    add_to(&lines, key_of("mm", "", "", 0), 1);
    add_to(&lines, key_of("m", "b", "", 0), 1);
    add_to(&lines, key_of("m", "a", "b", 0), 1);
    add_to(&lines, key_of("m", "a", "a", 0), 1);
    add_to(&lines, key_of("m", "a", "", 200000), 1);
    add_to(&lines, key_of("m", "a", "", 32000), 1);
    add_to(&lines, key_of("m", "", "z", 1000000), 1);
    static const struct {
        const char *model, *asked, *tier;
        int64_t context_above;
    } want[] = {
        {"m", "", "z", 1000000}, {"m", "a", "", 32000},   {"m", "a", "", 200000},
        {"m", "a", "a", 0},      {"m", "a", "b", 0},      {"m", "b", "", 0},
        {"mm", "", "", 0},       {"\xc3\xa9", "", "", 0},
    };
    ck_assert_uint_eq(lines.n, ARRAY_LEN(want));
    for (size_t i = 0; i < lines.n; i++) {
        ck_assert(str_eq(lines.v[i].key.model, str_of(want[i].model)));
        ck_assert(str_eq(lines.v[i].key.asked, str_of(want[i].asked)));
        ck_assert(str_eq(lines.v[i].key.tier, str_of(want[i].tier)));
        ck_assert_int_eq(lines.v[i].key.context_above, want[i].context_above);
    }
}
END_TEST

START_TEST(names_are_copied)
{
    char name[] = "gpt-4o";
    add(name, 1);
    memset(name, 'x', sizeof(name) - 1);
    ck_assert(str_eq(lines.v[0].key.model, STR_LIT("gpt-4o")));
}
END_TEST

START_TEST(absent_names_are_empty_ones)
{
    add_to(&lines, (struct usage_key){.model = STR_LIT("m")}, 1);
    add_to(&lines, key_of("m", "", "", 0), 1);
    ck_assert_uint_eq(lines.n, 1);
    ck_assert_int_eq(lines.v[0].sum.requests, 2);
}
END_TEST

// ---- the fold ----

START_TEST(the_greatest_beyond_64_is_folded_into_other)
{
    char name[8];
    for (int i = USAGE_LINES; i >= 0; i--) { // descending: the greatest are there first
        snprintf(name, sizeof(name), "m%02d", i);
        add(name, i + 1);
        ck_assert_int_eq(lines.other.requests, i == 0 ? 1 : 0);
    }
    ck_assert_uint_eq(lines.n, USAGE_LINES);
    ck_assert(str_eq(lines.v[0].key.model, STR_LIT("m00")));
    ck_assert(str_eq(lines.v[USAGE_LINES - 1].key.model, STR_LIT("m63")));
    ck_assert_int_eq(lines.other.uncached_prompt_tokens, 65);
    add("m64", 5); // and stays there
    ck_assert_uint_eq(lines.n, USAGE_LINES);
    ck_assert_int_eq(lines.other.uncached_prompt_tokens, 70);
    ck_assert_int_eq(lines.other.requests, 2);
    add("m63", 1); // the last line is one still
    ck_assert_int_eq(lines.v[USAGE_LINES - 1].sum.uncached_prompt_tokens, 65);
    ck_assert_int_eq(lines.other.requests, 2);
}
END_TEST

START_TEST(other_as_a_model_means_the_other_line)
{
    add_to(&lines, key_of("__other__", "m", "flex", 32000), 2);
    ck_assert_uint_eq(lines.n, 0);
    ck_assert_int_eq(lines.other.requests, 1);
    add_to(&lines, key_of("m", "__other__", "__other__", 0), 2); // elsewhere it is a name
    add("__other__ ", 2);
    ck_assert_uint_eq(lines.n, 2);
    ck_assert_int_eq(lines.other.requests, 1);
}
END_TEST

START_TEST(merging_adds_lines_and_other)
{
    struct usage_lines more = {0};
    add("b", 1);
    add("__other__", 10);
    add_to(&more, key_of("a", "", "", 0), 100);
    add_to(&more, key_of("b", "", "", 0), 1000);
    add_to(&more, key_of("__other__", "", "", 0), 10000);
    usage_lines_merge(&lines, &more);
    ck_assert_uint_eq(lines.n, 2);
    ck_assert_int_eq(lines.v[0].sum.uncached_prompt_tokens, 100);
    ck_assert_int_eq(lines.v[1].sum.uncached_prompt_tokens, 1001);
    ck_assert_int_eq(lines.v[1].sum.requests, 2);
    ck_assert_int_eq(lines.other.uncached_prompt_tokens, 10010);
    struct usage total = usage_lines_total(&lines);
    ck_assert_int_eq(total.uncached_prompt_tokens, 11111);
    ck_assert_int_eq(total.requests, 5);
    usage_lines_clear(&more);
    ck_assert_uint_eq(more.n, 0);
    ck_assert_int_eq(more.other.requests, 0);
    add_to(&more, key_of("a", "", "", 0), 1); // usable again
    ck_assert_uint_eq(more.n, 1);
    usage_lines_clear(&more);
}
END_TEST

START_TEST(sums_saturate)
{
    add("m", INT64_MAX);
    add("m", 1);
    ck_assert_int_eq(lines.v[0].sum.uncached_prompt_tokens, INT64_MAX);
    add("n", 1);
    ck_assert_int_eq(usage_lines_total(&lines).uncached_prompt_tokens, INT64_MAX);
    ck_assert_int_eq(usage_lines_total(&lines).requests, 3);
}
END_TEST

// ---- whatever the order and the flushes ----

struct sample {
    char model[8], asked[8];
    struct usage_key key;
    struct usage u;
};

static struct usage random_usage(struct random *r)
{
    struct usage u = {.requests = 1};
#define DRAW(name) u.name = random_below(r, 1000000);
    USAGE_CLASSES(DRAW)
#undef DRAW
    return u;
}

static void draw(struct random *r, struct sample *s, int models)
{
    static const int64_t bands[] = USAGE_BANDS;
    static const char *const tiers[] = {"", "", "batch", "flex"};
    int model = random_below(r, models);
    if (random_chance(r, 2))
        snprintf(s->model, sizeof(s->model), "__oth");
    else
        snprintf(s->model, sizeof(s->model), "m%d", model);
    if (random_chance(r, 30))
        snprintf(s->asked, sizeof(s->asked), "a%d", random_below(r, 3));
    else
        s->asked[0] = '\0';
    s->key = key_of(random_chance(r, 3) ? USAGE_OTHER : s->model, s->asked,
                    tiers[random_below(r, ARRAY_LEN(tiers))],
                    random_chance(r, 70) ? 0 : bands[random_below(r, ARRAY_LEN(bands))]);
    s->u = random_usage(r);
}

// In another order, as deltas of random size that are merged into a row, which at times is written
// down and read back as a database would do it.
static void regroup(struct random *r, struct sample *s, int n, struct usage_lines *row)
{
    struct usage_lines delta = {0};
    for (int i = n - 1; i >= 0; i--) {
        int with = random_below(r, i + 1);
        struct sample *picked = &s[with];
        struct usage_key key = picked->key;
        usage_lines_add(&delta, &key, &picked->u);
        s[with].key = s[i].key;
        s[with].u = s[i].u;
        if (i > 0 && random_chance(r, 90))
            continue;
        struct usage_lines read = {0};
        for (size_t k = row->n; k-- > 0;)
            usage_lines_add(&read, &row->v[k].key, &row->v[k].sum);
        struct usage_key other = {.model = STR_LIT(USAGE_OTHER)};
        usage_lines_add(&read, &other, &row->other);
        usage_lines_merge(&read, &delta);
        usage_lines_clear(&delta);
        usage_lines_clear(row);
        *row = read;
    }
}

START_TEST(the_outcome_depends_neither_on_order_nor_on_grouping)
{
    struct random r = {(uint64_t)_i};
    static struct sample samples[400];
    int n = 1 + random_below(&r, 400), models = 1 + random_below(&r, 60);
    struct usage whole = {0};
    for (int i = 0; i < n; i++) {
        draw(&r, &samples[i], models);
        usage_lines_add(&lines, &samples[i].key, &samples[i].u);
        ck_assert_uint_le(lines.n, USAGE_LINES);
        usage_add(&whole, &samples[i].u);
    }
    struct usage total = usage_lines_total(&lines);
    ck_assert(same_usage(&total, &whole)); // the parts are the whole
    struct usage_lines row = {0};
    regroup(&r, samples, n, &row);
    expect_same(&row, &lines);
    usage_lines_clear(&row);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("usage_lines");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, every_part_of_the_key_separates_lines);
    tcase_add_test(tc, lines_stand_in_the_order_of_their_keys);
    tcase_add_test(tc, names_are_copied);
    tcase_add_test(tc, absent_names_are_empty_ones);
    tcase_add_test(tc, the_greatest_beyond_64_is_folded_into_other);
    tcase_add_test(tc, other_as_a_model_means_the_other_line);
    tcase_add_test(tc, merging_adds_lines_and_other);
    tcase_add_test(tc, sums_saturate);
    tcase_add_loop_test(tc, the_outcome_depends_neither_on_order_nor_on_grouping, 0, 300);
    Suite *suite = suite_create("usage_lines");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
