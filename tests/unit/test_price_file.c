// SPDX-License-Identifier: Apache-2.0
#include "common/core/price_file.h"
#include "common/core/timeunit.h"

#include <check.h>
#include <stdio.h>

static struct price_card *cards;
static size_t count;
static struct err error;
static enum price_file_slips slips = PRICE_FILE_REFUSE_SLIPS;

static void clear_cards(void)
{
    for (size_t i = 0; i < count; i++)
        price_card_clear(&cards[i]);
    free(cards);
    cards = NULL;
    count = 0;
}

// At its exact size: a sanitizer sees a read behind the end.
static int parse_with(struct str text, const struct catalogue *known)
{
    char *copy = xmemdup(text.p, text.n);
    clear_cards();
    error = (struct err){0};
    int rc = price_file_parse((struct str){copy, text.n}, known, slips, &cards, &count, &error);
    free(copy);
    return rc;
}

static int parse(struct str text)
{
    return parse_with(text, NULL);
}

static void parse_good(const char *text)
{
    int rc = parse(str_of(text));
    ck_assert_msg(rc == 0, "%s: %s", error.field, error.detail);
}

static char *written(void)
{
    struct buf out = {0};
    price_file_write_header(&out);
    for (size_t i = 0; i < count; i++)
        price_file_write_card(&out, &cards[i]);
    return buf_steal(&out);
}

static void assert_written(const char *want)
{
    static const char header[] =
        "tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,cache_write_5m,"
        "cache_write_1h,output,reasoning,request,discount_percent,effective_from,source,as_of\n";
    char *text = written();
    ck_assert_int_eq(strncmp(text, header, sizeof(header) - 1), 0);
    ck_assert_str_eq(text + sizeof(header) - 1, want);
    free(text);
}

// ---- what is taken ----

START_TEST(a_file_is_read)
{
    parse_good("# the figures of a test\n"
               "model,provider,unit,input,output,cached_input,cache_write_5m,cache_write_1h,"
               "reasoning,request,tier,above_tokens,aliases,tenant,effective_from,source,as_of\n"
               "m,somebody,USD/Mtok,2.5,10,1.25,3,5,20,0.001,,,a  b,,2026-01-31T01:00:00+01:00,"
               "\"a, list\",2026-01-30\n");
    ck_assert_uint_eq(count, 1);
    const struct price_card *c = &cards[0];
    ck_assert_int_eq(c->version, 0);
    ck_assert_str_eq(c->tenant, "");
    ck_assert_str_eq(c->provider, "somebody");
    ck_assert_str_eq(c->model, "m");
    ck_assert_uint_eq(c->alias_count, 2);
    ck_assert_str_eq(c->aliases[0], "a");
    ck_assert_str_eq(c->aliases[1], "b");
    ck_assert_int_eq(c->effective_from_us, INT64_C(1769817600000000));
    ck_assert_int_eq(c->discount_ppm, PRICE_NONE);
    ck_assert_str_eq(c->source, "a, list");
    ck_assert_str_eq(c->as_of, "2026-01-30");
    ck_assert_uint_eq(c->line_count, 1);
    ck_assert_str_eq(c->lines[0].tier, "");
    ck_assert_int_eq(c->lines[0].above, 0);
    static const int64_t want[PRICE_CLASS_COUNT] = {
        [PRICE_input] = 2500000,          [PRICE_cached_input] = 1250000,
        [PRICE_cache_write_5m] = 3000000, [PRICE_cache_write_1h] = 5000000,
        [PRICE_output] = 10000000,        [PRICE_reasoning] = 20000000,
        [PRICE_request] = 1000000000};
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        ck_assert_int_eq(c->lines[0].pusd[k], want[k]);
}
END_TEST

START_TEST(what_is_left_out_has_a_meaning)
{
    parse_good("model,unit,input,output\nm,USD/Mtok,1,2\n");
    const struct price_card *c = &cards[0];
    ck_assert_int_eq(c->effective_from_us, INT64_MIN);
    ck_assert_str_eq(c->tenant, "");
    ck_assert_str_eq(c->provider, "");
    ck_assert_str_eq(c->source, "");
    ck_assert_str_eq(c->as_of, "");
    ck_assert_uint_eq(c->alias_count, 0);
    ck_assert_int_eq(c->lines[0].pusd[PRICE_cached_input], PRICE_NONE);
    ck_assert_int_eq(c->lines[0].pusd[PRICE_request], PRICE_NONE);
}
END_TEST

START_TEST(units_are_picodollars_a_token)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"USD/Mtok,2.5", 2500000},        {"USD/Mtok,0.123456", 123456},
        {"USD/Mtok,2.50000000", 2500000}, {"USD/Mtok,+3", 3000000},
        {"USD/Mtok,.5", 500000},          {"USD/Mtok,-0", 0},
        {"USD/ktok,0.0025", 2500000},     {"USD/ktok,0.000123456", 123456},
        {"USD/tok,0.0000025", 2500000},   {"USD/tok,0.000000123456", 123456},
        {"USD/Mtok,2000", 2000000000},    {"USD/ktok,2", 2000000000},
        {"USD/tok,0.002", 2000000000},    {"USD/Mtok,0.001", 1000},
        {"USD/tok,0.000000001", 1000},    {"USD/Mtok,0", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "model,unit,input,output\nm,%s,0\n", cases[i].text);
        parse_good(text);
        ck_assert_int_eq(cards[0].lines[0].pusd[PRICE_input], cases[i].want);
    }
}
END_TEST

START_TEST(lines_of_a_model_make_one_card)
{
    parse_good("model,provider,aliases,tier,above_tokens,unit,input,output,source\n"
               "b,p,x y,flex,,USD/Mtok,3,3,s\n"
               "other,,,,,USD/Mtok,1,1,\n"
               "B,,,,200000,USD/Mtok,4,4,\n"
               "b,p,x y,Auto,0,USD/Mtok,2,2,s\n"
               "b,,,flex,32000,USD/Mtok,5,5,\n");
    assert_written(",p,b,x y,,,USD/Mtok,2,,,,2,,,,,s,\n"
                   ",p,b,x y,,200000,USD/Mtok,4,,,,4,,,,,s,\n"
                   ",p,b,x y,flex,,USD/Mtok,3,,,,3,,,,,s,\n"
                   ",p,b,x y,flex,32000,USD/Mtok,5,,,,5,,,,,s,\n"
                   ",,other,,,,USD/Mtok,1,,,,1,,,,,,\n");
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(cards[0].line_count, 4);
}
END_TEST

START_TEST(cards_differ_by_tenant_model_and_minute)
{
    parse_good("tenant,model,unit,input,output,effective_from\n"
               ",m,USD/Mtok,1,1,\n"
               "t,m,USD/Mtok,2,2,\n"
               ",m,USD/Mtok,3,3,2026-01-01T00:00:00Z\n"
               ",m,USD/Mtok,4,4,2026-01-01T00:01:00Z\n"
               "T,m,USD/Mtok,5,5,\n");
    assert_written(",,m,,,,USD/Mtok,1,,,,1,,,,,,\n"
                   "t,,m,,,,USD/Mtok,2,,,,2,,,,,,\n"
                   ",,m,,,,USD/Mtok,3,,,,3,,,,2026-01-01T00:00:00Z,,\n"
                   ",,m,,,,USD/Mtok,4,,,,4,,,,2026-01-01T00:01:00Z,,\n"
                   "T,,m,,,,USD/Mtok,5,,,,5,,,,,,\n");
}
END_TEST

START_TEST(discounts_and_fees_are_read)
{
    parse_good("tenant,model,discount_percent,request,unit,input,output\n"
               "t,*,12.5,,,,\n"
               "t,m,0.0001,0.000000000001,,,\n"
               "t,n,100,,USD/Mtok,,\n"
               "t,o,0,,,,\n"
               ",fee,,100,,,\n"
               ",*,,,USD/Mtok,10,30\n");
    ck_assert_int_eq(cards[0].discount_ppm, 125000);
    ck_assert_int_eq(cards[1].discount_ppm, 1);
    ck_assert_int_eq(cards[1].lines[0].pusd[PRICE_request], 1);
    ck_assert_int_eq(cards[2].discount_ppm, 1000000);
    ck_assert_int_eq(cards[3].discount_ppm, 0);
    ck_assert_int_eq(cards[4].lines[0].pusd[PRICE_request], 100 * MONEY_PER_USD);
    assert_written("t,,*,,,,,,,,,,,,12.5,,,\n"
                   "t,,m,,,,,,,,,,,0.000000000001,0.0001,,,\n"
                   "t,,n,,,,,,,,,,,,100,,,\n"
                   "t,,o,,,,,,,,,,,,0,,,\n"
                   ",,fee,,,,USD/Mtok,,,,,,,100,,,,\n"
                   ",,*,,,,USD/Mtok,10,,,,30,,,,,,\n");
}
END_TEST

START_TEST(a_withdrawn_card_is_read_and_written)
{
    parse_good("tenant,model,aliases,unit,input,output,effective_from,source\n"
               ",m,a b,none,,,2026-01-01T00:00:00Z,a letter\n"
               ",m,a b,USD/Mtok,1,1,,\n"
               "t,*,,none,,,,\n");
    ck_assert_uint_eq(count, 3);
    ck_assert(cards[0].withdrawn && !cards[1].withdrawn && cards[2].withdrawn);
    ck_assert_uint_eq(cards[0].line_count, 1);
    ck_assert_uint_eq(cards[0].alias_count, 2);
    ck_assert_int_eq(cards[2].discount_ppm, PRICE_NONE);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        ck_assert_int_eq(cards[0].lines[0].pusd[k], PRICE_NONE);
    assert_written(",,m,a b,,,none,,,,,,,,,2026-01-01T00:00:00Z,a letter,\n"
                   ",,m,a b,,,USD/Mtok,1,,,,1,,,,,,\n"
                   "t,,*,,,,none,,,,,,,,,,,\n");
    char *once = written();
    parse_good(once);
    ck_assert(cards[0].withdrawn && !cards[1].withdrawn && cards[2].withdrawn);
    free(once);
}
END_TEST

START_TEST(a_file_without_lines_has_no_cards)
{
    parse_good("model\n");
    ck_assert_uint_eq(count, 0);
    parse_good("\xef\xbb\xbfmodel,unit,input,output\r\n\r\n# no prices yet\r\n");
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(what_is_written_reads_back)
{
    parse_good("tenant,model,provider,aliases,unit,input,output,source,effective_from\n"
               "\"#t\",\"a, \"\"b\"\"\",p,\"x,y z\",USD/tok,0.000001,0.000002,\" s "
               "\",1969-12-31T23:59:00Z\n"
               "\xc3\xa9,m,,,USD/ktok,0.000123456,0.0002,,9999-12-31T23:59:00Z\n");
    char *once = written();
    parse_good(once);
    char *twice = written();
    ck_assert_str_eq(once, twice);
    ck_assert_str_eq(cards[0].tenant, "#t");
    ck_assert_str_eq(cards[0].model, "a, \"b\"");
    ck_assert_str_eq(cards[0].aliases[0], "x,y");
    ck_assert_str_eq(cards[0].source, " s ");
    ck_assert_int_eq(cards[0].effective_from_us, -US_PER_MIN);
    ck_assert_str_eq(cards[1].tenant, "\xc3\xa9");
    ck_assert_int_eq(cards[1].lines[0].pusd[PRICE_input], 123456);
    free(once);
    free(twice);
}
END_TEST

// ---- what is refused ----

#define HEAD                                                                                       \
    "tenant,provider,model,aliases,tier,above_tokens,unit,input,cached_input,cache_write_5m,"      \
    "cache_write_1h,output,reasoning,request,discount_percent,effective_from,source,as_of\n"
#define GOOD ",,ok,,,,USD/Mtok,1,,,,1,,,,,,\n"

static const struct {
    struct str text;
    int line; // 0: it is good
    const char *column;
} refused[] = {
#define CASE(text, line, column)                                                                   \
    {                                                                                              \
        STR_LIT(text), line, column                                                                \
    }
    // the file
    CASE("", 1, ""),
    CASE("\n\n# only this\n", 4, ""),
    CASE("model,\"unit\n", 1, ""),
    CASE("# x\nmodel,colour\n", 2, "colour"),
    CASE("Model\n", 1, "Model"),
    CASE("model,unit,\n", 1, ""),
    CASE("model,\xff\n", 1, ""),
    CASE("model,unit,model\n", 1, "model"),
    CASE("unit,input,output\nUSD/Mtok,1,1\n", 1, "model"),
    CASE(HEAD GOOD ",,m,,,,USD/Mtok,1,,,,1,,,,,\n", 3, ""),
    CASE(HEAD GOOD ",,m,,,,USD/Mtok,1,,,,1,,,,,,,\n", 3, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,\"s,\n", 2, "source"),
    CASE(HEAD "\"a\"b,,m,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "tenant"),
    CASE(HEAD ",,m\0,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "model"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,,,\"\n", 2, ""), // behind the last column
    // names
    CASE(HEAD ",,,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "model"),
    CASE(HEAD ",,\xc3,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "model"),
    CASE(HEAD "\xc3,,m,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "tenant"),
    CASE(HEAD ",\xc3,m,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "provider"),
    CASE(HEAD ",,m,\xc3,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    CASE(HEAD ",,m,,\xc3,,USD/Mtok,1,,,,1,,,,,,\n", 2, "tier"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,\xc3,\n", 2, "source"),
    CASE(HEAD ",,__other__,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "model"),
    CASE(HEAD ",,m,a __other__,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    CASE(HEAD ",,m,a b A,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    CASE(HEAD ",,m,a M,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    CASE(HEAD ",,m,*,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    CASE(HEAD ",,*,a,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"),
    // tiers and bands
    CASE(HEAD ",,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n", 2, "tier"),
    CASE(HEAD ",,m,,,32000,USD/Mtok,1,,,,1,,,,,,\n", 2, "tier"),
    CASE(HEAD GOOD ",,ok,,,99000,USD/Mtok,1,,,,1,,,,,,\n", 3, "above_tokens"),
    CASE(HEAD GOOD ",,ok,,,200k,USD/Mtok,1,,,,1,,,,,,\n", 3, "above_tokens"),
    CASE(HEAD GOOD ",,ok,,,-32000,USD/Mtok,1,,,,1,,,,,,\n", 3, "above_tokens"),
    CASE(HEAD GOOD ",,ok,,,18446744073709583616,USD/Mtok,1,,,,1,,,,,,\n", 3, "above_tokens"),
    CASE(HEAD GOOD ",,ok,,,1000000,USD/Mtok,1,,,,1,,,,,,\n", 0, ""),
    // units
    CASE(HEAD ",,m,,,,,1,,,,1,,,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,EUR/Mtok,1,,,,1,,,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,usd/mtok,1,,,,1,,,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,USD/Mtokens,1,,,,1,,,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,what,,,,,,,1,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,,,,,,,,1,,,,\n", 0, ""),
    CASE("model,input,output\nm,1,1\n", 2, "unit"),
    // numbers
    CASE(HEAD ",,m,,,,USD/Mtok,x,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,$1,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,\"1,5\",,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1e0,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,-1,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,-0.1,,,1,,,,,,\n", 2, "cached_input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,-1,,1,,,,,,\n", 2, "cache_write_5m"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,-1,1,,,,,,\n", 2, "cache_write_1h"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,-1,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,-1,,,,,\n", 2, "reasoning"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,-1,,,,\n", 2, "request"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,-0.000000000001,,,,\n", 2, "request"),
    CASE(HEAD ",,m,,,,USD/Mtok,,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,,,0.1,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,0.1234567,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/ktok,0.0001234567,,,,0.001,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/tok,0.0000001234567,,,,0.000001,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,2000.000001,,,,2000,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/tok,1,,,,1,,,,,,\n", 2, "input"),                // meant was Mtok
    CASE(HEAD ",,m,,,,USD/Mtok,0.0000025,,,,0.00001,,,,,,\n", 2, "input"), // meant was tok
    CASE(HEAD ",,m,,,,USD/Mtok,0.000999,,,,0.1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,0.01,,,,0.000999,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,2000.1,,,,,\n", 2, "reasoning"),
    CASE(HEAD ",,m,,,,USD/Mtok,99999999999999999999999999999999999999999,,,,1,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,100.000000000001,,,,\n", 2, "request"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,0.0000000000001,,,,\n", 2, "request"),
    // ratios
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,0.05,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,0.049999,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,200,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,200.000001,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,0,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,0,,,,2000,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,1,,,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,1.000001,,,1,,,,,,\n", 2, "cached_input"),
    CASE(HEAD ",,m,,,,USD/Mtok,0,0.001,,,1,,,,,,\n", 2, "cached_input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,0.005,,,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,0.004999,,,1,,,,,,\n", 2, "cached_input"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,0,,,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,0.25,10,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,10,0.25,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,0.249999,1,1,,,,,,\n", 2, "cache_write_5m"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,10.000001,1,1,,,,,,\n", 2, "cache_write_5m"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,1,0.249999,1,,,,,,\n", 2, "cache_write_1h"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,1,10.000001,1,,,,,,\n", 2, "cache_write_1h"),
    CASE(HEAD GOOD ",,ok,,batch,,USD/Mtok,0.05,,,,0.05,,,,,,\n", 0, ""),
    CASE(HEAD GOOD ",,ok,,batch,,USD/Mtok,0.049999,,,,1,,,,,,\n", 3, "input"),
    CASE(HEAD GOOD ",,ok,,,200000,USD/Mtok,20,,,,20,,,,,,\n", 0, ""),
    CASE(HEAD GOOD ",,ok,,,200000,USD/Mtok,1,,,,20.000001,,,,,,\n", 3, "output"),
    CASE(HEAD ",,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n,,m,,,,USD/Mtok,30,,,,30,,,,,,\n", 2, "input"),
    // times and days
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,2026-01-01,,\n", 2, "effective_from"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:30Z,,\n", 2, "effective_from"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00.5Z,,\n", 2, "effective_from"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,soon,,\n", 2, "effective_from"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,,2026-02-30\n", 2, "as_of"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,,2026-02-01x\n", 2, "as_of"),
    CASE(HEAD ",,m,,,,USD/Mtok,1,,,,1,,,,,,yesterday\n", 2, "as_of"),
    // discounts
    CASE(HEAD "t,,m,,,,,,,,,,,,100.0001,,,\n", 2, "discount_percent"),
    CASE(HEAD "t,,m,,,,,,,,,,,,-1,,,\n", 2, "discount_percent"),
    CASE(HEAD "t,,m,,,,,,,,,,,,0.00001,,,\n", 2, "discount_percent"),
    CASE(HEAD "t,,m,,,,,,,,,,,,10%,,,\n", 2, "discount_percent"),
    CASE(HEAD ",,m,,,,,,,,,,,,10,,,\n", 2, "discount_percent"),
    CASE(HEAD "t,,*,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "discount_percent"),
    CASE(HEAD "t,,m,,,,USD/Mtok,1,,,,,,,10,,,\n", 2, "input"),
    CASE(HEAD "t,,m,,batch,,,,,,,,,,10,,,\n", 2, "tier"),
    CASE(HEAD "t,,m,,,32000,,,,,,,,,10,,,\n", 2, "above_tokens"),
    CASE(HEAD "t,,m,,batch,,USD/Mtok,1,,,,1,,,,,,\nt,,m,,,,,,,,,,,,10,,,\n", 3, "discount_percent"),
    // withdrawn
    CASE(HEAD ",,m,,,,none,,,,,,,,,,,\n", 0, ""),
    CASE(HEAD "t,p,m,a b,Standard,0,none,,,,,,,,,2026-01-01T00:00:00Z,s,2026-01-01\n", 0, ""),
    CASE(HEAD ",,m,,,,none,0,,,,,,,,,,\n", 2, "input"),
    CASE(HEAD ",,m,,,,none,,2.5,,,,,,,,,\n", 2, "cached_input"),
    CASE(HEAD ",,m,,,,none,,,1,,,,,,,,\n", 2, "cache_write_5m"),
    CASE(HEAD ",,m,,,,none,,,,1,,,,,,,\n", 2, "cache_write_1h"),
    CASE(HEAD ",,m,,,,none,,,,,1,,,,,,\n", 2, "output"),
    CASE(HEAD ",,m,,,,none,,,,,,1,,,,,\n", 2, "reasoning"),
    CASE(HEAD ",,m,,,,none,,,,,,,0,,,,\n", 2, "request"),
    CASE(HEAD "t,,m,,,,none,,,,,,,,0,,,\n", 2, "discount_percent"),
    CASE(HEAD ",,m,,batch,,none,,,,,,,,,,,\n", 2, "tier"),
    CASE(HEAD ",,m,,,32000,none,,,,,,,,,,,\n", 2, "above_tokens"),
    CASE(HEAD ",,m,,,,None,,,,,,,,,,,\n", 2, "unit"),
    CASE(HEAD ",,m,,,,none,,,,,,,,,,,\n,,m,,,,none,,,,,,,,,,,\n", 3, "model"),
    CASE(HEAD ",,m,,,,none,,,,,,,,,,,\n,,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n", 3, "unit"),
    CASE(HEAD ",,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n,,m,,,,none,,,,,,,,,,,\n", 3, "unit"),
    CASE(HEAD ",,*,x,,,none,,,,,,,,,,,\n", 2, "aliases"),
    // Its names are free for another model, until it has a price again.
    CASE(HEAD ",,m,x,,,none,,,,,,,,,,,\n,,n,x m,,,USD/Mtok,1,,,,1,,,,,,\n", 0, ""),
    CASE(HEAD ",,m,x,,,USD/Mtok,1,,,,1,,,,,,\n"
              ",,m,x,,,none,,,,,,,,,2026-01-01T00:00:00Z,,\n"
              ",,n,x,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n",
         0, ""),
    CASE(HEAD ",,m,x,,,none,,,,,,,,,,,\n"
              ",,n,x,,,USD/Mtok,1,,,,1,,,,,,\n"
              ",,m,x,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n",
         4, "aliases"),
    // lines of one card
    CASE(HEAD GOOD ",,ok,,batch,,USD/Mtok,1,,,,1,,,,,,\n" GOOD, 4, "model"),
    CASE(HEAD GOOD ",,OK,,default,,USD/Mtok,1,,,,1,,,,,,\n", 3, "model"),
    CASE(HEAD ",p,m,,,,USD/Mtok,1,,,,1,,,,,,\n,q,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n", 3, "provider"),
    CASE(HEAD ",,m,a,,,USD/Mtok,1,,,,1,,,,,,\n,,m,b,batch,,USD/Mtok,1,,,,1,,,,,,\n", 3, "aliases"),
    CASE(HEAD ",,m,a,,,USD/Mtok,1,,,,1,,,,,,\n,,m,a b,batch,,USD/Mtok,1,,,,1,,,,,,\n", 3,
         "aliases"),
    CASE(HEAD ",,m,,batch,,USD/Mtok,1,,,,1,,,,,,\n,,m,,,,USD/Mtok,1,,,,1,,,,,s,\n", 3, "source"),
    CASE(HEAD
         ",,m,,,,USD/Mtok,1,,,,1,,,,,,2026-01-01\n,,m,,batch,,USD/Mtok,1,,,,1,,,,,,2026-01-02\n",
         3, "as_of"),
    // names of two models
    CASE(HEAD ",,m,x,,,USD/Mtok,1,,,,1,,,,,,\n,,n,X,,,USD/Mtok,1,,,,1,,,,,,\n", 3, "aliases"),
    CASE(HEAD ",,m,n,,,USD/Mtok,1,,,,1,,,,,,\n,,N,,,,USD/Mtok,1,,,,1,,,,,,\n", 3, "model"),
    CASE(HEAD ",,z,,,,USD/Mtok,1,,,,1,,,,,,\n" GOOD ",,a,Z,,,USD/Mtok,1,,,,1,,,,,,\n", 4,
         "aliases"),
    CASE(HEAD "t,,m,x,,,USD/Mtok,1,,,,1,,,,,,\n,,n,x,,,USD/Mtok,1,,,,1,,,,,,\n", 0, ""),
    // A name may go from one model to another, but not while both bear it.
    CASE(HEAD ",,m,x,,,USD/Mtok,1,,,,1,,,,,,\n"
              ",,m,,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n"
              ",,n,x,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n",
         0, ""),
    CASE(HEAD ",,m,x,,,USD/Mtok,1,,,,1,,,,,,\n"
              ",,m,,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:01:00Z,,\n"
              ",,n,x,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n",
         4, "aliases"),
#undef CASE
};

START_TEST(what_is_wrong_is_named_with_its_line_and_column)
{
    int rc = parse(refused[_i].text);
    ck_assert_msg(rc == (refused[_i].line ? -1 : 0), "case %d: %s: %s", _i, error.field,
                  error.detail);
    if (refused[_i].line == 0)
        return;
    char begin[40];
    snprintf(begin, sizeof(begin), "line %d: ", refused[_i].line);
    ck_assert_msg(strncmp(error.detail, begin, strlen(begin)) == 0 &&
                      strcmp(error.field, refused[_i].column) == 0,
                  "case %d: %s: %s", _i, error.field, error.detail);
    ck_assert_uint_gt(strlen(error.detail), strlen(begin) + 10);
    ck_assert_uint_eq(count, 0);
}
END_TEST

// ---- beside what is known ----

static struct catalogue *known_of(const char *text)
{
    struct catalogue *known = catalogue_new();
    parse_good(text);
    for (size_t i = 0; i < count; i++) {
        cards[i].version = 3;
        catalogue_add(known, &cards[i]);
    }
    clear_cards();
    return known;
}

static const struct {
    const char *text;
    int line; // 0: it is good
    const char *column;
} beside_known[] = {
    {GOOD, 0, ""},
    {",,m,,,,USD/Mtok,99.99,,,,99.99,,,,,,\n", 0, ""},
    {",,m,,,,USD/Mtok,100,,,,99.99,,,,,,\n", 2, "input"},
    {",,m,,,,USD/Mtok,0.010001,,,,0.010001,,,,,,\n", 0, ""},
    {",,m,,,,USD/Mtok,0.010001,,,,0.01,,,,,,\n", 2, "output"},
    {",,m,,,,USD/Mtok,0,,,,0,,,,,,\n", 0, ""},
    // The line of the tier, else none.
    {",,m,,,,USD/Mtok,40,,,,40,,,,,,\n,,m,,batch,,USD/Mtok,49,,,,49,,,,,,\n", 0, ""},
    {",,m,,,,USD/Mtok,40,,,,40,,,,,,\n,,m,,batch,,USD/Mtok,50,,,,50,,,,,,\n", 3, "input"},
    {",,m,,,,USD/Mtok,90,,,,90,,,,,,\n,,m,,flex,,USD/Mtok,500,,,,500,,,,,,\n", 0, ""},
    // By another of its names, and the tenant's own price before everybody's.
    {",,nick,,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "model"},
    {"t,,m,,,,USD/Mtok,90,,,,90,,,,,,\n", 2, "input"},
    {"t,,m,,,,USD/Mtok,0.002,,,,0.002,,,,,,\n", 0, ""},
    {"u,,m,,,,USD/Mtok,100,,,,100,,,,,,\n", 2, "input"},
    {"d,,m,,,,USD/Mtok,100,,,,100,,,,,,\n", 2, "input"}, // it has a discount: everybody's
    {"d,,m,,,,,,,,,,,,50,,,\n", 0, ""},
    // What has no price then: its own is withdrawn.
    {",,gone,,,,USD/Mtok,500,,,,500,,,,2026-01-01T00:00:00Z,,\n", 0, ""},
    {",,gone,,,,USD/Mtok,500,,,,500,,,,2025-12-31T23:59:00Z,,\n", 2, "input"},
    {"g,,m,,,,USD/Mtok,100,,,,100,,,,,,\n", 2, "input"}, // everybody's
    {",,m,,,,none,,,,,,,,,,,\n", 0, ""},
    {",,n,past,,,USD/Mtok,1,,,,1,,,,2026-01-01T00:00:00Z,,\n", 0, ""},
    {",,n,past,,,USD/Mtok,1,,,,1,,,,2025-12-31T23:59:00Z,,\n", 2, "aliases"},
    // The price of then.
    {",,m,,,,USD/Mtok,300,,,,300,,,,2026-01-01T00:00:00Z,,\n", 0, ""},
    {",,m,,,,USD/Mtok,300,,,,300,,,,2025-12-31T23:59:00Z,,\n", 2, "input"},
    {",,late,,,,USD/Mtok,1,,,,1,,,,2027-01-01T00:00:00Z,,\n", 2, "model"},
    // A known card that comes into force later meets the file's there.
    {",,n,late,,,USD/Mtok,1,,,,1,,,,,,\n", 2, "aliases"},
    {",,m,late,,,USD/Mtok,1,,,,1,,,,,,\n", 0, ""}, // its own
    {",,n,nick,,,USD/Mtok,1,,,,1,,,,,,\n,,m,,,,USD/Mtok,1,,,,1,,,,,,\n", 0, ""},
    {",,n,nick,,,USD/Mtok,1,,,,1,,,,2027-01-01T00:00:00Z,,\n", 0, ""}, // has been dropped by then
};

START_TEST(what_is_known_already_is_looked_at)
{
    struct catalogue *known =
        known_of(HEAD ",,m,nick,,,USD/Mtok,1,,,,1,,,,,,\n"
                      ",,m,,batch,,USD/Mtok,0.5,,,,0.5,,,,,,\n"
                      ",,m,late,,,USD/Mtok,10,,,,10,,,,2026-01-01T00:00:00Z,,\n"
                      "t,,m,,,,USD/Mtok,0.1,,,,0.1,,,,,,\n"
                      "d,,m,,,,,,,,,,,,10,,,\n"
                      "g,,m,,,,none,,,,,,,,,,,\n"
                      ",,gone,past,,,USD/Mtok,1,,,,1,,,,,,\n"
                      ",,gone,past,,,none,,,,,,,,,2026-01-01T00:00:00Z,,\n");
    struct buf text = {0};
    buf_adds(&text, HEAD);
    buf_adds(&text, beside_known[_i].text);
    int rc = parse_with((struct str){text.p, text.n}, known);
    ck_assert_msg(rc == (beside_known[_i].line ? -1 : 0), "case %d: %s: %s", _i, error.field,
                  error.detail);
    if (rc != 0) {
        ck_assert_msg(strcmp(error.field, beside_known[_i].column) == 0, "case %d: %s: %s", _i,
                      error.field, error.detail);
        ck_assert_int_eq(error.detail[5] - '0', beside_known[_i].line);
    }
    catalogue_free(known);
    buf_free(&text);
}
END_TEST

START_TEST(what_known_cards_have_in_common_is_not_the_files_fault)
{
    struct catalogue *known = known_of("model,aliases,unit,input,output\na,x,USD/Mtok,1,1\n");
    parse_good("model,aliases,unit,input,output\nb,x,USD/Mtok,1,1\n");
    cards[0].version = 4;
    catalogue_add(known, &cards[0]);
    const char *other = "model,unit,input,output\nc,USD/Mtok,1,1\n";
    ck_assert_int_eq(parse_with(str_of(other), known), 0);
    const char *again = "model,aliases,unit,input,output\na,x,USD/Mtok,1,1\n";
    ck_assert_int_eq(parse_with(str_of(again), known), -1);
    catalogue_free(known);
}
END_TEST

// ---- slips that somebody looked at ----

START_TEST(slips_are_taken_where_that_is_said)
{
    static const char *const texts[] = {
        ",,m,,,,USD/tok,1,,,,1,,,,,,\n",
        ",,m,,,,USD/Mtok,0.000001,,,,0.0001,,,,,,\n",
        ",,m,,,,USD/Mtok,1,,,,0.04,,,,,,\n",
        ",,m,,,,USD/Mtok,1,2,,,1,,,,,,\n",
        ",,m,,,,USD/Mtok,1,,11,11,1,,,,,,\n",
        ",,m,,,,USD/Mtok,1,,,,1,,101,,,,\n",
        ",,m,,,,USD/Mtok,1,,,,1,,,,,,\n,,m,,batch,,USD/Mtok,21,,,,21,,,,,,\n",
        ",,nick,,,,USD/Mtok,100,,,,100,,,,,,\n",
        ",,m,,,,USD/tok,9223372.036854775807,,,,1,,9223372.036854775807,,,,\n",
    };
    struct catalogue *known = known_of(HEAD ",,nick,,,,USD/Mtok,1,,,,1,,,,,,\n");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf text = {0};
        buf_addf(&text, HEAD "%s", texts[i]);
        struct str file = {text.p, text.n};
        ck_assert_int_eq(parse_with(file, known), -1);
        ck_assert_ptr_nonnull(strstr(error.detail, "line "));
        slips = PRICE_FILE_TAKE_SLIPS;
        ck_assert_msg(parse_with(file, known) == 0, "%s: %s", error.field, error.detail);
        slips = PRICE_FILE_REFUSE_SLIPS;
        // And each card is told to be one by itself.
        size_t line = 9;
        const struct price_card *so_far =
            catalogue_card(known, INT64_MAX, 0, STR_LIT(""), str_of(cards[0].model));
        ck_assert_int_eq(price_file_check_slip(&cards[0], so_far, &line, &error), -1);
        ck_assert_uint_eq(line, cards[0].line_count - 1);
        ck_assert_ptr_null(strstr(error.detail, "line 2"));
        buf_free(&text);
    }
    catalogue_free(known);
}
END_TEST

START_TEST(what_makes_no_price_is_refused_all_the_same)
{
    static const char *const texts[] = {
        ",,m,,,,USD/tok,9223372.036854775808,,,,1,,,,,,\n",
        ",,m,,,,USD/Mtok,1,,,,1,,9223372.036854775808,,,,\n",
        ",,m,,,,USD/Mtok,0.0000001,,,,1,,,,,,\n",
        ",,m,,,,USD/Mtok,-1,,,,1,,,,,,\n",
        ",,m,,,,USD/Mtok,1e3,,,,1,,,,,,\n",
        ",,m,nick,,,USD/Mtok,1,,,,1,,,,,,\n",
    };
    struct catalogue *known = known_of(HEAD ",,nick,,,,USD/Mtok,1,,,,1,,,,,,\n");
    slips = PRICE_FILE_TAKE_SLIPS;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf text = {0};
        buf_addf(&text, HEAD "%s", texts[i]);
        ck_assert_int_eq(parse_with((struct str){text.p, text.n}, known), -1);
        buf_free(&text);
    }
    slips = PRICE_FILE_REFUSE_SLIPS;
    catalogue_free(known);
}
END_TEST

// ---- bounds ----

static void add_lines(struct buf *text, int n)
{
    buf_adds(text, "model,unit,input,output\n");
    for (int i = 0; i < n; i++)
        buf_addf(text, "m%d,USD/Mtok,1,1\n", i);
}

START_TEST(a_file_has_at_most_100000_lines)
{
    struct buf text = {0};
    add_lines(&text, PRICE_FILE_LINES_MAX);
    ck_assert_int_eq(parse((struct str){text.p, text.n}), 0);
    ck_assert_uint_eq(count, PRICE_FILE_LINES_MAX);
    buf_adds(&text, "one-more,USD/Mtok,1,1\n");
    ck_assert_int_eq(parse((struct str){text.p, text.n}), -1);
    ck_assert_int_eq(strncmp(error.detail, "line 100002: ", 13), 0);
    buf_free(&text);
}
END_TEST

START_TEST(a_file_has_at_most_16_mib)
{
    struct buf text = {0};
    add_lines(&text, 1);
    size_t n = text.n;
    buf_reserve(&text, PRICE_FILE_BYTES_MAX + 1);
    memset(text.p + n, '\n', PRICE_FILE_BYTES_MAX + 1 - n);
    ck_assert_int_eq(parse((struct str){text.p, PRICE_FILE_BYTES_MAX}), 0);
    ck_assert_int_eq(parse((struct str){text.p, PRICE_FILE_BYTES_MAX + 1}), -1);
    buf_free(&text);
}
END_TEST

START_TEST(cells_have_bounds)
{
    static const struct {
        const char *header, *rest, *column;
    } cases[] = {
        {"model,unit,input,output\n", ",USD/Mtok,1,1\n", "model"},
        {"aliases,model,unit,input,output\n", ",m,USD/Mtok,1,1\n", "aliases"},
        {"tenant,model,unit,input,output\n", ",m,USD/Mtok,1,1\n", "tenant"},
        {"provider,model,unit,input,output\n", ",m,USD/Mtok,1,1\n", "provider"},
        {"source,model,unit,input,output\n", ",m,USD/Mtok,1,1\n", "source"},
        {"tier,model,unit,input,output\n", ",m,USD/Mtok,1,1\n,m,USD/Mtok,1,1\n", "tier"},
    };
    char name[EVENT_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t n = EVENT_NAME_MAX; n <= EVENT_NAME_MAX + 1; n++) {
            struct buf text = {0};
            buf_adds(&text, cases[i].header);
            buf_add(&text, name, n);
            buf_adds(&text, cases[i].rest);
            int rc = parse((struct str){text.p, text.n});
            ck_assert_int_eq(rc, n > EVENT_NAME_MAX ? -1 : 0);
            if (rc != 0)
                ck_assert_str_eq(error.field, cases[i].column);
            buf_free(&text);
        }
}
END_TEST

START_TEST(a_card_has_at_most_100_aliases_and_100_lines)
{
    for (int n = 100; n <= 101; n++) {
        struct buf aliases = {0}, lines = {0};
        buf_adds(&aliases, "model,unit,input,output,aliases\nm,USD/Mtok,1,1,");
        buf_adds(&lines, "model,unit,input,output,tier\n");
        for (int i = 0; i < n; i++) {
            buf_addf(&aliases, " a%d", i);
            buf_adds(&lines, "m,USD/Mtok,1,1,");
            if (i > 0)
                buf_addf(&lines, "t%d", i);
            buf_addc(&lines, '\n');
        }
        ck_assert_int_eq(parse((struct str){aliases.p, aliases.n}), n == 100 ? 0 : -1);
        if (n > 100)
            ck_assert_str_eq(error.field, "aliases");
        ck_assert_int_eq(parse((struct str){lines.p, lines.n}), n == 100 ? 0 : -1);
        if (n > 100)
            ck_assert_str_eq(error.field, "model");
        buf_free(&aliases);
        buf_free(&lines);
    }
}
END_TEST

START_TEST(a_file_with_a_known_catalogue_of_many_cards_is_read)
{
    struct buf text = {0};
    add_lines(&text, 20000);
    buf_addc(&text, '\0');
    struct catalogue *known = known_of(text.p);
    ck_assert_int_eq(parse_with((struct str){text.p, text.n - 1}, known), 0);
    ck_assert_uint_eq(count, 20000);
    catalogue_free(known);
    buf_free(&text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("price_file");
    tcase_add_checked_fixture(tc, NULL, clear_cards);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_file_is_read);
    tcase_add_test(tc, what_is_left_out_has_a_meaning);
    tcase_add_test(tc, units_are_picodollars_a_token);
    tcase_add_test(tc, lines_of_a_model_make_one_card);
    tcase_add_test(tc, cards_differ_by_tenant_model_and_minute);
    tcase_add_test(tc, discounts_and_fees_are_read);
    tcase_add_test(tc, a_withdrawn_card_is_read_and_written);
    tcase_add_test(tc, a_file_without_lines_has_no_cards);
    tcase_add_test(tc, what_is_written_reads_back);
    tcase_add_loop_test(tc, what_is_wrong_is_named_with_its_line_and_column, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(tc, what_is_known_already_is_looked_at, 0, ARRAY_LEN(beside_known));
    tcase_add_test(tc, what_known_cards_have_in_common_is_not_the_files_fault);
    tcase_add_test(tc, slips_are_taken_where_that_is_said);
    tcase_add_test(tc, what_makes_no_price_is_refused_all_the_same);
    tcase_add_test(tc, a_file_has_at_most_100000_lines);
    tcase_add_test(tc, a_file_has_at_most_16_mib);
    tcase_add_test(tc, cells_have_bounds);
    tcase_add_test(tc, a_card_has_at_most_100_aliases_and_100_lines);
    tcase_add_test(tc, a_file_with_a_known_catalogue_of_many_cards_is_read);
    Suite *suite = suite_create("price_file");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
