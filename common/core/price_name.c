// SPDX-License-Identifier: Apache-2.0
// A form is the name between a start and an end: starts move right past known prefixes, ends move
// left past known suffixes, so that the forms are pairs of the two. What is not known stays, since
// it may change the price: another host's rate, a fine-tuned model, a gateway's own name. Hence no
// hosts of open models (each has its own price), no subscriptions (github_copilot, chatgpt), no
// us-gov (dearer throughout); the rest is in deploy/admin/prices/README.md.
#include "common/core/price_name.h"

#include "common/core/timeunit.h"

// Segments before a '/': who bills a model at its maker's list price, the ways of calling it, and
// geographies.
static const struct str segments[] = {
    STR_LIT("ai21"),
    STR_LIT("amazon"),
    STR_LIT("anthropic"),
    STR_LIT("apac"),
    STR_LIT("au"),
    STR_LIT("aws"),
    STR_LIT("azure"),
    STR_LIT("azure_ai"),
    STR_LIT("bedrock"),
    STR_LIT("bedrock_converse"),
    STR_LIT("ca"),
    STR_LIT("cohere"),
    STR_LIT("cohere_chat"),
    STR_LIT("converse"),
    STR_LIT("eu"),
    STR_LIT("gemini"),
    STR_LIT("global"),
    STR_LIT("global-standard"),
    STR_LIT("google"),
    STR_LIT("googleai"),
    STR_LIT("invoke"),
    STR_LIT("jp"),
    STR_LIT("litellm_proxy"),
    STR_LIT("mistral"),
    STR_LIT("models"),
    STR_LIT("openai"),
    STR_LIT("openrouter"),
    STR_LIT("perplexity"),
    STR_LIT("responses"),
    STR_LIT("text-completion-openai"),
    STR_LIT("us"),
    STR_LIT("vercel"),
    STR_LIT("vercel_ai_gateway"),
    STR_LIT("vertex_ai"),
    STR_LIT("vertex_ai_beta"),
    STR_LIT("x-ai"),
    STR_LIT("xai"),
};

// Bedrock's ids: [geography.]provider.model
static const struct str geographies[] = {
    STR_LIT("apac"), STR_LIT("au"), STR_LIT("ca"),     STR_LIT("eu"),
    STR_LIT("jp"),   STR_LIT("us"), STR_LIT("global"),
};
static const struct str providers[] = {
    STR_LIT("ai21"),       STR_LIT("amazon"),  STR_LIT("anthropic"), STR_LIT("cohere"),
    STR_LIT("deepseek"),   STR_LIT("google"),  STR_LIT("luma"),      STR_LIT("meta"),
    STR_LIT("minimax"),    STR_LIT("mistral"), STR_LIT("moonshot"),  STR_LIT("moonshotai"),
    STR_LIT("nvidia"),     STR_LIT("openai"),  STR_LIT("qwen"),      STR_LIT("stability"),
    STR_LIT("twelvelabs"), STR_LIT("writer"),  STR_LIT("zai"),
};

// AWS regions: area-direction-digit.
static const struct str areas[] = {
    STR_LIT("af"), STR_LIT("ap"), STR_LIT("ca"), STR_LIT("eu"), STR_LIT("il"),
    STR_LIT("me"), STR_LIT("mx"), STR_LIT("sa"), STR_LIT("us"),
};
static const struct str directions[] = {
    STR_LIT("central"), STR_LIT("east"),      STR_LIT("north"), STR_LIT("northeast"),
    STR_LIT("south"),   STR_LIT("southeast"), STR_LIT("west"),
};

static bool is_one_of(struct str s, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(s, list[i]))
            return true;
    return false;
}
#define IS_ONE_OF(s, list) is_one_of(s, list, ARRAY_LEN(list))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str str_from(struct str s, size_t skip)
{
    return (struct str){s.p + skip, s.n - skip};
}

// The bytes before the first c; all where there is none.
static struct str str_until(struct str s, char c)
{
    const char *at = memchr(s.p, c, s.n);
    return (struct str){s.p, at ? (size_t)(at - s.p) : s.n};
}

static bool has_prefix(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

static bool has_suffix(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

static bool is_aws_region(struct str s)
{
    struct str area = str_until(s, '-');
    if (area.n == s.n || !IS_ONE_OF(area, areas))
        return false;
    struct str direction = str_until(str_from(s, area.n + 1), '-');
    return IS_ONE_OF(direction, directions) && s.n == area.n + direction.n + 3 &&
           s.p[s.n - 2] == '-' && is_digit(s.p[s.n - 1]);
}

// Each of these: how many bytes of s are such a prefix, 0 where it has none.

static size_t segment_prefix(struct str s)
{
    struct str segment = str_until(s, '/');
    bool known = IS_ONE_OF(segment, segments) || is_aws_region(segment);
    return known && segment.n < s.n ? segment.n + 1 : 0;
}

static size_t provider_prefix(struct str s)
{
    struct str provider = str_until(s, '.');
    return provider.n < s.n && IS_ONE_OF(provider, providers) ? provider.n + 1 : 0;
}

// Only before a provider, so that a model whose own name begins so keeps it.
static size_t geography_prefix(struct str s)
{
    struct str geography = str_until(s, '.');
    if (geography.n == s.n || !IS_ONE_OF(geography, geographies))
        return 0;
    return provider_prefix(str_from(s, geography.n + 1)) ? geography.n + 1 : 0;
}

// arn:aws:bedrock:REGION:ACCOUNT:foundation-model/ or inference-profile/, whose id names the model.
// That of an application-inference-profile, a custom or a provisioned model does not.
static size_t arn_prefix(struct str s)
{
    static const struct str kinds[] = {STR_LIT("foundation-model/"), STR_LIT("inference-profile/")};
    const struct str head = STR_LIT("arn:aws:bedrock:");
    if (!has_prefix(s, head))
        return 0;
    struct str rest = str_from(s, head.n);
    struct str region = str_until(rest, ':');
    if (region.n == rest.n || !is_aws_region(region))
        return 0;
    rest = str_from(rest, region.n + 1);
    while (rest.n > 0 && is_digit(rest.p[0]))
        rest = str_from(rest, 1);
    if (rest.n == 0 || rest.p[0] != ':')
        return 0;
    rest = str_from(rest, 1);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (has_prefix(rest, kinds[i]))
            return (size_t)(rest.p - s.p) + kinds[i].n;
    return 0;
}

// FIRST/any/SECOND/any/, or FIRST/any/SECOND/ where the second has no value.
static size_t resource_prefix(struct str s, struct str first, struct str second, bool second_valued)
{
    if (!has_prefix(s, first))
        return 0;
    struct str rest = str_from(s, first.n);
    struct str value = str_until(rest, '/');
    rest = str_from(rest, value.n);
    if (value.n == 0 || !has_prefix(rest, second))
        return 0;
    rest = str_from(rest, second.n);
    if (second_valued) {
        value = str_until(rest, '/');
        if (value.n == 0 || value.n == rest.n)
            return 0;
        rest = str_from(rest, value.n + 1);
    }
    return (size_t)(rest.p - s.p);
}

// Vertex: projects/P/locations/L/publishers/P/models/M, the front of which may be missing.
static size_t vertex_prefix(struct str s)
{
    size_t n = resource_prefix(s, STR_LIT("projects/"), STR_LIT("/locations/"), true);
    return n ? n : resource_prefix(s, STR_LIT("publishers/"), STR_LIT("/models/"), false);
}

static size_t known_prefix(struct str s)
{
    static size_t (*const kinds[])(struct str) = {
        arn_prefix, vertex_prefix, segment_prefix, geography_prefix, provider_prefix,
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t n = kinds[i](s);
        if (n > 0)
            return n;
    }
    return 0;
}

// Whether the eight digits are a day of this century.
static bool is_date(const char year[4], const char month[2], const char day[2])
{
    char text[] = "YYYY-MM-DDT00:00:00Z";
    memcpy(text, year, 4);
    memcpy(text + 5, month, 2);
    memcpy(text + 8, day, 2);
    int64_t us;
    return memcmp(text, "20", 2) == 0 && time_parse_rfc3339(str_of(text), &us) == 0;
}

// As with prefixes: how many bytes at the end of s.

// -YYYY-MM-DD, -YYYYMMDD, @YYYYMMDD
static size_t date_suffix(struct str s)
{
    const char *end = s.p + s.n;
    if (s.n > 11 && end[-11] == '-' && end[-6] == '-' && end[-3] == '-' &&
        is_date(end - 10, end - 5, end - 2))
        return 11;
    if (s.n > 9 && (end[-9] == '-' || end[-9] == '@') && is_date(end - 8, end - 4, end - 2))
        return 9;
    return 0;
}

// One or two digits at the end.
static size_t digits_at_end(struct str s)
{
    size_t n = 0;
    while (n < 2 && n < s.n && is_digit(s.p[s.n - 1 - n]))
        n++;
    return n;
}

// -v2, -v1:0
static size_t version_suffix(struct str s)
{
    size_t n = digits_at_end(s);
    if (n > 0 && n < s.n && s.p[s.n - 1 - n] == ':') {
        size_t major = digits_at_end((struct str){s.p, s.n - n - 1});
        n = major > 0 ? n + 1 + major : 0;
    }
    return n > 0 && has_suffix((struct str){s.p, s.n - n}, STR_LIT("-v")) ? n + 2 : 0;
}

// -001 to -009, @001 to @009
static size_t release_suffix(struct str s)
{
    if (s.n <= 4)
        return 0;
    const char *at = s.p + s.n - 4;
    bool release = (at[0] == '-' || at[0] == '@') && at[1] == '0' && at[2] == '0' && at[3] >= '1' &&
                   at[3] <= '9';
    return release ? 4 : 0;
}

static size_t word_suffix(struct str s)
{
    static const struct str words[] = {STR_LIT("-latest"), STR_LIT("@latest"), STR_LIT("@default")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_suffix(s, words[i]))
            return words[i].n;
    return 0;
}

static size_t known_suffix(struct str s)
{
    static size_t (*const kinds[])(struct str) = {
        date_suffix,
        version_suffix,
        release_suffix,
        word_suffix,
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t n = kinds[i](s);
        if (n > 0)
            return n;
    }
    return 0;
}

static void add_form(struct price_name_forms *out, struct str form)
{
    // At the limit the least exact ones are left out.
    if (out->n < PRICE_NAME_FORMS_MAX)
        out->form[out->n++] = form;
}

void price_name_forms(struct str name, struct price_name_forms *out)
{
    out->n = out->without_prefix = out->without_suffix = 0;
    if (name.n == 0 || name.n > PRICE_NAME_MAX)
        return;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        out->lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    struct str form = {out->lower, name.n};
    add_form(out, form);
    out->without_prefix = out->n;
    for (size_t n; (n = known_prefix(form)) > 0 && n < form.n;) {
        form = str_from(form, n);
        add_form(out, form);
    }
    out->without_suffix = out->n;

    // A date tells more of the price than the way to the model: all forms that have lost one suffix
    // come before those that have lost two.
    struct str whole = out->form[0];
    for (size_t n; (n = known_suffix(whole)) > 0;) {
        whole.n -= n;
        for (size_t i = 0; i < out->without_suffix; i++) {
            size_t skip = (size_t)(out->form[i].p - whole.p);
            if (skip < whole.n)
                add_form(out, str_from(whole, skip));
        }
    }
}
