// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/litellm_lines.h"

#include <stdio.h>

static const int64_t bands[] = USAGE_BANDS;

void litellm_prices_init(struct litellm_prices *p)
{
    *p = (struct litellm_prices){0};
    for (size_t t = 0; t < LITELLM_TIER_COUNT; t++)
        for (size_t b = 0; b < LITELLM_BANDS; b++)
            for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
                p->pusd[t][b][k] = PRICE_NONE;
}

size_t litellm_band(int64_t above)
{
    size_t b = 0;
    while (above != 0 && b < ARRAY_LEN(bands) && bands[b] != above)
        b++;
    return above == 0 ? 0 : b + 1;
}

const char *litellm_picodollars(double usd, int64_t *out)
{
    char text[32]; // d.dddddddddddddde±dd
    int64_t digits = 0, divisor = 1;
    *out = 0;
    if (usd < 0)
        return "a price is negative";
    if (usd == 0)
        return NULL;
    snprintf(text, sizeof(text), "%.14e", usd);
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits = 10 * digits + (*p - '0');
    long power = strtol(p + 1, NULL, 10) - 14 + 12;
    for (; power > 0; power--)
        if (__builtin_mul_overflow(digits, 10, &digits))
            return "a price is too large";
    for (; power < 0 && divisor <= digits * 10; power++)
        divisor *= 10;
    int64_t rest = digits % divisor;
    *out = digits / divisor + (rest >= divisor - rest);
    return power < 0 || *out == 0 ? "a price is less than a picodollar" : NULL;
}

static bool any(const int64_t *pusd)
{
    for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
        if (pusd[k] != PRICE_NONE)
            return true;
    return false;
}

// What is given replaces.
static void take(int64_t *into, const int64_t *pusd)
{
    for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
        if (pusd[k] != PRICE_NONE)
            into[k] = pusd[k];
}

static void add_line(struct price_card *card, size_t tier, size_t band, const int64_t *pusd)
{
#define NAME(tier, name, suffix) name,
    static const char *const names[] = {LITELLM_TIERS(NAME)};
#undef NAME
    struct price_line *line = &card->lines[card->line_count++];
    line->tier = xstrdup(names[tier]);
    line->above = band == 0 ? 0 : bands[band - 1];
    memcpy(line->pusd, pusd, sizeof(line->pusd));
}

static void add_tier(const struct litellm_prices *p, size_t tier, struct price_card *card)
{
    const int64_t(*standard)[PRICE_CLASS_COUNT] = p->pusd[LITELLM_standard];
    const int64_t(*own)[PRICE_CLASS_COUNT] = p->pusd[tier];
    int64_t pusd[PRICE_CLASS_COUNT];
    memcpy(pusd, standard[0], sizeof(pusd));
    if (own[0][PRICE_output] != PRICE_NONE)
        pusd[PRICE_reasoning] = PRICE_NONE;
    take(pusd, own[0]);
    add_line(card, tier, 0, pusd);
    for (size_t b = 1; b < LITELLM_BANDS; b++) {
        if (!any(standard[b]) && !any(own[b]))
            continue;
        take(pusd, standard[b]);
        take(pusd, own[b]);
        add_line(card, tier, b, p->bands_alone ? own[b] : pusd);
    }
}

static void add_batch(const struct litellm_prices *p, struct price_card *card)
{
    const int64_t(*own)[PRICE_CLASS_COUNT] = p->pusd[LITELLM_batch];
    const int64_t *standard = p->pusd[LITELLM_standard][0];
    int64_t pusd[PRICE_CLASS_COUNT];
    for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
        pusd[k] = PRICE_NONE;
    pusd[PRICE_output] = standard[PRICE_output] / 2 + standard[PRICE_output] % 2;
    pusd[PRICE_request] = standard[PRICE_request];
    take(pusd, own[0]);
    add_line(card, LITELLM_batch, 0, pusd);
    for (size_t b = 1; b < LITELLM_BANDS; b++) {
        if (!any(own[b]))
            continue;
        take(pusd, own[b]);
        add_line(card, LITELLM_batch, b, pusd);
    }
}

static bool has_tier(const struct litellm_prices *p, size_t tier)
{
    for (size_t b = 0; b < LITELLM_BANDS; b++)
        if (any(p->pusd[tier][b]))
            return true;
    return false;
}

const char *litellm_lines(const struct litellm_prices *p, struct price_card *card,
                          bool *batch_left_out)
{
    *batch_left_out = false;
    if (p->pusd[LITELLM_standard][0][PRICE_input] == PRICE_NONE)
        return "no price of input tokens";
    if (p->pusd[LITELLM_standard][0][PRICE_output] == PRICE_NONE)
        return "no price of output tokens";
    card->lines = xcalloc(LITELLM_TIER_COUNT * LITELLM_BANDS, sizeof(card->lines[0]));
    card->line_count = 0;
    for (size_t t = 0; t < LITELLM_TIER_COUNT; t++) {
        if (!has_tier(p, t))
            continue;
        if (t != LITELLM_batch)
            add_tier(p, t, card);
        else if (p->pusd[t][0][PRICE_input] == PRICE_NONE)
            *batch_left_out = true;
        else
            add_batch(p, card);
    }
    return NULL;
}
