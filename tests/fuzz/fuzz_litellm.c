// SPDX-License-Identifier: Apache-2.0
// The input as LiteLLM's price list. What is no such file says why. Else each of its keys gives one
// entry, in order: taken with a card that holds price.h's rules and is found by its name alone, or
// refused with a reason that can be printed. An entry on its own is read alike, but for a name that
// another one bears.
#include "tests/fuzz/fuzz.h"

#include "deploy/admin/prices/litellm.h"

#include <jansson.h>

static void check_words(const char *words)
{
    FUZZ_CHECK(words[0] != '\0' && strlen(words) < 400);
    for (const char *p = words; *p; p++)
        FUZZ_CHECK(*p >= ' ' && *p <= '~');
}

static void check_card(const struct litellm_entry *entry)
{
    const struct price_card *card = &entry->card;
    struct price_hit hit = {.card = card};
    struct err e;
    FUZZ_CHECK(price_card_check(card, &e) == 0);
    FUZZ_CHECK(strcmp(card->model, entry->name) == 0 && strcmp(card->model, PRICE_EVERY) != 0);
    FUZZ_CHECK(card->tenant[0] == '\0' && card->alias_count == 0 && !card->withdrawn);
    FUZZ_CHECK(card->discount_ppm == PRICE_NONE && card->effective_from_us == INT64_MIN);
    for (size_t i = 0; i < card->line_count; i++) {
        const struct price_line *line = &card->lines[i];
        FUZZ_CHECK(price_line_for(card, str_of(line->tier), line->above) == line);
        FUZZ_CHECK(line->pusd[PRICE_input] >= 0 && line->pusd[PRICE_output] >= 0);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++)
            FUZZ_CHECK(price_of(&hit, line, (enum price_class)k) >= 0);
    }
}

static void check_entry(const struct litellm_entry *entry)
{
    if (entry->verdict == LITELLM_REFUSED) {
        check_words(entry->why);
        FUZZ_CHECK(!entry->note && !entry->card.model && entry->card.line_count == 0);
        return;
    }
    FUZZ_CHECK(!entry->why);
    if (entry->note)
        check_words(entry->note);
    check_card(entry);
}

static void check_found(const struct litellm_entry *entries, size_t count)
{
    struct catalogue *c = catalogue_new();
    const struct price_card *best[2];
    for (size_t i = 0; i < count; i++) {
        if (entries[i].verdict == LITELLM_REFUSED)
            continue;
        struct price_card copy;
        price_card_copy(&copy, &entries[i].card);
        copy.version = 1;
        catalogue_add(c, &copy);
    }
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i);
        struct str everybody = STR_LIT(""), name = str_of(card->model);
        FUZZ_CHECK(catalogue_bearers(c, 1, INT64_MIN, everybody, name, best) == 1);
        FUZZ_CHECK(best[0] == card);
    }
    catalogue_free(c);
}

static void check_same(const struct litellm_entry *a, const struct litellm_entry *b)
{
    FUZZ_CHECK(a->verdict == b->verdict && strcmp(a->name, b->name) == 0);
    if (a->verdict == LITELLM_REFUSED) {
        FUZZ_CHECK(strcmp(a->why, b->why) == 0);
        return;
    }
    FUZZ_CHECK(!a->note == !b->note && (!a->note || strcmp(a->note, b->note) == 0));
    FUZZ_CHECK(a->card.line_count == b->card.line_count);
    for (size_t i = 0; i < a->card.line_count; i++) {
        const struct price_line *x = &a->card.lines[i], *y = &b->card.lines[i];
        FUZZ_CHECK(strcmp(x->tier, y->tier) == 0 && x->above == y->above);
        FUZZ_CHECK(memcmp(x->pusd, y->pusd, sizeof(x->pusd)) == 0);
    }
}

static void check_alone(const struct litellm_entry *entry, json_t *value)
{
    struct litellm_entry *alone;
    size_t n;
    struct err e;
    json_t *file = json_object();
    FUZZ_CHECK(json_object_set(file, entry->name, value) == 0);
    char *text = json_dumps(file, 0);
    FUZZ_CHECK(text && litellm_parse(str_of(text), &alone, &n, &e) == 0 && n == 1);
    if (!entry->why || strcmp(entry->why, "the name of another one in other letters") != 0)
        check_same(entry, &alone[0]);
    litellm_free(alone, n);
    json_decref(file);
    free(text);
}

// jansson's reading, which knows nothing of the mark of UTF-8 that a list may begin with.
static json_t *read_again(const uint8_t *data, size_t size)
{
    size_t mark = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return json_loadb((const char *)data + mark, size - mark, JSON_DECODE_INT_AS_REAL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct litellm_entry *entries;
    struct err e = {0};
    size_t count, i = 0;
    if (litellm_parse(text, &entries, &count, &e) != 0) {
        check_words(e.detail);
        return 0;
    }
    FUZZ_CHECK(litellm_looks_like(text));
    json_t *root = read_again(data, size), *value;
    const char *name;
    FUZZ_CHECK(json_object_size(root) == count);
    json_object_foreach(root, name, value)
    {
        FUZZ_CHECK(strcmp(entries[i].name, name) == 0);
        check_entry(&entries[i]);
        check_alone(&entries[i++], value);
    }
    check_found(entries, count);
    json_decref(root);
    litellm_free(entries, count);
    return 0;
}
