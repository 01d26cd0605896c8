// SPDX-License-Identifier: Apache-2.0
#include "common/core/price.h"

#include "common/core/timeunit.h"

#include <strings.h>

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

static const char empty_where_withdrawn[] = "must be empty where the card is withdrawn (unit none)";

void price_card_clear(struct price_card *c)
{
    free(c->tenant);
    free(c->provider);
    free(c->model);
    free(c->source);
    for (size_t i = 0; i < c->alias_count; i++)
        free(c->aliases[i]);
    free(c->aliases);
    for (size_t i = 0; i < c->line_count; i++)
        free(c->lines[i].tier);
    free(c->lines);
    *c = (struct price_card){0};
}

void price_card_copy(struct price_card *out, const struct price_card *from)
{
    *out = *from;
    out->tenant = xstrdup(from->tenant);
    out->provider = xstrdup(from->provider);
    out->model = xstrdup(from->model);
    out->source = xstrdup(from->source);
    out->aliases = xcalloc(from->alias_count, sizeof(out->aliases[0]));
    for (size_t i = 0; i < from->alias_count; i++)
        out->aliases[i] = xstrdup(from->aliases[i]);
    out->lines = xcalloc(from->line_count, sizeof(out->lines[0]));
    for (size_t i = 0; i < from->line_count; i++) {
        out->lines[i] = from->lines[i];
        out->lines[i].tier = xstrdup(from->lines[i].tier);
    }
}

// A name that may be left out.
static int check_label(const char *column, const char *text, struct err *e)
{
    return text[0] == '\0' ? 0 : event_check_name(column, str_of(text), e);
}

static int check_model_name(const char *column, const char *name, struct err *e)
{
    if (event_check_name(column, str_of(name), e) != 0)
        return -1;
    if (strcasecmp(name, USAGE_OTHER) == 0)
        return err_field(e, column, -1, "must not be %s, which means usage of several models",
                         USAGE_OTHER);
    return 0;
}

static int check_aliases(const struct price_card *c, struct err *e)
{
    bool every = strcmp(c->model, PRICE_EVERY) == 0;
    if (every && c->alias_count > 0)
        return err_field(e, "aliases", -1, "must be empty: the model %s has no other names",
                         PRICE_EVERY);
    if (c->alias_count > PRICE_ALIASES_MAX)
        return err_field(e, "aliases", -1, "must be at most %d names", PRICE_ALIASES_MAX);
    for (size_t i = 0; i < c->alias_count; i++) {
        const char *alias = c->aliases[i];
        if (check_model_name("aliases", alias, e) != 0)
            return -1;
        if (strcmp(alias, PRICE_EVERY) == 0 || strchr(alias, ' '))
            return err_field(e, "aliases", -1, "must be names without blanks, and none of them %s",
                             PRICE_EVERY);
        bool twice = strcasecmp(alias, c->model) == 0;
        for (size_t k = 0; k < i; k++)
            twice = twice || strcasecmp(alias, c->aliases[k]) == 0;
        if (twice)
            return err_field(e, "aliases", -1, "must not name \"%s\" twice", alias);
    }
    return 0;
}

static int check_discount(const struct price_card *c, struct err *e)
{
    bool every = strcmp(c->model, PRICE_EVERY) == 0;
    if (c->withdrawn)
        return c->discount_ppm == PRICE_NONE
                   ? 0
                   : err_field(e, "discount_percent", -1, empty_where_withdrawn);
    if (c->discount_ppm == PRICE_NONE)
        return c->tenant[0] == '\0' || !every
                   ? 0
                   : err_field(e, "discount_percent", -1,
                               "must be given: a tenant's model %s is a discount on all models",
                               PRICE_EVERY);
    if (c->discount_ppm < 0 || c->discount_ppm > 1000000)
        return err_field(e, "discount_percent", -1, "must be from 0 to 100");
    if (c->tenant[0] == '\0')
        return err_field(e, "discount_percent", -1,
                         "must be empty: it is a tenant's discount on what everybody pays");
    return 0;
}

static int check_when(const struct price_card *c, struct err *e)
{
    int64_t from_us = c->effective_from_us, day_us;
    if (from_us != INT64_MIN && (!time_in_range_us(from_us) || from_us % US_PER_MIN != 0))
        return err_field(e, "effective_from", -1,
                         "must be a whole minute, such as 2026-01-31T00:00:00Z, or empty");
    char midnight[sizeof(c->as_of) + sizeof("T00:00:00Z")] = "";
    size_t n = strnlen(c->as_of, sizeof(c->as_of));
    memcpy(midnight, c->as_of, n);
    memcpy(midnight + n, "T00:00:00Z", sizeof("T00:00:00Z"));
    if (n > 0 && (n != 10 || time_parse_rfc3339(str_of(midnight), &day_us) != 0))
        return err_field(e, "as_of", -1, "must be a day, YYYY-MM-DD");
    return 0;
}

int price_card_check_head(const struct price_card *c, struct err *e)
{
    if (check_label("tenant", c->tenant, e) != 0 || check_label("provider", c->provider, e) != 0 ||
        check_model_name("model", c->model, e) != 0 || check_aliases(c, e) != 0 ||
        check_discount(c, e) != 0 || check_when(c, e) != 0)
        return -1;
    return check_label("source", c->source, e);
}

static int check_tier(const struct price_card *c, const struct price_line *line, struct err *e)
{
    char scratch[EVENT_NAME_MAX];
    if (check_label("tier", line->tier, e) != 0)
        return -1;
    if (!str_eq(usage_tier(str_of(line->tier), scratch), str_of(line->tier)))
        return err_field(e, "tier", -1, "must be in lower case, and empty for the standard one");
    if (!usage_is_band(line->above))
        return err_field(
            e, "above_tokens", -1,
            "must be 0, 32000, 100000, 128000, 200000, 256000, 272000, 512000 or 1000000");
    if (c->withdrawn && (line->tier[0] != '\0' || line->above != 0))
        return err_field(e, line->tier[0] != '\0' ? "tier" : "above_tokens", -1,
                         empty_where_withdrawn);
    if (c->discount_ppm == PRICE_NONE)
        return 0;
    if (line->tier[0] != '\0')
        return err_field(e, "tier", -1, "must be empty beside a discount, which is on every tier");
    if (line->above != 0)
        return err_field(e, "above_tokens", -1,
                         "must be empty beside a discount, which is on every price");
    return 0;
}

int price_card_check_line(const struct price_card *c, const struct price_line *line, struct err *e)
{
    if (check_tier(c, line, e) != 0)
        return -1;
    bool discount = c->discount_ppm != PRICE_NONE;
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        bool given = line->pusd[k] != PRICE_NONE;
        if (given && line->pusd[k] < 0)
            return err_field(e, class_names[k], -1, "must not be negative");
        if (given && c->withdrawn)
            return err_field(e, class_names[k], -1, empty_where_withdrawn);
        if (given && discount && k != PRICE_request)
            return err_field(e, class_names[k], -1,
                             "must be empty beside a discount, which takes everybody's price");
        bool needed = (k == PRICE_input || k == PRICE_output) && !discount && !c->withdrawn;
        if (!given && needed && line->pusd[PRICE_request] == PRICE_NONE)
            return err_field(e, class_names[k], -1,
                             "must be given, 0 where it costs nothing, unless there is a price of "
                             "a request");
    }
    return 0;
}

static int compare_lines(const struct price_line *a, const struct price_line *b)
{
    int order = strcmp(a->tier, b->tier);
    return order != 0 ? order : (a->above > b->above) - (a->above < b->above);
}

int price_card_check(const struct price_card *c, struct err *e)
{
    if (price_card_check_head(c, e) != 0)
        return -1;
    if (c->line_count > PRICE_LINES_MAX)
        return err_field(e, "model", -1, "must have at most %d lines of one effective_from",
                         PRICE_LINES_MAX);
    if (c->line_count == 0 || c->lines[0].tier[0] != '\0' || c->lines[0].above != 0)
        return err_field(e, "tier", -1,
                         "must be empty in one line of the card, with above_tokens empty or 0: the "
                         "standard price is wanted");
    for (size_t i = 0; i < c->line_count; i++) {
        if (price_card_check_line(c, &c->lines[i], e) != 0)
            return -1;
        if (i > 0 && compare_lines(&c->lines[i - 1], &c->lines[i]) >= 0)
            return err_field(e, "above_tokens", -1, "must be given once a tier, in rising order");
    }
    return 0;
}

const struct price_line *price_line_for(const struct price_card *card, struct str tier,
                                        int64_t context_above)
{
    const struct price_line *found = NULL;
    for (size_t i = 0; i < card->line_count; i++) {
        const struct price_line *line = &card->lines[i];
        if (str_eq(str_of(line->tier), tier) && line->above <= context_above)
            found = line; // rising in `above`: the last that fits is the greatest
    }
    return found;
}

// After the fall-backs of PRICE_CLASSES.
static int64_t price_in_line(const struct price_line *line, enum price_class k)
{
    static const enum price_class instead[PRICE_CLASS_COUNT] = {
        [PRICE_input] = PRICE_CLASS_COUNT,    [PRICE_cached_input] = PRICE_input,
        [PRICE_cache_write_5m] = PRICE_input, [PRICE_cache_write_1h] = PRICE_cache_write_5m,
        [PRICE_output] = PRICE_CLASS_COUNT,   [PRICE_reasoning] = PRICE_output,
        [PRICE_request] = PRICE_CLASS_COUNT,
    };
    while (k != PRICE_CLASS_COUNT && line->pusd[k] == PRICE_NONE)
        k = instead[k];
    return k == PRICE_CLASS_COUNT ? 0 : line->pusd[k];
}

int64_t price_of(const struct price_hit *hit, const struct price_line *line, enum price_class k)
{
    int64_t price = price_in_line(line, k);
    if (!hit->discount)
        return price;
    int64_t paid_ppm = 1000000 - hit->discount->discount_ppm;
    int64_t reduced = (int64_t)((money_times(price, paid_ppm) + 500000) / 1000000);
    if (k != PRICE_request)
        return reduced;
    return add_sat_i64(reduced, price_in_line(&hit->discount->lines[0], k));
}
