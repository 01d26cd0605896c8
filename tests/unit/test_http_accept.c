// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_accept.h"

#include <check.h>
#include <stdio.h>

static const char *const types[] = {"application/json", "text/csv", "application/x-ndjson"};

static void expect_gzip(const char *field, bool wanted)
{
    ck_assert_msg(http_accept_gzip(str_of(field)) == wanted, "Accept-Encoding: %s", field);
}

static void expect_type(const char *field, int wanted)
{
    int got = http_accept_best(str_of(field), types, ARRAY_LEN(types));
    ck_assert_msg(got == wanted, "Accept: %s: %d", field, got);
}

static void expect_listed(const char *field, const char *etag, bool wanted)
{
    ck_assert_msg(http_etag_is_listed(str_of(field), etag) == wanted, "If-None-Match: %s, %s",
                  field, etag);
}

START_TEST(gzip_is_taken_where_it_is_named_or_anything_is)
{
    expect_gzip("gzip", true);
    expect_gzip("GZip", true);
    expect_gzip("x-gzip", true);
    expect_gzip("deflate, gzip, br", true);
    expect_gzip(" ,, br\t,\tgzip ", true);
    expect_gzip("*", true);
    expect_gzip("br, *;q=0.1", true);
    expect_gzip("gzip;q=0.001", true);
    expect_gzip("gzip ; q=1.000", true);
    expect_gzip("gzip;Q=0.5", true);
    expect_gzip("gzip;other=\"a,b;q=0\";q=0.5", true);
}
END_TEST

START_TEST(gzip_is_not_taken_where_it_is_not_named_or_refused)
{
    ck_assert(!http_accept_gzip((struct str){NULL, 0}));
    expect_gzip("", false);
    expect_gzip("identity", false);
    expect_gzip("br, deflate", false);
    expect_gzip("gzipped", false);
    expect_gzip("gzi", false);
    expect_gzip("gzip;q=0", false);
    expect_gzip("gzip;q=0.000", false);
    expect_gzip("gzip;Q=0", false);
    expect_gzip("br;a=\"\\\", gzip, \"", false);
    expect_gzip("gzip;q=0, *", false);
    expect_gzip("*, gzip;q=0", false);
    expect_gzip("*;q=0", false);
    expect_gzip("\"gzip, gzip", false);
}
END_TEST

START_TEST(gzip_is_not_sent_to_who_would_rather_have_none)
{
    expect_gzip("gzip;q=0.5, identity", false);
    expect_gzip("identity;q=0.6, gzip;q=0.5", false);
    expect_gzip("identity;q=0.5, gzip;q=0.5", true);
    expect_gzip("gzip;q=0.5, identity;q=0", true);
    expect_gzip("gzip;q=0.5, *", false);
    expect_gzip("gzip;q=0.5, *;q=0", true);
}
END_TEST

START_TEST(a_weight_is_a_number_from_0_to_1_or_its_element_counts_for_nothing)
{
    expect_gzip("gzip;q=", false);
    expect_gzip("gzip;q=2", false);
    expect_gzip("gzip;q=1.001", false);
    expect_gzip("gzip;q=-1", false);
    expect_gzip("gzip;q=0.5x", false);
    expect_gzip("gzip;q=.", false);
    expect_gzip("gzip;q=, *", true); // as if it were not named
    expect_gzip("gzip;q=., *", true);
    expect_gzip("gzip;q=high, *", true);
    expect_gzip("gzip;q=.2", true);
    expect_gzip("gzip;q=1.", true);
    expect_gzip("gzip;q=0.0001", false); // three digits count
    expect_gzip("gzip;q=0.99999999999999999999999999", true);
}
END_TEST

START_TEST(the_first_of_two_holds)
{
    expect_gzip("gzip;q=0, gzip", false);
    expect_gzip("gzip, gzip;q=0", true);
    expect_gzip("gzip;q=0;q=1", false);
    expect_type("application/json;q=0, application/json, text/csv;q=0.1", 1);
}
END_TEST

START_TEST(without_a_field_or_sense_the_first_type_is_taken)
{
    ck_assert_int_eq(http_accept_best((struct str){NULL, 0}, types, 3), 0);
    expect_type("", 0);
    expect_type(" , ,", 0);
    expect_type("json", 0);
    expect_type("/, /x, x/", 0);
    expect_type("text/csv;q=x", 0);
}
END_TEST

START_TEST(the_heaviest_type_wins_and_among_equals_the_first_of_ours)
{
    expect_type("text/csv", 1);
    expect_type("TEXT/Csv", 1);
    expect_type("text/csv, application/json", 0);
    expect_type("text/csv, application/json;q=0.9", 1);
    expect_type("application/json;q=0.3, text/csv;q=0.2, application/x-ndjson;q=0.301", 2);
    expect_type("*/*", 0);
    expect_type("*", 0);
    expect_type("text/*", 1);
    expect_type("text/html, */*;q=0.8", 0);
    expect_type("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 0);
    expect_type("text/csv;header=present", 1);
    expect_type("text/csv; note=\"a, application/json\"; q=0.5", 1);
}
END_TEST

START_TEST(the_closest_range_gives_the_weight)
{
    expect_type("*/*, application/*;q=0.5", 1);
    expect_type("application/*;q=0.5, */*", 1);
    expect_type("application/*, application/json;q=0.5, text/csv;q=0.6", 2);
    expect_type("*/*, application/json;q=0", 1);
    expect_type("application/json;q=0, text/csv;q=0, */*", 2);
    expect_type("text/*;q=0.9, */*;q=0.1", 1);
}
END_TEST

START_TEST(what_is_not_taken_is_none)
{
    expect_type("text/html", -1);
    expect_type("image/*", -1);
    expect_type("*/*;q=0", -1);
    expect_type("text/cs", -1);
    expect_type("text/csvx", -1);
    expect_type("tex/*", -1);
    expect_type("text/*x", -1);
    expect_type("application/json;q=0, text/html", -1);
}
END_TEST

START_TEST(an_entity_tag_is_found_in_a_list_and_compared_weakly)
{
    expect_listed("\"a\"", "\"a\"", true);
    expect_listed("W/\"a\"", "\"a\"", true);
    expect_listed("\"a\"", "W/\"a\"", true);
    expect_listed("W/\"a\"", "W/\"a\"", true);
    expect_listed("\"x\", W/\"y\" ,\t\"a\"", "\"a\"", true);
    expect_listed(",, \"a\" ,", "\"a\"", true);
    expect_listed("\"x,\", \"a,b\"", "\"a,b\"", true);
    expect_listed("\"\"", "\"\"", true);
    expect_listed("*", "\"a\"", true);
    expect_listed(" * ", "\"a\"", true);
}
END_TEST

START_TEST(other_entity_tags_are_not_it)
{
    ck_assert(!http_etag_is_listed((struct str){NULL, 0}, "\"a\""));
    expect_listed("", "\"a\"", false);
    expect_listed("\"A\"", "\"a\"", false);
    expect_listed("\"ab\", \"\"", "\"a\"", false);
    expect_listed("\"x, \"a\"", "\"a\"", false);
    expect_listed("a", "\"a\"", false);
    expect_listed("w/\"a\"", "\"a\"", false);
    expect_listed("W/a", "\"a\"", false);
    expect_listed("\"a", "\"a\"", false);
    expect_listed("\"x\" \"a\"", "\"a\"", false);
    expect_listed("*, \"x\"", "\"a\"", false);
    expect_listed("W/", "\"a\"", false);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("http_accept");
    tcase_add_test(tc, gzip_is_taken_where_it_is_named_or_anything_is);
    tcase_add_test(tc, gzip_is_not_taken_where_it_is_not_named_or_refused);
    tcase_add_test(tc, gzip_is_not_sent_to_who_would_rather_have_none);
    tcase_add_test(tc, a_weight_is_a_number_from_0_to_1_or_its_element_counts_for_nothing);
    tcase_add_test(tc, the_first_of_two_holds);
    tcase_add_test(tc, without_a_field_or_sense_the_first_type_is_taken);
    tcase_add_test(tc, the_heaviest_type_wins_and_among_equals_the_first_of_ours);
    tcase_add_test(tc, the_closest_range_gives_the_weight);
    tcase_add_test(tc, what_is_not_taken_is_none);
    tcase_add_test(tc, an_entity_tag_is_found_in_a_list_and_compared_weakly);
    tcase_add_test(tc, other_entity_tags_are_not_it);
    Suite *suite = suite_create("http_accept");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
