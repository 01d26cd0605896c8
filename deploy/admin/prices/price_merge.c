// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_merge.h"

#include <strings.h>

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

static int64_t price_at(const struct price_line *line, enum price_class k)
{
    const struct price_hit no_discount = {0};
    return price_of(&no_discount, line, k);
}

// ---- whether two cost the same ----

static bool lines_alike(const struct price_line *a, const struct price_line *b)
{
    if (!a || !b)
        return !a && !b;
    for (int k = 0; k < PRICE_CLASS_COUNT; k++)
        if (price_at(a, (enum price_class)k) != price_at(b, (enum price_class)k))
            return false;
    return true;
}

// At each tier and length of a's lines; between two of them nothing changes.
static bool alike_at_lines_of(const struct price_card *a, const struct price_card *b)
{
    for (size_t i = 0; i < a->line_count; i++) {
        struct str tier = str_of(a->lines[i].tier);
        if (!lines_alike(&a->lines[i], price_line_for(b, tier, a->lines[i].above)))
            return false;
    }
    return true;
}

bool price_merge_is_alike(const struct price_card *a, const struct price_card *b)
{
    if (a->withdrawn || b->withdrawn)
        return a->withdrawn == b->withdrawn;
    return a->discount_ppm == b->discount_ppm && alike_at_lines_of(a, b) && alike_at_lines_of(b, a);
}

// ---- what only ours has ----

static struct price_line *line_of(const struct price_card *card, const char *tier, int64_t above)
{
    for (size_t i = 0; i < card->line_count; i++)
        if (strcmp(card->lines[i].tier, tier) == 0 && card->lines[i].above == above)
            return &card->lines[i];
    return NULL;
}

// Whether a token in and a token out cost what they did; a line that is missing changes nothing.
static bool stays(const struct price_line *a, const struct price_line *b)
{
    return !a || !b ||
           (price_at(a, PRICE_input) == price_at(b, PRICE_input) &&
            price_at(a, PRICE_output) == price_at(b, PRICE_output));
}

static void say_line(struct buf *out, const struct price_line *line, const char *class_name)
{
    buf_adds(out, out->n ? ", " : "");
    const char *between = "";
    if (line->tier[0] || (!line->above && !class_name)) {
        buf_adds(out, line->tier[0] ? line->tier : "standard");
        between = " ";
    }
    if (line->above) {
        buf_addf(out, "%sabove %lld", between, (long long)line->above);
        between = " ";
    }
    if (class_name)
        buf_addf(out, "%s%s", between, class_name);
}

static void merge_cells(struct price_line *list, const struct price_line *ours, bool keep,
                        struct buf *left_out)
{
    keep = keep && stays(list, ours);
    for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
        if (list->pusd[k] != PRICE_NONE || ours->pusd[k] == PRICE_NONE)
            continue;
        if (keep)
            list->pusd[k] = ours->pusd[k];
        else if (price_at(list, (enum price_class)k) != ours->pusd[k])
            say_line(left_out, ours, class_names[k]);
    }
}

static bool comes_before(const struct price_line *a, const struct price_line *b)
{
    int order = strcmp(a->tier, b->tier);
    return order != 0 ? order < 0 : a->above < b->above;
}

static void insert_line(struct price_card *card, const struct price_line *line)
{
    card->lines = xrealloc(card->lines, (card->line_count + 1) * sizeof(card->lines[0]));
    size_t at = card->line_count++;
    for (; at > 0 && comes_before(line, &card->lines[at - 1]); at--)
        card->lines[at] = card->lines[at - 1];
    card->lines[at] = *line;
    card->lines[at].tier = xstrdup(line->tier);
}

static bool has_prices(const struct price_card *card)
{
    return !card->withdrawn && card->discount_ppm == PRICE_NONE;
}

void price_merge_into(struct price_card *list, const struct price_card *ours, struct buf *left_out)
{
    if (!has_prices(list) || !has_prices(ours))
        return;
    bool standard_stays = stays(&list->lines[0], &ours->lines[0]);
    for (size_t i = 0; i < ours->line_count; i++) {
        const struct price_line *line = &ours->lines[i];
        struct price_line *there = line_of(list, line->tier, line->above);
        if (there)
            merge_cells(there, line, standard_stays, left_out);
        else if (standard_stays &&
                 stays(line_of(list, line->tier, 0), line_of(ours, line->tier, 0)))
            insert_line(list, line);
        else
            say_line(left_out, line, NULL);
    }
}

// ---- names ----

bool price_merge_has_name(const struct price_card *card, const char *name)
{
    bool has = strcasecmp(card->model, name) == 0;
    for (size_t i = 0; i < card->alias_count; i++)
        has = has || strcasecmp(card->aliases[i], name) == 0;
    return has;
}

void price_merge_add_alias(struct price_card *card, const char *name)
{
    card->aliases = xrealloc(card->aliases, (card->alias_count + 1) * sizeof(card->aliases[0]));
    card->aliases[card->alias_count++] = xstrdup(name);
}

void price_merge_remove_alias(struct price_card *card, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < card->alias_count; i++) {
        if (strcasecmp(card->aliases[i], name) == 0)
            free(card->aliases[i]);
        else
            card->aliases[kept++] = card->aliases[i];
    }
    card->alias_count = kept;
}
