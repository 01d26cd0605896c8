// SPDX-License-Identifier: Apache-2.0
// What it costs to find a price and to price a usage line, by how a name is found. The catalogue is
// a large one of made-up models, with a tenant that has cards of its own.
#include "common/core/price.h"
#include "common/core/timeunit.h"
#include "tests/bench/bench.h"

#define MODELS 2000
#define VERSIONS 5
#define CALLS 1000000

static char *name_of(const char *prefix, int n)
{
    struct buf b = {0};
    buf_addf(&b, "%s%d", prefix, n);
    return buf_steal(&b);
}

static void add_card(struct catalogue *c, int version, const char *tenant, int n, bool discount)
{
    struct price_card card = {
        .version = version,
        .effective_from_us = INT64_MIN,
        .tenant = xstrdup(tenant),
        .provider = xstrdup(""),
        .model = name_of("model-", n),
        .aliases = xcalloc(1, sizeof(card.aliases[0])),
        .alias_count = 1,
        .discount_ppm = discount ? 100000 : PRICE_NONE,
        .lines = xcalloc(1, sizeof(card.lines[0])),
        .line_count = 1,
        .source = xstrdup(""),
    };
    card.aliases[0] = name_of("nick-", n);
    card.lines[0].tier = xstrdup("");
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        card.lines[0].pusd[k] = discount ? PRICE_NONE : 1000 + n + k;
    catalogue_add(c, &card);
}

static struct catalogue *made_up(void)
{
    struct catalogue *c = catalogue_new();
    for (int version = 1; version <= VERSIONS; version++) {
        for (int n = 0; n < MODELS; n++)
            add_card(c, version, "", n, false);
        add_card(c, version, "acme", 7, true);
    }
    return c;
}

static void bench(const struct catalogue *c, const char *name, const char *what, const char *tenant,
                  const char *model)
{
    static const struct usage u = {
        .requests = 1, .uncached_prompt_tokens = 1000, .completion_tokens = 100};
    struct price_hit hit = {0};
    struct cost cost = {0};
    const struct usage_key key = {str_of(model), str_of(""), str_of(""), 0};
    int64_t begin_ns = bench_cpu_ns();
    for (int i = 0; i < CALLS; i++)
        hit = catalogue_resolve(c, VERSIONS, i, str_of(tenant), str_of(model), str_of(""));
    int64_t resolved_ns = bench_cpu_ns();
    for (int i = 0; i < CALLS; i++)
        cost_add_usage(&cost, c, VERSIONS, i, str_of(tenant), &key, &u);
    int64_t priced_ns = bench_cpu_ns();
    printf("%-34s %-9s %5.0f ns a resolve, %5.0f ns a line priced\n", what,
           price_step_name(hit.step), (double)(resolved_ns - begin_ns) / CALLS,
           (double)(priced_ns - resolved_ns) / CALLS);
    bench_tell((double)(resolved_ns - begin_ns) / CALLS, "ns", CALLS, "price.resolve.%s", name);
    bench_tell((double)(priced_ns - resolved_ns) / CALLS, "ns", CALLS, "price.line.%s", name);
}

int main(void)
{
    struct catalogue *c = made_up();
    bench(c, "own", "own name", "other", "model-1234");
    bench(c, "alias", "alias", "other", "nick-1234");
    bench(c, "prefixes", "prefixes", "other", "openrouter/openai/model-1234");
    bench(c, "affixes", "prefix and suffix", "other", "us.anthropic.model-1234-20250929-v1:0");
    bench(c, "nothing", "nothing", "other", "us.anthropic.model-none-20250929-v1:0");
    bench(c, "tenant.own", "own name, tenant with cards", "acme", "model-1234");
    bench(c, "tenant.discounted", "discounted", "acme", "model-7");
    bench(c, "tenant.nothing", "nothing, tenant with cards", "acme",
          "us.anthropic.model-none-20250929-v1:0");
    catalogue_free(c);
    return 0;
}
