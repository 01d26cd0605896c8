// SPDX-License-Identifier: Apache-2.0
// The forms of a name, in the order in which they are tried. Which card each finds in the default
// catalogue is test_price_names.c's matter.
#include "common/core/buf.h"
#include "common/core/price_name.h"

#include <check.h>

// exact form; forms without prefix; forms without suffix. Separated by blanks.
static const struct {
    const char *name, *without_prefix, *without_suffix;
} cases[] = {
    {"gpt-4o", "", ""},
    {"GPT-4o", "", ""},
    {"gpt-4o-2024-05-13", "", "gpt-4o"},
    {"openai/gpt-4o", "gpt-4o", ""},
    {"OpenRouter/OpenAI/GPT-4o", "openai/gpt-4o gpt-4o", ""},
    // Prefixes first, all of them; then what has lost one suffix, the longest first; then two.
    {"bedrock/us-east-1/us.anthropic.claude-haiku-4-5-20251001-v1:0",
     "us-east-1/us.anthropic.claude-haiku-4-5-20251001-v1:0 "
     "us.anthropic.claude-haiku-4-5-20251001-v1:0 anthropic.claude-haiku-4-5-20251001-v1:0 "
     "claude-haiku-4-5-20251001-v1:0",
     "bedrock/us-east-1/us.anthropic.claude-haiku-4-5-20251001 "
     "us-east-1/us.anthropic.claude-haiku-4-5-20251001 us.anthropic.claude-haiku-4-5-20251001 "
     "anthropic.claude-haiku-4-5-20251001 claude-haiku-4-5-20251001 "
     "bedrock/us-east-1/us.anthropic.claude-haiku-4-5 us-east-1/us.anthropic.claude-haiku-4-5 "
     "us.anthropic.claude-haiku-4-5 anthropic.claude-haiku-4-5 claude-haiku-4-5"},

    // Segments: what is known, at the front, in any case, any number of times.
    {"azure/eu/gpt-5.1", "eu/gpt-5.1 gpt-5.1", ""},
    {"azure/global-standard/gpt-4o", "global-standard/gpt-4o gpt-4o", ""},
    {"models/models/gemini-2.5-pro", "models/gemini-2.5-pro gemini-2.5-pro", ""},
    {"bedrock/ap-southeast-2/x", "ap-southeast-2/x x", ""},
    {"bedrock/mx-central-1/x", "mx-central-1/x x", ""},
    // What is not known stays, with all behind it.
    {"mycompany/gpt-4o", "", ""},
    {"mycompany/openai/gpt-4o", "", ""},
    {"openai/mycompany/gpt-4o", "mycompany/gpt-4o", ""},
    {"openai2/gpt-4o", "", ""},
    {"xopenai/gpt-4o", "", ""},
    {"open/gpt-4o", "", ""},
    {"/gpt-4o", "", ""},
    {"//gpt-4o", "", ""},
    {"groq/openai/gpt-oss-120b", "", ""},
    {"github_copilot/gpt-4o", "", ""},
    {"accounts/fireworks/models/llama-v3p1-8b-instruct", "", ""},
    {"ft:gpt-4o:org::id", "", ""},
    {"bedrock/us-east-1/1-month-commitment/anthropic.claude-v2:1",
     "us-east-1/1-month-commitment/anthropic.claude-v2:1 1-month-commitment/anthropic.claude-v2:1",
     "bedrock/us-east-1/1-month-commitment/anthropic.claude "
     "us-east-1/1-month-commitment/anthropic.claude 1-month-commitment/anthropic.claude"},
    {"my-company-1/x", "", ""},
    {"us-east-/x", "", ""},
    {"us-east-12/x", "", ""},
    {"us-east/x", "", ""},
    {"us-up-1/x", "", ""},
    {"zz-east-1/x", "", ""},
    {"us-gov-west-1/x", "", ""},
    // A name that is a prefix and nothing else is a name.
    {"openai", "", ""},
    {"openai/", "", ""},
    {"models/openai/", "openai/", ""},
    {"anthropic.", "", ""},

    // Bedrock's dots.
    {"anthropic.claude-opus-4-7", "claude-opus-4-7", ""},
    {"global.anthropic.claude-opus-4-7", "anthropic.claude-opus-4-7 claude-opus-4-7", ""},
    {"us-gov.anthropic.claude-opus-4-7", "", ""},
    {"xx.anthropic.claude-opus-4-7", "", ""},
    {"us.claude-opus-4-7", "", ""},
    {"us.mycompany.claude-opus-4-7", "", ""},
    {"mycompany.claude-opus-4-7", "", ""},
    {"gpt-4.1", "", ""},

    // Resource names of Bedrock and Vertex.
    {"arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-opus-4-7",
     "anthropic.claude-opus-4-7 claude-opus-4-7", ""},
    {"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-7",
     "eu.anthropic.claude-opus-4-7 anthropic.claude-opus-4-7 claude-opus-4-7", ""},
    {"bedrock/arn:aws:bedrock:us-west-2::foundation-model/x",
     "arn:aws:bedrock:us-west-2::foundation-model/x x", ""},
    {"arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc", "", ""},
    {"arn:aws:bedrock:us-west-2:123456789012:provisioned-model/abc", "", ""},
    {"arn:aws:bedrock:us-west-2:acct:foundation-model/x", "", ""},
    {"arn:aws:bedrock:us-west-2:foundation-model/x", "", ""},
    {"arn:aws:bedrock:us-west-2:12", "", ""},
    {"arn:aws:bedrock:moon::foundation-model/x", "", ""},
    {"arn:aws:bedrock:us-west-2", "", ""},
    {"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/x", "", ""},
    {"arn:aws:sagemaker:us-west-2::foundation-model/x", "", ""},
    {"arn:aws:bedrock:us-west-2::foundation-model/", "", ""},
    {"projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro",
     "publishers/google/models/gemini-2.5-pro gemini-2.5-pro", ""},
    {"publishers/anthropic/models/claude-opus-4-1@20250805", "claude-opus-4-1@20250805",
     "publishers/anthropic/models/claude-opus-4-1 claude-opus-4-1"},
    {"projects/p/locations/us-central1/endpoints/123", "endpoints/123", ""},
    {"projects/p/locations/l", "", ""},
    {"projects/p/locations//x", "", ""},
    {"projects//locations/l/x", "", ""},
    {"projects/p/regions/l/x", "", ""},
    {"publishers/google/gemini-2.5-pro", "", ""},
    {"publishers//models/gemini-2.5-pro", "", ""},

    // Dates: real days only, of this century.
    {"m-2024-08-06", "", "m"},
    {"m-20240806", "", "m"},
    {"m@20240806", "", "m"},
    {"m-2024-02-29", "", "m"},
    {"m-2023-02-29", "", ""},
    {"m-20230229", "", ""},
    {"m-2024-00-06", "", ""},
    {"m-2024-13-06", "", ""},
    {"m-2024-08-00", "", ""},
    {"m-2024-08-32", "", ""},
    {"m@20240832", "", ""},
    {"m-1999-12-31", "", ""},
    {"m-2000-01-01", "", "m"},
    {"m-20991231", "", "m"},
    {"m-21000101", "", ""},
    {"m-2024-8-06", "", ""},
    {"m-2024_08_06", "", ""},
    {"m-2024-08-06x", "", ""},
    {"m_2024-08-06", "", ""},
    {"m:20240806", "", ""},
    {"m-202408061", "", ""},
    {"m12024-08-06", "", ""},
    {"m-2o24-08-06", "", ""},
    {"m-0613", "", ""},
    {"m-08-2024", "", ""},
    {"m@2407", "", ""},

    // Versions.
    {"m-v1", "", "m"},
    {"m-v12", "", "m"},
    {"m-v123", "", ""},
    {"m-v", "", ""},
    {"m-v1:0", "", "m"},
    {"m-v12:34", "", "m"},
    {"m-v1:234", "", ""},
    {"m-v123:0", "", ""},
    {"m-v:0", "", ""},
    {"m-v1:", "", ""},
    {"m-v1:0:48k", "", ""},
    {"m-v1.1", "", ""},
    {"m-1:0", "", ""},
    {"mv1", "", ""},
    {"m-001", "", "m"},
    {"m-009", "", "m"},
    {"m@001", "", "m"},
    {"m-000", "", ""},
    {"m-010", "", ""},
    {"m-00a", "", ""},
    {"m-0a1", "", ""},
    {"m-0011", "", ""},
    {"m:001", "", ""},
    {"m1001", "", ""},
    {"m-latest", "", "m"},
    {"m@latest", "", "m"},
    {"m@default", "", "m"},
    {"m-default", "", ""},
    {"m:latest", "", ""},
    {"mlatest", "", ""},
    {"m-LATEST", "", "m"},
    {"m-v2@20241022", "", "m-v2 m"},

    // What changes the price stays, and guards what stands before it.
    {"m:free", "", ""},
    {"m-2024-08-06:free", "", ""},
    {"m:nitro", "", ""},
    {"m:online", "", ""},
    {"m:thinking", "", ""},
    {"m:beta", "", ""},
    {"m-preview", "", ""},
    {"m-preview-05-06", "", ""},
    {"m-preview-2024-10-01", "", "m-preview"},
    {"m-exp", "", ""},
    {"m-exp-0827", "", ""},
    {"m-audio", "", ""},
    {"m-mini", "", ""},
    {"m-fast", "", ""},
    {"m-32k", "", ""},

    // A suffix and nothing else is a name, also behind a prefix.
    {"-latest", "", ""},
    {"-2024-08-06", "", ""},
    {"-20240806", "", ""},
    {"-v1", "", ""},
    {"-001", "", ""},
    {"openai/-latest", "-latest", "openai/"},
    {"-v1-v1", "", "-v1"},
};

// From one form up to another, with blanks between them.
static void check_forms(const struct price_name_forms *f, size_t from, size_t to,
                        const char *wanted)
{
    struct buf text = {0};
    for (size_t i = from; i < to; i++)
        buf_addf(&text, "%s%.*s", i > from ? " " : "", (int)f->form[i].n, f->form[i].p);
    buf_addc(&text, '\0');
    ck_assert_str_eq(text.p, wanted);
    buf_free(&text);
}

START_TEST(takes_away_what_is_known)
{
    struct price_name_forms f;
    price_name_forms(str_of(cases[_i].name), &f);
    char lower[PRICE_NAME_MAX + 1] = "";
    for (size_t i = 0; cases[_i].name[i] != '\0'; i++)
        lower[i] = (char)(cases[_i].name[i] >= 'A' && cases[_i].name[i] <= 'Z'
                              ? cases[_i].name[i] + ('a' - 'A')
                              : cases[_i].name[i]);
    ck_assert_uint_eq(f.without_prefix, 1);
    check_forms(&f, 0, 1, lower);
    check_forms(&f, f.without_prefix, f.without_suffix, cases[_i].without_prefix);
    check_forms(&f, f.without_suffix, f.n, cases[_i].without_suffix);
}
END_TEST

// Each that is known: behind all of them is a name.
static const char *const known_prefixes[] = {
    // Who charges the maker's price, by the names that LiteLLM, OpenRouter and Langfuse give them.
    "ai21/m",
    "amazon/m",
    "anthropic/m",
    "aws/m",
    "azure/m",
    "azure_ai/m",
    "bedrock/m",
    "bedrock_converse/m",
    "bedrock/converse/m",
    "bedrock/invoke/m",
    "cohere/m",
    "cohere_chat/m",
    "gemini/m",
    "google/m",
    "googleai/m",
    "litellm_proxy/m",
    "mistral/m",
    "models/m",
    "openai/m",
    "openai/responses/m",
    "openrouter/m",
    "perplexity/m",
    "text-completion-openai/m",
    "vercel/m",
    "vercel_ai_gateway/m",
    "vertex_ai/m",
    "vertex_ai_beta/m",
    "x-ai/m",
    "xai/m",
    // Geographies.
    "apac/m",
    "au/m",
    "ca/m",
    "eu/m",
    "global/m",
    "global-standard/m",
    "jp/m",
    "us/m",
    "apac.anthropic.m",
    "au.anthropic.m",
    "ca.anthropic.m",
    "eu.anthropic.m",
    "global.anthropic.m",
    "jp.anthropic.m",
    "us.anthropic.m",
    // Bedrock's providers.
    "ai21.m",
    "amazon.m",
    "cohere.m",
    "deepseek.m",
    "google.m",
    "luma.m",
    "meta.m",
    "minimax.m",
    "mistral.m",
    "moonshot.m",
    "moonshotai.m",
    "nvidia.m",
    "openai.m",
    "qwen.m",
    "stability.m",
    "twelvelabs.m",
    "writer.m",
    "zai.m",
    // AWS regions.
    "af-south-1/m",
    "ap-east-1/m",
    "ap-northeast-3/m",
    "ap-southeast-5/m",
    "ca-central-1/m",
    "ca-west-1/m",
    "eu-north-1/m",
    "il-central-1/m",
    "me-south-1/m",
    "mx-central-1/m",
    "sa-east-1/m",
    "us-west-2/m",
};

START_TEST(knows_the_prefix)
{
    struct price_name_forms f;
    price_name_forms(str_of(known_prefixes[_i]), &f);
    ck_assert_uint_eq(f.n, f.without_suffix);
    ck_assert_msg(str_eq(f.form[f.n - 1], STR_LIT("m")), "%s", known_prefixes[_i]);
}
END_TEST

// A name is bytes: those beyond ASCII and NUL are kept as they are.
START_TEST(keeps_other_bytes)
{
    static const char bytes[] = "openai/\xc3\x84\xff\0Z-latest";
    struct price_name_forms f;
    price_name_forms((struct str){bytes, sizeof(bytes) - 1}, &f);
    ck_assert_uint_eq(f.n, 4);
    ck_assert(str_eq(f.form[3], (struct str){"\xc3\x84\xff\0z", 5}));
}
END_TEST

static struct price_name_forms forms_of_length(size_t n)
{
    char name[PRICE_NAME_MAX + 1];
    ck_assert_uint_le(n, sizeof(name));
    memset(name, 'm', sizeof(name));
    struct price_name_forms f;
    memset(&f, 0x5a, sizeof(f));
    price_name_forms((struct str){name, n}, &f);
    return f;
}

START_TEST(bounds_the_length)
{
    ck_assert_uint_eq(forms_of_length(PRICE_NAME_MAX).n, 1);
    ck_assert_uint_eq(forms_of_length(PRICE_NAME_MAX).form[0].n, PRICE_NAME_MAX);
    struct price_name_forms f = forms_of_length(PRICE_NAME_MAX + 1);
    ck_assert_uint_eq(f.n, 0);
    ck_assert_uint_eq(f.without_prefix, 0);
    ck_assert_uint_eq(f.without_suffix, 0);
    ck_assert_uint_eq(forms_of_length(1).n, 1);
    ck_assert_uint_eq(forms_of_length(0).n, 0);
}
END_TEST

// "us/" so often, then "m-v1-v1": 1 + prefixes + 2 x (1 + prefixes) forms.
static const struct price_name_forms *forms_of_prefixes(size_t prefixes)
{
    static struct price_name_forms f;
    struct buf name = {0};
    for (size_t i = 0; i < prefixes; i++)
        buf_adds(&name, "us/");
    buf_adds(&name, "m-v1-v1");
    price_name_forms((struct str){name.p, name.n}, &f);
    buf_free(&name);
    return &f;
}

// At the limit the least exact forms are left out: of the last step, the shortest.
START_TEST(bounds_the_forms)
{
    const struct price_name_forms *f = forms_of_prefixes(15);
    ck_assert_uint_eq(f->n, 48);
    ck_assert_uint_eq(f->without_suffix, 16);
    ck_assert(str_eq(f->form[47], STR_LIT("m")));

    f = forms_of_prefixes(16);
    ck_assert_uint_eq(f->n, 48);
    ck_assert_uint_eq(f->without_suffix, 17);
    ck_assert(str_eq(f->form[33], STR_LIT("m-v1")));
    ck_assert(str_eq(f->form[47], STR_LIT("us/us/us/m")));

    f = forms_of_prefixes(47);
    ck_assert_uint_eq(f->n, 48);
    ck_assert_uint_eq(f->without_suffix, 48);
    ck_assert(str_eq(f->form[47], STR_LIT("m-v1-v1")));

    f = forms_of_prefixes(48);
    ck_assert_uint_eq(f->n, 48);
    ck_assert_uint_eq(f->without_prefix, 1);
    ck_assert_uint_eq(f->without_suffix, 48);
    ck_assert(str_eq(f->form[47], STR_LIT("us/m-v1-v1")));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("price_name");
    tcase_add_loop_test(tc, takes_away_what_is_known, 0, ARRAY_LEN(cases));
    tcase_add_loop_test(tc, knows_the_prefix, 0, ARRAY_LEN(known_prefixes));
    tcase_add_test(tc, keeps_other_bytes);
    tcase_add_test(tc, bounds_the_length);
    tcase_add_test(tc, bounds_the_forms);
    Suite *suite = suite_create("price_name");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
