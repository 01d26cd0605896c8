// SPDX-License-Identifier: Apache-2.0
#include "common/core/price_file.h"
#include "deploy/admin/prices/price_merge.h"

#include <check.h>

// A card of lines such as ",,1,,,4" (tier, above_tokens, input, cached_input, cache_write_5m,
// output, request).
static struct price_card card_of(const char *lines)
{
    struct buf text = {0};
    struct price_card *cards = NULL, card;
    size_t n = 0;
    struct err e;
    buf_adds(&text,
             "model,unit,tier,above_tokens,input,cached_input,cache_write_5m,output,request\n");
    for (const char *p = lines; *p;) {
        size_t length = strcspn(p, "\n");
        buf_addf(&text, "m,USD/Mtok,%.*s\n", (int)length, p);
        p += length + (p[length] == '\n');
    }
    int rc =
        price_file_parse((struct str){text.p, text.n}, NULL, PRICE_FILE_TAKE_SLIPS, &cards, &n, &e);
    ck_assert_msg(rc == 0 && n == 1, "%s %s", e.field, e.detail);
    card = cards[0];
    free(cards);
    buf_free(&text);
    return card;
}

static const struct {
    const char *ours, *list, *merged, *left_out;
} merges[] = {
    // Nothing that only ours has.
    {",,1,,,4,", ",,1,,,4,", ",,1,,,4,", ""},
    {",,1,,,4,", ",,2,,,4,", ",,2,,,4,", ""},
    {",,1,,,4,", ",,1,0.5,,4,\nbatch,,0.5,,,2,", ",,1,0.5,,4,\nbatch,,0.5,,,2,", ""},
    // Cells.
    {",,1,0.1,2,4,0.1", ",,1,,,4,", ",,1,0.1,2,4,0.1", ""},
    {",,1,0.1,2,4,", ",,1,0.2,,4,", ",,1,0.2,2,4,", ""},
    {",,1,0.1,2,4,0.1", ",,1,,,5,", ",,1,,,5,", "cached_input, cache_write_5m, request"},
    {",,1,0.1,2,4,", ",,2,,,4,", ",,2,,,4,", "cached_input"}, // writing costs 2 all the same
    // Bands.
    {",,1,,,4,\n,200000,2,,,8,", ",,1,,,4,", ",,1,,,4,\n,200000,2,,,8,", ""},
    {",,1,,,4,\n,200000,2,,,8,", ",,1.1,,,4,", ",,1.1,,,4,", "above 200000"},
    {",,1,,,4,\n,200000,2,0.1,,8,", ",,1,,,4,\n,200000,2,,,8,", ",,1,,,4,\n,200000,2,0.1,,8,", ""},
    {",,1,,,4,\n,200000,2,0.1,,8,", ",,1,,,4,\n,200000,3,,,8,", ",,1,,,4,\n,200000,3,,,8,",
     "above 200000 cached_input"},
    // Tiers.
    {",,1,,,4,\nbatch,,0.5,,,2,\nflex,,0.5,,,2,", ",,1,,,4,\nflex,,0.6,,,2,",
     ",,1,,,4,\nbatch,,0.5,,,2,\nflex,,0.6,,,2,", ""},
    {",,1,,,4,\nbatch,,0.5,,,2,", ",,1,,,5,", ",,1,,,5,", "batch"},
    {",,1,,,4,\nbatch,,0.5,,,2,\nbatch,200000,1,,,4,", ",,1,,,4,\nbatch,,0.5,,,2,",
     ",,1,,,4,\nbatch,,0.5,,,2,\nbatch,200000,1,,,4,", ""},
    {",,1,,,4,\nbatch,,0.5,0.1,,2,\nbatch,200000,1,,,4,", ",,1,,,4,\nbatch,,0.4,,,2,",
     ",,1,,,4,\nbatch,,0.4,,,2,", "batch cached_input, batch above 200000"},
    {",,1,,,4,\nzeta,,1,,,1,", ",,1,,,4,\nalpha,,1,,,1,\n,32000,2,,,4,",
     ",,1,,,4,\n,32000,2,,,4,\nalpha,,1,,,1,\nzeta,,1,,,1,", ""},
};

START_TEST(what_only_ours_has_stays_or_is_left_out)
{
    struct price_card ours = card_of(merges[_i].ours), list = card_of(merges[_i].list);
    struct price_card want = card_of(merges[_i].merged);
    struct buf left_out = {0}, texts[2] = {{0}};
    struct err e;
    price_merge_into(&list, &ours, &left_out);
    price_file_write_card(&texts[0], &list);
    price_file_write_card(&texts[1], &want);
    ck_assert_msg(texts[0].n == texts[1].n && memcmp(texts[0].p, texts[1].p, texts[0].n) == 0,
                  "%d: %.*s", _i, (int)texts[0].n, texts[0].p);
    ck_assert_msg(str_eq((struct str){left_out.p, left_out.n}, str_of(merges[_i].left_out)),
                  "%d: %.*s", _i, (int)left_out.n, left_out.n ? left_out.p : "");
    ck_assert_int_eq(price_card_check(&list, &e), 0);
    price_card_clear(&ours);
    price_card_clear(&list);
    price_card_clear(&want);
    buf_free(&left_out);
    buf_free(&texts[0]);
    buf_free(&texts[1]);
}
END_TEST

static const struct {
    const char *a, *b;
    bool alike;
} pairs[] = {
    {",,1,,,4,", ",,1,,,4,", true},
    {",,1,,,4,", ",,1,1,1,4,0", true}, // said or not, that is what it costs
    {",,1,,,4,", ",,1,0.5,,4,", false},
    {",,1,,,4,", ",,1,,2,4,", false},
    {",,1,,,4,", ",,1,,,4,0.1", false},
    {",,1,,,4,", ",,1,,,4,\n,200000,1,,,4,", true}, // a band that changes nothing
    {",,1,,,4,", ",,1,,,4,\n,200000,1,,,5,", false},
    {",,1,,,4,", ",,1,,,4,\nbatch,,1,,,4,", false}, // a tier that the other one has no price of
    {",,1,,,4,\nbatch,,1,,,4,", ",,1,,,4,\nflex,,1,,,4,", false},
    {",,1,,,4,\n,32000,2,,,4,\n,200000,2,,,4,", ",,1,,,4,\n,32000,2,,,4,", true},
    {",,1,,,4,\n,32000,2,,,4,\n,200000,2,,,4,", ",,1,,,4,\n,200000,2,,,4,", false},
};

START_TEST(cards_are_alike_where_usage_costs_the_same)
{
    struct price_card a = card_of(pairs[_i].a), b = card_of(pairs[_i].b);
    ck_assert_msg(price_merge_is_alike(&a, &b) == pairs[_i].alike, "%d", _i);
    ck_assert_msg(price_merge_is_alike(&b, &a) == pairs[_i].alike, "%d", _i);
    b.withdrawn = true;
    ck_assert(!price_merge_is_alike(&a, &b));
    a.withdrawn = true;
    ck_assert(price_merge_is_alike(&a, &b));
    price_card_clear(&a);
    price_card_clear(&b);
}
END_TEST

START_TEST(names_come_and_go)
{
    struct price_card card = card_of(",,1,,,4,");
    price_merge_add_alias(&card, "One");
    price_merge_add_alias(&card, "two");
    ck_assert(price_merge_has_name(&card, "M") && price_merge_has_name(&card, "one"));
    ck_assert(!price_merge_has_name(&card, "on"));
    price_merge_remove_alias(&card, "ONE");
    ck_assert_uint_eq(card.alias_count, 1);
    ck_assert(!price_merge_has_name(&card, "one") && price_merge_has_name(&card, "two"));
    price_card_clear(&card);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("price_merge");
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, what_only_ours_has_stays_or_is_left_out, 0, ARRAY_LEN(merges));
    tcase_add_loop_test(tc, cards_are_alike_where_usage_costs_the_same, 0, ARRAY_LEN(pairs));
    tcase_add_test(tc, names_come_and_go);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
