// SPDX-License-Identifier: Apache-2.0
// LiteLLM's price list as cards: each rule of litellm.h and litellm_lines.h on an entry of its own.
#include "common/core/buf.h"
#include "deploy/admin/prices/litellm.h"
#include "deploy/admin/prices/litellm_key.h"
#include "deploy/admin/prices/litellm_lines.h"

#include <check.h>
#include <stdio.h>

static struct litellm_entry *entries;
static size_t count;
static struct err err;
static struct buf shown;

static void clear(void)
{
    litellm_free(entries, count);
    entries = NULL;
    count = 0;
    buf_free(&shown);
}

static int parse(struct str text)
{
    clear();
    err = (struct err){0};
    return litellm_parse(text, &entries, &count, &err);
}

static void parse_good(const char *text)
{
    ck_assert_msg(parse(str_of(text)) == 0, "%s: %s", text, err.detail);
}

// The lines of a card, each "tier above: class price, class price" and a semicolon, what is not
// given left out; or why there is no card.
static const char *outcome(const struct litellm_entry *e)
{
#define NAME(name) #name,
    static const char *const names[] = {PRICE_CLASSES(NAME)};
#undef NAME
    buf_clear(&shown);
    ck_assert_int_eq(e->verdict == LITELLM_REFUSED, e->why != NULL);
    ck_assert(e->verdict == LITELLM_TAKEN || (!e->note && e->card.line_count == 0));
    if (e->why)
        buf_addf(&shown, "no: %s", e->why);
    for (size_t i = 0; i < e->card.line_count; i++) {
        const struct price_line *line = &e->card.lines[i];
        const char *comma = "";
        buf_addf(&shown, "%s%s %lld:", i ? "; " : "", line->tier[0] ? line->tier : "-",
                 (long long)line->above);
        for (size_t k = 0; k < PRICE_CLASS_COUNT; k++) {
            if (line->pusd[k] == PRICE_NONE)
                continue;
            buf_addf(&shown, "%s %s %lld", comma, names[k], (long long)line->pusd[k]);
            comma = ",";
        }
    }
    buf_addc(&shown, '\0');
    return shown.p;
}

// Of the model m with these members.
static const char *of(const char *members)
{
    struct buf text = {0};
    buf_addf(&text, "{\"m\":{%s}}", members);
    buf_addc(&text, '\0');
    parse_good(text.p);
    buf_free(&text);
    ck_assert_uint_eq(count, 1);
    return outcome(&entries[0]);
}

#define CHAT "\"mode\":\"chat\","
#define IN_OUT "\"input_cost_per_token\":2e-06,\"output_cost_per_token\":8e-06"
#define STANDARD "- 0: input 2000000, output 8000000"

struct rule {
    const char *members, *expected;
};

static void check_rules(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(strcmp(of(rules[i].members), rules[i].expected) == 0, "%s: %s",
                      rules[i].members, shown.p);
}
#define RULES(...)                                                                                 \
    static const struct rule rules[] = {__VA_ARGS__};                                              \
    check_rules(rules, ARRAY_LEN(rules))

// ---- prices ----

START_TEST(a_price_a_token_is_whole_picodollars)
{
    static const struct {
        double usd;
        int64_t pusd;
    } cases[] = {
        {0, 0},
        {-0.0, 0},
        {2.5e-6, 2500000},
        {1.5e-7, 150000},
        {5e-13, 1},          // half up
        {3.59375e-8, 35938}, // a half that is exact in decimals
        {3.59374e-8, 35937}, //
        {8.000000000000001e-7, 800000},
        {1.142857142857143e-7, 114286},
        {0.1, INT64_C(100000000000)},
        {1, INT64_C(1000000000000)},
        {123456.789012345, INT64_C(123456789012345000)},
        {9223372, INT64_C(9223372000000000000)},
    };
    int64_t pusd;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_ptr_null(litellm_picodollars(cases[i].usd, &pusd));
        ck_assert_int_eq(pusd, cases[i].pusd);
    }
    ck_assert_str_eq(litellm_picodollars(9223373, &pusd), "a price is too large");
    ck_assert_str_eq(litellm_picodollars(1.7e308, &pusd), "a price is too large");
    ck_assert_str_eq(litellm_picodollars(-1e-12, &pusd), "a price is negative");
    ck_assert_str_eq(litellm_picodollars(4.99e-13, &pusd), "a price is less than a picodollar");
    ck_assert_str_eq(litellm_picodollars(9.99e-14, &pusd), "a price is less than a picodollar");
    ck_assert_str_eq(litellm_picodollars(5e-324, &pusd), "a price is less than a picodollar");
}
END_TEST

START_TEST(each_price_is_of_its_class)
{
    RULES({CHAT
           "\"input_cost_per_token\":1e-12,\"cache_read_input_token_cost\":2e-12,"
           "\"cache_creation_input_token_cost\":3e-12,"
           "\"cache_creation_input_token_cost_above_1hr\":4e-12,\"output_cost_per_token\":5e-12,"
           "\"output_cost_per_reasoning_token\":6e-12,\"input_cost_per_request\":7e-12",
           "- 0: input 1, cached_input 2, cache_write_5m 3, cache_write_1h 4, output 5, "
           "reasoning 6, request 7"},
          {CHAT IN_OUT, STANDARD}, {CHAT IN_OUT ",\"cache_read_input_token_cost\":null", STANDARD},
          {CHAT IN_OUT ",\"cache_read_input_token_cost\":0",
           "- 0: input 2000000, cached_input 0, output 8000000"},
          // The older name of the same price.
          {CHAT IN_OUT ",\"input_cost_per_token_cache_hit\":1e-6",
           "- 0: input 2000000, cached_input 1000000, output 8000000"},
          {CHAT IN_OUT ",\"cache_read_input_token_cost\":2e-7,"
                       "\"input_cost_per_token_cache_hit\":1e-6",
           "- 0: input 2000000, cached_input 200000, output 8000000"},
          {CHAT "\"input_cost_per_token\":1,\"output_cost_per_token\":0",
           "- 0: input 1000000000000, output 0"}, );
}
END_TEST

START_TEST(a_price_that_is_none_is_refused)
{
    RULES({CHAT "\"input_cost_per_token\":\"2e-06\",\"output_cost_per_token\":8e-06",
           "no: a price is no number"},
          {CHAT "\"input_cost_per_token\":true,\"output_cost_per_token\":8e-06",
           "no: a price is no number"},
          {CHAT IN_OUT ",\"input_cost_per_token_flex\":[]", "no: a price is no number"},
          {CHAT IN_OUT ",\"input_cost_per_token_cache_hit\":\"\"", "no: a price is no number"},
          {CHAT "\"input_cost_per_token\":-1e-9,\"output_cost_per_token\":8e-06",
           "no: a price is negative"},
          {CHAT "\"input_cost_per_token\":9223373,\"output_cost_per_token\":8e-06",
           "no: a price is too large"},
          {CHAT "\"input_cost_per_token\":100000000000000000000,\"output_cost_per_token\":8e-06",
           "no: a price is too large"},
          {CHAT "\"input_cost_per_token\":1e-15,\"output_cost_per_token\":8e-06",
           "no: a price is less than a picodollar"},
          {CHAT "\"output_cost_per_token\":8e-06", "no: no price of input tokens"},
          {CHAT "\"input_cost_per_token\":8e-06", "no: no price of output tokens"},
          {CHAT "\"input_cost_per_token_priority\":2e-6,\"output_cost_per_token_priority\":8e-06",
           "no: no price of input tokens"},
          {CHAT "\"max_tokens\":1", "no: no price of input tokens"},
          {"\"mode\":\"embedding\",\"input_cost_per_token\":2e-8", "- 0: input 20000, output 0"},
          {"\"mode\":\"embedding\",\"output_cost_per_token\":0", "no: no price of input tokens"}, );
}
END_TEST

// ---- tiers and bands ----

START_TEST(tiers_are_named_as_usage_names_them)
{
    RULES({CHAT IN_OUT ",\"input_cost_per_token_batches\":1e-6,"
                       "\"output_cost_per_token_batches\":4e-6",
           STANDARD "; batch 0: input 1000000, output 4000000"},
          {CHAT IN_OUT ",\"input_cost_per_token_ultrafast\":8e-6,"
                       "\"output_cost_per_token_ultrafast\":9e-6,"
                       "\"input_cost_per_token_priority\":6e-6,"
                       "\"output_cost_per_token_priority\":7e-6,\"input_cost_per_token_flex\":4e-6,"
                       "\"output_cost_per_token_flex\":5e-6,\"input_cost_per_token_balanced\":1e-6,"
                       "\"output_cost_per_token_balanced\":3e-6",
           STANDARD "; balanced 0: input 1000000, output 3000000; flex 0: input 4000000, "
                    "output 5000000; priority 0: input 6000000, output 7000000; "
                    "ultrafast 0: input 8000000, output 9000000"}, );
}
END_TEST

START_TEST(suffixes_come_in_any_order)
{
    static const char *const keys[] = {
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens_flex",
        "cache_creation_input_token_cost_flex_above_200k_tokens_above_1hr",
        "cache_creation_input_token_cost_above_200k_tokens_flex_above_1hr",
        "cache_creation_input_token_cost_above_200000_tokens_flex_above_1hr",
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct litellm_key key = litellm_key_of(keys[i]);
        ck_assert_int_eq(key.kind, LITELLM_TOKENS);
        ck_assert_int_eq(key.price_class, PRICE_cache_write_1h);
        ck_assert_int_eq(key.tier, LITELLM_flex);
        ck_assert_int_eq(key.above, 200000);
    }
    // Two of a kind say nothing that we know.
    ck_assert_int_eq(litellm_key_of("input_cost_per_token_flex_priority").kind, LITELLM_BESIDE);
    ck_assert_int_eq(litellm_key_of("input_cost_per_token_above_32k_tokens_above_128k_tokens").kind,
                     LITELLM_BESIDE);
    ck_assert_int_eq(litellm_key_of("input_cost_per_token_above_1hr").kind, LITELLM_BESIDE);
    RULES({CHAT IN_OUT ",\"input_cost_per_token_flex_above_200k_tokens\":1e-6,"
                       "\"input_cost_per_token_above_200k_tokens_flex\":1e-6",
           "no: the same price twice"}, );
}
END_TEST

START_TEST(a_band_is_one_that_usage_is_counted_by)
{
    static const char *const bands[] = {"32k",  "100k", "128k",  "200k",  "256k",
                                        "272k", "512k", "1000k", "272000"};
    static const char *const others[] = {"99k", "199k", "201k", "31999", "200001", "999999999k"};
    for (size_t i = 0; i < ARRAY_LEN(bands) + ARRAY_LEN(others); i++) {
        bool good = i < ARRAY_LEN(bands);
        const char *band = good ? bands[i] : others[i - ARRAY_LEN(bands)];
        char text[200], why[100];
        snprintf(text, sizeof(text), CHAT IN_OUT ",\"input_cost_per_token_above_%s_tokens\":3e-6",
                 band);
        snprintf(why, sizeof(why), "no: bands of %s tokens are not counted apart", band);
        if (good)
            ck_assert_msg(strstr(of(text), "; - ") && entries[0].card.line_count == 2, "%s", band);
        else
            ck_assert_str_eq(of(text), why);
    }
    ck_assert_int_eq(litellm_key_of("input_cost_per_token_above_0k_tokens").kind, LITELLM_BESIDE);
    ck_assert_int_eq(litellm_key_of("input_cost_per_token_above_1234567890_tokens").kind,
                     LITELLM_BESIDE);
}
END_TEST

START_TEST(a_band_lacks_what_the_one_below_has)
{
    RULES({CHAT IN_OUT ",\"cache_read_input_token_cost\":2e-7,\"input_cost_per_request\":0.005,"
                       "\"output_cost_per_token_above_200k_tokens\":9e-6,"
                       "\"input_cost_per_token_above_128k_tokens\":3e-6",
           "- 0: input 2000000, cached_input 200000, output 8000000, request 5000000000; "
           "- 128000: input 3000000, cached_input 200000, output 8000000, request 5000000000; "
           "- 200000: input 3000000, cached_input 200000, output 9000000, request 5000000000"},
          {CHAT IN_OUT ",\"output_cost_per_reasoning_token\":9e-6,"
                       "\"output_cost_per_token_above_200k_tokens\":16e-6",
           "- 0: input 2000000, output 8000000, reasoning 9000000; "
           "- 200000: input 2000000, output 16000000, reasoning 9000000"}, );
}
END_TEST

START_TEST(a_tier_lacks_what_the_standard_has)
{
    RULES({CHAT IN_OUT ",\"cache_read_input_token_cost\":2e-7,\"input_cost_per_token_flex\":1e-6",
           "- 0: input 2000000, cached_input 200000, output 8000000; "
           "flex 0: input 1000000, cached_input 200000, output 8000000"},
          // Its reasoning is as its output, where it has one.
          {CHAT IN_OUT ",\"output_cost_per_reasoning_token\":9e-6,"
                       "\"output_cost_per_token_flex\":4e-6,\"input_cost_per_token_priority\":3e-6",
           "- 0: input 2000000, output 8000000, reasoning 9000000; "
           "flex 0: input 2000000, output 4000000; "
           "priority 0: input 3000000, output 8000000, reasoning 9000000"},
          // In a band: the standard price there.
          {CHAT IN_OUT ",\"input_cost_per_token_flex\":1e-6,\"output_cost_per_token_flex\":4e-6,"
                       "\"input_cost_per_token_above_200k_tokens\":5e-6",
           STANDARD "; - 200000: input 5000000, output 8000000; "
                    "flex 0: input 1000000, output 4000000; flex 200000: input 5000000, "
                    "output 4000000"},
          // A tier that has prices of a band alone.
          {CHAT IN_OUT ",\"input_cost_per_token_above_200k_tokens_flex\":1e-6",
           STANDARD "; flex 0: input 2000000, output 8000000; "
                    "flex 200000: input 1000000, output 8000000"}, );
}
END_TEST

START_TEST(batch_lacks_half_of_the_standard_output_and_nothing_else)
{
    RULES({CHAT "\"input_cost_per_token\":2e-6,\"output_cost_per_token\":7e-12,"
                "\"cache_read_input_token_cost\":2e-7,\"output_cost_per_reasoning_token\":9e-6,"
                "\"input_cost_per_request\":1e-3,\"input_cost_per_token_above_200k_tokens\":4e-6,"
                "\"input_cost_per_token_batches\":1e-6",
           "- 0: input 2000000, cached_input 200000, output 7, reasoning 9000000, "
           "request 1000000000; - 200000: input 4000000, cached_input 200000, output 7, "
           "reasoning 9000000, request 1000000000; batch 0: input 1000000, output 4, "
           "request 1000000000"},
          {CHAT IN_OUT ",\"input_cost_per_token_batches\":1e-6,"
                       "\"cache_creation_input_token_cost_batches\":3e-6,"
                       "\"output_cost_per_token_above_200k_tokens_batches\":6e-6",
           STANDARD "; batch 0: input 1000000, cache_write_5m 3000000, output 4000000; "
                    "batch 200000: input 1000000, cache_write_5m 3000000, output 6000000"}, );
    ck_assert_str_eq(of(CHAT IN_OUT ",\"output_cost_per_token_batches\":1e-6"), STANDARD);
    ck_assert_str_eq(entries[0].note, "batch has no price of input tokens");
}
END_TEST

// ---- tiered_pricing ----

#define RANGES(ranges) CHAT "\"tiered_pricing\":[" ranges "]"
#define TO_32K                                                                                     \
    "{\"range\":[0,32000.0],\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6}"

START_TEST(ranges_are_bands)
{
    RULES(
        {RANGES(TO_32K), "- 0: input 1000000, output 2000000"},
        // Nothing is taken from the range below.
        {RANGES("{\"range\":[0,32000],\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
                "\"cache_read_input_token_cost\":1e-7,\"output_cost_per_reasoning_token\":3e-6},"
                "{\"range\":[32000,252000],\"input_cost_per_token\":4e-6,"
                "\"output_cost_per_token\":5e-6}"),
         "- 0: input 1000000, cached_input 100000, output 2000000, reasoning 3000000; "
         "- 32000: input 4000000, output 5000000"},
        // They come before the entry's own prices, but for output and what a request costs.
        {RANGES("{\"range\":[0,200000],\"input_cost_per_token\":1e-6},"
                "{\"range\":[200000,5e5],\"input_cost_per_token\":3e-6}") ",\"cache_read_input_"
                                                                          "token_cost\":2e-7,"
                                                                          "\"input_cost_per_"
                                                                          "request\":"
                                                                          "0.001," IN_OUT,
         "- 0: input 1000000, output 8000000, request 1000000000; "
         "- 200000: input 3000000, output 8000000, request 1000000000"},
        {"\"mode\":\"embedding\",\"tiered_pricing\":[{\"range\":[0,1],"
         "\"input_cost_per_token\":1e-6}]",
         "- 0: input 1000000, output 0"},
        {RANGES("") "," IN_OUT, STANDARD}, {CHAT IN_OUT ",\"tiered_pricing\":null", STANDARD}, );
}
END_TEST

START_TEST(ranges_that_are_none_are_refused)
{
#define APART "no: tiered_pricing whose ranges do not follow each other"
#define PRICES "\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6}"
    RULES({RANGES(TO_32K ",{\"range\":[128000,256000]," PRICES), APART},
          {RANGES(TO_32K ",{\"range\":[0,256000]," PRICES), APART},
          {RANGES("{\"range\":[1,256000]," PRICES), APART},
          {RANGES("{\"range\":[0,0]," PRICES), APART}, {RANGES("{\"range\":[0]," PRICES), APART},
          {RANGES("{\"range\":[0,1,2]," PRICES), APART},
          {RANGES("{\"range\":[0,\"1\"]," PRICES), APART},
          {RANGES("{\"range\":[0,1.5]," PRICES), APART},
          {RANGES("{\"range\":[0,1e15]," PRICES), APART},
          {RANGES("{\"range\":[-1,1]," PRICES), APART}, {RANGES("{" PRICES), APART},
          {RANGES("1"), APART},
          {CHAT IN_OUT ",\"tiered_pricing\":{}", "no: tiered_pricing is no list"},
          {RANGES("{\"range\":[0,99000]," PRICES ",{\"range\":[99000,200000]," PRICES),
           "no: bands of 99k tokens are not counted apart"},
          {RANGES("{\"range\":[0,32000],\"output_cost_per_token\":2e-6}") "," IN_OUT,
           "no: no price of input tokens"},
          {RANGES("{\"range\":[0,32000],\"input_cost_per_token\":2e-6}"),
           "no: no price of output tokens"},
          {RANGES("{\"range\":[0,32000],\"input_cost_per_token\":\"x\"}"),
           "no: a price is no number"},
          {RANGES(TO_32K) ",\"input_cost_per_token_flex\":1e-6",
           "no: tiered_pricing beside prices of tiers or bands"},
          {RANGES(TO_32K) ",\"input_cost_per_token_above_200k_tokens\":1e-6",
           "no: tiered_pricing beside prices of tiers or bands"},
          {RANGES("{\"range\":[0,32000],\"input_cost_per_token_flex\":1e-6," PRICES),
           "no: tiered_pricing beside prices of tiers or bands"}, );
}
END_TEST

// ---- what is refused, and what is noted ----

START_TEST(only_modes_that_are_billed_by_tokens_are_taken)
{
    RULES({"\"mode\":\"chat\"," IN_OUT, STANDARD}, {"\"mode\":\"completion\"," IN_OUT, STANDARD},
          {"\"mode\":\"responses\"," IN_OUT, STANDARD},
          {"\"mode\":\"embedding\"," IN_OUT, STANDARD},
          {"\"mode\":\"image_generation\"," IN_OUT, "no: mode image_generation"},
          {"\"mode\":\"realtime\"," IN_OUT, "no: mode realtime"},
          {"\"mode\":\"rerank\"," IN_OUT, "no: mode rerank"},
          {"\"mode\":\"chats\"," IN_OUT, "no: mode chats"}, {IN_OUT, "no: no mode"},
          {"\"mode\":null," IN_OUT, "no: no mode"},
          {"\"mode\":1," IN_OUT, "no: a mode that is no name"},
          {"\"mode\":\"\"," IN_OUT, "no: a mode that is no name"},
          {"\"mode\":\"a b\"," IN_OUT, "no: a mode that is no name"},
          {"\"mode\":\"a\\u001b[2J\"," IN_OUT, "no: a mode that is no name"},
          {"\"mode\":\"a234567890123456789012345678901234567890\"," IN_OUT,
           "no: mode a234567890123456789012345678901234567890"},
          {"\"mode\":\"a2345678901234567890123456789012345678901\"," IN_OUT,
           "no: a mode that is no name"}, );
}
END_TEST

START_TEST(output_that_costs_by_something_else_is_refused)
{
    RULES({CHAT IN_OUT ",\"output_cost_per_audio_token\":1e-5", "no: output costs by audio"},
          {CHAT IN_OUT ",\"output_cost_per_image\":0.1", "no: output costs by images"},
          {CHAT IN_OUT ",\"output_cost_per_pixel\":0.1", "no: output costs by images"},
          {CHAT IN_OUT ",\"output_cost_per_image_token\":0.1", "no: output costs by images"},
          {CHAT IN_OUT ",\"output_cost_per_video_token\":0.1", "no: output costs by video"},
          {CHAT IN_OUT ",\"output_cost_per_second\":0.1", "no: output costs by seconds"},
          {CHAT IN_OUT ",\"output_cost_per_character\":0.1", "no: output costs by characters"},
          {CHAT IN_OUT ",\"output_cost_per_smile\":0.1", "no: output costs by others"},
          {CHAT IN_OUT ",\"output_cost_per_token_of_joy\":0.1", "no: output costs by others"},
          {CHAT IN_OUT ",\"output_cost_per_image\":0.1,"
                       "\"supported_output_modalities\":[\"text\",\"image\"]",
           "no: output costs by images"},
          {CHAT IN_OUT ",\"output_cost_per_image\":0.1,\"supported_output_modalities\":[\"image\"]",
           "no: output costs by images"},
          // One that is nothing, and a model that makes nothing but text.
          {CHAT IN_OUT ",\"output_cost_per_character\":0,\"output_cost_per_image\":null", STANDARD},
          {CHAT IN_OUT ",\"output_cost_per_image\":0.1,\"supported_output_modalities\":[\"text\"]",
           STANDARD}, );
    ck_assert_str_eq(entries[0].note, "also billed by: images");
}
END_TEST

START_TEST(what_a_card_leaves_out_is_noted)
{
    static const struct {
        const char *members, *note;
    } cases[] = {
        {"\"search_context_cost_per_query\":{\"search_context_size_high\":0.01}", "searches"},
        {"\"google_maps_grounding_cost_per_query\":0.014", "searches"},
        {"\"input_cost_per_audio_token\":1e-6,\"input_cost_per_image\":1", "audio, images"},
        {"\"cache_read_input_audio_token_cost\":1e-6", "audio"},
        {"\"input_cost_per_audio_token_batches\":1e-6", "audio"},
        {"\"input_cost_per_video_per_second\":1e-6", "video"},
        {"\"input_cost_per_second\":1", "seconds"},
        {"\"input_cost_per_character\":1e-6", "characters"},
        {"\"ocr_cost_per_page\":1", "pages"},
        {"\"code_interpreter_cost_per_session\":0.03", "tools"},
        {"\"citation_cost_per_token\":2e-6", "citations"},
        {"\"input_cost_per_token_decisions\":1e-7,\"output_cost_per_token_decisions\":1e-9",
         "decisions"},
        {"\"explicit_cache_read_input_token_cost\":2e-7", "explicit cache reads"},
        {"\"cache_creation_input_token_cost_above_12hr_above_272k_tokens_flex\":2e-7",
         "12-hour cache writes"},
        {"\"off_peak_pricing\":{\"input_cost_per_token\":1e-7}", "off-peak hours"},
        {"\"regional_processing_uplift_multiplier_eu\":1.1", "regions"},
        {"\"provider_specific_entry\":{\"us\":1.1,\"fast\":2}", "regions, fast mode"},
        {"\"provider_specific_entry\":{\"bedrock_invocation_schema\":\"titan_v2\"}", NULL},
        {"\"input_cost_per_token_by_moon\":1e-6", "others"},
        {"\"moon_pricing\":[]", "others"},
        // Nothing else is paid for by these.
        {"\"input_cost_per_audio_token\":0,\"input_cost_per_image\":null", NULL},
        {"\"input_dbu_cost_per_token\":1e-5,\"output_dbu_cost_per_token\":1e-5", NULL},
        {"\"deprecation_date\":\"2026-01-01\",\"source\":\"https://example.com/pricing\"", NULL},
        {"\"search_free_requests\":{\"n\":1},\"web_search_billing_unit\":\"query\"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[400];
        snprintf(text, sizeof(text), CHAT IN_OUT ",%s", cases[i].members);
        ck_assert_str_eq(of(text), STANDARD);
        const char *note = entries[0].note;
        ck_assert_msg(!note == !cases[i].note, "%s: %s", text, note ? note : "-");
        if (note) {
            ck_assert(strncmp(note, "also billed by: ", 16) == 0);
            ck_assert_str_eq(note + 16, cases[i].note);
        }
    }
    of(CHAT "\"input_cost_per_token\":0,\"output_cost_per_token\":0,\"input_cost_per_second\":1");
    ck_assert_str_eq(entries[0].note, "also billed by: seconds; all prices are 0");
    of(CHAT "\"input_cost_per_token\":0,\"output_cost_per_token\":0,"
            "\"output_cost_per_token_batches\":0");
    ck_assert_str_eq(entries[0].note, "batch has no price of input tokens; all prices are 0");
    of(CHAT "\"input_cost_per_token\":0,\"output_cost_per_token\":0,"
            "\"input_cost_per_request\":0.01");
    ck_assert_ptr_null(entries[0].note);
}
END_TEST

// ---- entries ----

static const char *named(const char *name)
{
    struct buf text = {0};
    buf_addf(&text, "{\"%s\":{" CHAT IN_OUT "}}", name);
    buf_addc(&text, '\0');
    parse_good(text.p);
    buf_free(&text);
    return outcome(&entries[0]);
}

START_TEST(a_name_that_is_no_models_is_refused)
{
    char name[300];
    ck_assert_str_eq(named("sample_spec"), "no: no model");
    ck_assert_str_eq(named("*"), "no: no model");
    ck_assert_str_eq(named("azure/*/gpt"), STANDARD);
    ck_assert_str_eq(named("gpt 4"), STANDARD);
    ck_assert(strncmp(named("__other__"), "no: model must not be __other__", 31) == 0);
    ck_assert(strncmp(named(""), "no: model ", 10) == 0);
    ck_assert(strncmp(named("a\\u001b[2J"), "no: model ", 10) == 0);
    ck_assert_str_eq(entries[0].name, "a\033[2J");
    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    ck_assert_str_eq(named(name), STANDARD);
    name[255] = 'a';
    name[256] = '\0';
    ck_assert(strncmp(named(name), "no: model ", 10) == 0);
    parse_good("{\"a\":[],\"b\":null}");
    ck_assert_str_eq(outcome(&entries[0]), "no: no object");
    ck_assert_str_eq(outcome(&entries[1]), "no: no object");
}
END_TEST

START_TEST(a_card_is_everybodys_and_says_where_it_is_from)
{
    of(CHAT IN_OUT ",\"litellm_provider\":\"openai\"");
    const struct price_card *card = &entries[0].card;
    ck_assert_str_eq(entries[0].name, "m");
    ck_assert_str_eq(card->model, "m");
    ck_assert_str_eq(card->tenant, "");
    ck_assert_str_eq(card->provider, "openai");
    ck_assert_str_eq(card->source, "litellm");
    ck_assert_str_eq(card->as_of, "");
    ck_assert_int_eq(card->effective_from_us, INT64_MIN);
    ck_assert_int_eq(card->version, 0);
    ck_assert_int_eq(card->discount_ppm, PRICE_NONE);
    ck_assert(!card->withdrawn && card->alias_count == 0);
    of(CHAT IN_OUT);
    ck_assert_str_eq(entries[0].card.provider, "");
    ck_assert(strncmp(of(CHAT IN_OUT ",\"litellm_provider\":\"\\u0007\""), "no: provider ", 13) ==
              0);
}
END_TEST

START_TEST(each_key_is_one_entry_in_the_files_order)
{
#define GOOD "{" CHAT IN_OUT "}"
    static const char *const names[] = {"z", "GPT-4o", "a", "gpt-4O", "x", "gpt-4o", "Gpt-4o"};
    static const bool taken[] = {true, true, true, false, false, false, false};
    parse_good("{\"z\":" GOOD ",\"GPT-4o\":" GOOD ",\"a\":" GOOD ",\"gpt-4O\":" GOOD ",\"x\":{},"
               "\"gpt-4o\":" GOOD ",\"Gpt-4o\":{}}");
    ck_assert_uint_eq(count, ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq(entries[i].name, names[i]);
        ck_assert_int_eq(entries[i].verdict == LITELLM_TAKEN, taken[i]);
    }
    ck_assert_str_eq(outcome(&entries[3]), "no: the name of another one in other letters");
    ck_assert_str_eq(outcome(&entries[5]), "no: the name of another one in other letters");
    ck_assert_str_eq(outcome(&entries[6]), "no: no mode");
    // What is refused takes no name away.
    parse_good("{\"A\":{},\"a\":" GOOD "}");
    ck_assert_int_eq(entries[1].verdict, LITELLM_TAKEN);
    parse_good("{}");
    ck_assert_uint_eq(count, 0);
}
END_TEST

// ---- the file ----

START_TEST(what_is_no_such_file_is_refused_whole)
{
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"", "line 1: must be JSON"},
        {"[]", "must be a JSON object with an entry a model"},
        {"\"a\"", "line 1: must be JSON"},
        {"{\"a\":{}", "line 1: must be JSON"},
        {"{\n\"a\":{},}", "line 2: must be JSON"},
        {"{\"a\":{}}x", "line 1: must be JSON"},
        {"{\"a\":{},\n\"a\":{}}", "line 2: a key stands twice"},
        {"{\"a\":{\"mode\":1,\"mode\":1}}", "line 1: a key stands twice"},
        {"{\"a\\u0000b\":{}}", "line 1: must be JSON"},
        {"{\"\xff\":{}}", "line 1: must be JSON"},
        {"{\"a\":{\"x\":1e999}}", "line 1: must be JSON"},
        {"model,input,output\n", "line 1: must be JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_int_eq(parse(str_of(cases[i].text)), -1);
        ck_assert_str_eq(err.detail, cases[i].detail);
        ck_assert_ptr_null(entries);
    }
    parse_good(" \r\n\t{\"a\":{}}\n");
}
END_TEST

START_TEST(depth_has_a_bound)
{
    struct buf deep = {0};
    buf_adds(&deep, "{\"a\":");
    for (size_t i = 0; i < 100000; i++)
        buf_addc(&deep, '[');
    ck_assert_int_eq(parse((struct str){deep.p, deep.n}), -1);
    buf_free(&deep);
}
END_TEST

START_TEST(bytes_have_a_bound)
{
    size_t n = LITELLM_BYTES_MAX;
    char *text = xmalloc(n + 1);
    memset(text, ' ', n + 1);
    memcpy(text, "{}", 2);
    ck_assert_int_eq(parse((struct str){text, n}), 0);
    ck_assert_int_eq(parse((struct str){text, n + 1}), -1);
    ck_assert_str_eq(err.detail, "must be at most 16777216 bytes");
    free(text);
}
END_TEST

START_TEST(entries_have_a_bound)
{
    struct buf text = {0};
    buf_addc(&text, '{');
    for (int i = 0; i < LITELLM_ENTRIES_MAX; i++)
        buf_addf(&text, "\"%d\":{},", i);
    text.p[text.n - 1] = '}';
    ck_assert_int_eq(parse((struct str){text.p, text.n}), 0);
    ck_assert_uint_eq(count, LITELLM_ENTRIES_MAX);
    text.p[text.n - 1] = ',';
    buf_adds(&text, "\"one more\":{}}");
    ck_assert_int_eq(parse((struct str){text.p, text.n}), -1);
    ck_assert_str_eq(err.detail, "must have at most 100000 entries");
    buf_free(&text);
}
END_TEST

START_TEST(a_mark_of_utf8_may_stand_before_it)
{
    ck_assert_int_eq(parse(STR_LIT("\xef\xbb\xbf{\"a\":{}}")), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(parse(STR_LIT("{\"a\":{}}\xef\xbb\xbf")), -1);
}
END_TEST

START_TEST(a_file_looks_like_a_list_by_its_first_byte)
{
    ck_assert(litellm_looks_like(STR_LIT("{")));
    ck_assert(litellm_looks_like(STR_LIT(" \t\r\n{\"a\"")));
    ck_assert(litellm_looks_like(STR_LIT("\xef\xbb\xbf{")));
    ck_assert(!litellm_looks_like(STR_LIT("\xef\xbb\xbf"
                                          "model")));
    ck_assert(!litellm_looks_like(STR_LIT("\xef\xbb")));
    ck_assert(!litellm_looks_like(STR_LIT("model,input\n{")));
    ck_assert(!litellm_looks_like(STR_LIT("\"{\"")));
    ck_assert(!litellm_looks_like(STR_LIT(" \n")));
    ck_assert(!litellm_looks_like((struct str){NULL, 0}));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("litellm");
    TCase *tc = tcase_create("litellm");
    tcase_add_checked_fixture(tc, NULL, clear);
    tcase_add_test(tc, a_price_a_token_is_whole_picodollars);
    tcase_add_test(tc, each_price_is_of_its_class);
    tcase_add_test(tc, a_price_that_is_none_is_refused);
    tcase_add_test(tc, tiers_are_named_as_usage_names_them);
    tcase_add_test(tc, suffixes_come_in_any_order);
    tcase_add_test(tc, a_band_is_one_that_usage_is_counted_by);
    tcase_add_test(tc, a_band_lacks_what_the_one_below_has);
    tcase_add_test(tc, a_tier_lacks_what_the_standard_has);
    tcase_add_test(tc, batch_lacks_half_of_the_standard_output_and_nothing_else);
    tcase_add_test(tc, ranges_are_bands);
    tcase_add_test(tc, ranges_that_are_none_are_refused);
    tcase_add_test(tc, only_modes_that_are_billed_by_tokens_are_taken);
    tcase_add_test(tc, output_that_costs_by_something_else_is_refused);
    tcase_add_test(tc, what_a_card_leaves_out_is_noted);
    tcase_add_test(tc, a_name_that_is_no_models_is_refused);
    tcase_add_test(tc, a_card_is_everybodys_and_says_where_it_is_from);
    tcase_add_test(tc, each_key_is_one_entry_in_the_files_order);
    tcase_add_test(tc, what_is_no_such_file_is_refused_whole);
    tcase_add_test(tc, depth_has_a_bound);
    tcase_add_test(tc, bytes_have_a_bound);
    tcase_add_test(tc, entries_have_a_bound);
    tcase_add_test(tc, a_mark_of_utf8_may_stand_before_it);
    tcase_add_test(tc, a_file_looks_like_a_list_by_its_first_byte);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
