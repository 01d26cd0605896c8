// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/litellm.h"

#include <jansson.h>
#include <stdarg.h>
#include <strings.h>

#include "common/core/buf.h"
#include "deploy/admin/prices/litellm_lines.h"

#define MODE_MOST 40 // bytes of a mode in a reason

// An entry's prices, as far as they are read.
struct reading {
    struct litellm_prices prices;
    int64_t cached_older;
    bool beside[LITELLM_BILLED_COUNT], output[LITELLM_BILLED_COUNT];
    bool embedding, text_only, batch_left_out;
    struct buf why; // not empty: refused
};

static void refuse(struct reading *r, const char *why)
{
    if (r->why.n == 0)
        buf_adds(&r->why, why);
}

static bool refused(const struct reading *r)
{
    return r->why.n > 0;
}

// ---- one price ----

static bool read_price(struct reading *r, const json_t *value, int64_t *out)
{
    const char *why = json_is_number(value) ? litellm_picodollars(json_number_value(value), out)
                                            : "a price is no number";
    if (why)
        refuse(r, why);
    return why == NULL;
}

// Its place among the bands; LITELLM_BANDS and refused where it has none.
static size_t band_of(struct reading *r, int64_t above)
{
    size_t band = litellm_band(above);
    if (band == LITELLM_BANDS && !refused(r)) {
        bool thousands = above % 1000 == 0;
        buf_addf(&r->why, "bands of %lld%s tokens are not counted apart",
                 (long long)(thousands ? above / 1000 : above), thousands ? "k" : "");
    }
    return band;
}

static void read_token_price(struct reading *r, const struct litellm_key *key, const json_t *value)
{
    size_t band = band_of(r, key->above);
    int64_t pusd;
    if (band == LITELLM_BANDS || !read_price(r, value, &pusd))
        return;
    int64_t *place = &r->prices.pusd[key->tier][band][key->price_class];
    if (*place != PRICE_NONE)
        refuse(r, "the same price twice");
    *place = pusd;
}

// Surcharges by the region that answered ({"us": 1.1}) and of Anthropic's fast mode; other members
// are no prices.
static void read_provider_entry(struct reading *r, json_t *value)
{
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        if (json_is_number(member))
            r->beside[strcmp(name, "fast") == 0 ? LITELLM_BY_fast_mode : LITELLM_BY_regions] = true;
    }
}

static void read_member(struct reading *r, const char *name, json_t *value)
{
    struct litellm_key key = litellm_key_of(name);
    bool nothing = json_is_null(value) || (json_is_number(value) && json_number_value(value) == 0);
    if (strcmp(name, "provider_specific_entry") == 0)
        read_provider_entry(r, value);
    if (json_is_null(value))
        return;
    if (key.kind == LITELLM_TOKENS)
        read_token_price(r, &key, value);
    else if (key.kind == LITELLM_CACHED_OLDER)
        (void)read_price(r, value, &r->cached_older);
    else if (key.kind == LITELLM_BESIDE && !nothing)
        r->beside[key.by] = true;
    else if (key.kind == LITELLM_OUTPUT && !nothing)
        r->output[key.by] = true;
}

// ---- tiered_pricing ----

// Whether what it has beside the ranges is at most a standard line.
static bool has_only_standard(const struct litellm_prices *p)
{
    for (size_t t = 0; t < LITELLM_TIER_COUNT; t++)
        for (size_t b = 0; b < LITELLM_BANDS; b++)
            for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
                if ((t > 0 || b > 0) && p->pusd[t][b][k] != PRICE_NONE)
                    return false;
    return true;
}

// The whole numbers of a range; false where it is none.
static bool range_of(const json_t *range, int64_t *from, int64_t *to)
{
    double ends[2];
    if (!json_is_object(range) || json_array_size(json_object_get(range, "range")) != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const json_t *end = json_array_get(json_object_get(range, "range"), i);
        ends[i] = json_number_value(end); // 0 where it is no number
        if (!json_is_number(end) || !(ends[i] >= 0 && ends[i] < 1e15) ||
            ends[i] != (double)(int64_t)ends[i])
            return false;
    }
    *from = (int64_t)ends[0];
    *to = (int64_t)ends[1];
    return *from < *to;
}

// The prices of one range, in the place of its band.
static void read_range(struct reading *r, json_t *range, int64_t from, int64_t output,
                       int64_t request)
{
    size_t band = band_of(r, from);
    if (band == LITELLM_BANDS)
        return;
    int64_t *pusd = r->prices.pusd[LITELLM_standard][band];
    const char *name;
    json_t *value;
    json_object_foreach(range, name, value)
    {
        struct litellm_key key = litellm_key_of(name);
        if (key.tier != LITELLM_standard || key.above != 0)
            refuse(r, "tiered_pricing beside prices of tiers or bands");
        else if (key.kind == LITELLM_TOKENS && !json_is_null(value))
            (void)read_price(r, value, &pusd[key.price_class]);
        else
            read_member(r, name, value);
    }
    if (pusd[PRICE_input] == PRICE_NONE)
        refuse(r, "no price of input tokens");
    if (pusd[PRICE_output] == PRICE_NONE)
        pusd[PRICE_output] = output;
    if (pusd[PRICE_output] == PRICE_NONE)
        refuse(r, "no price of output tokens");
    if (pusd[PRICE_request] == PRICE_NONE)
        pusd[PRICE_request] = request;
}

static void read_ranges(struct reading *r, const json_t *ranges)
{
    const int64_t *standard = r->prices.pusd[LITELLM_standard][0];
    int64_t output = standard[PRICE_output], request = standard[PRICE_request];
    int64_t from = 0, to = 0, end = 0;
    if (!has_only_standard(&r->prices))
        refuse(r, "tiered_pricing beside prices of tiers or bands");
    litellm_prices_init(&r->prices);
    r->prices.bands_alone = true;
    for (size_t i = 0; i < json_array_size(ranges) && !refused(r); i++) {
        json_t *range = json_array_get(ranges, i);
        if (!range_of(range, &from, &to) || from != end)
            refuse(r, "tiered_pricing whose ranges do not follow each other");
        else
            read_range(r, range, from, output, request);
        end = to;
    }
}

// ---- one entry ----

static void read_mode(struct reading *r, const json_t *entry)
{
    static const char *const taken[] = {"chat", "completion", "responses", "embedding"};
    const json_t *value = json_object_get(entry, "mode");
    const char *mode = json_string_value(value);
    if (!value || json_is_null(value)) {
        refuse(r, "no mode");
        return;
    }
    size_t n = mode ? strspn(mode, "abcdefghijklmnopqrstuvwxyz_0123456789") : 0;
    if (n == 0 || mode[n] != '\0' || n > MODE_MOST) {
        refuse(r, "a mode that is no name");
        return;
    }
    r->embedding = strcmp(mode, "embedding") == 0;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(mode, taken[i]) == 0)
            return;
    if (!refused(r))
        buf_addf(&r->why, "mode %s", mode);
}

static bool is_text_only(const json_t *entry)
{
    const json_t *made = json_object_get(entry, "supported_output_modalities");
    const char *only = json_string_value(json_array_get(made, 0));
    return json_array_size(made) == 1 && only && strcmp(only, "text") == 0;
}

static void check_output(struct reading *r)
{
    for (size_t i = 0; i < LITELLM_BILLED_COUNT; i++) {
        if (r->output[i] && !r->text_only && !refused(r))
            buf_addf(&r->why, "output costs by %s", litellm_billed_name((enum litellm_billed)i));
        r->beside[i] = r->beside[i] || r->output[i];
    }
}

static void read_prices(struct reading *r, json_t *entry)
{
    const json_t *ranges = json_object_get(entry, "tiered_pricing");
    const char *name;
    json_t *value;
    json_object_foreach(entry, name, value)
    {
        if (value != ranges)
            read_member(r, name, value);
    }
    int64_t *standard = r->prices.pusd[LITELLM_standard][0];
    if (standard[PRICE_cached_input] == PRICE_NONE)
        standard[PRICE_cached_input] = r->cached_older;
    if (r->embedding && standard[PRICE_output] == PRICE_NONE)
        standard[PRICE_output] = 0;
    r->text_only = is_text_only(entry);
    check_output(r);
    if (ranges && !json_is_null(ranges) && !json_is_array(ranges))
        refuse(r, "tiered_pricing is no list");
    else if (json_array_size(ranges) > 0)
        read_ranges(r, ranges);
}

static bool is_free(const struct price_card *card)
{
    for (size_t i = 0; i < card->line_count; i++)
        for (size_t k = 0; k < PRICE_CLASS_COUNT; k++)
            if (card->lines[i].pusd[k] > 0)
                return false;
    return true;
}

// What the card leaves out; NULL where nothing.
static char *note_of(const struct reading *r, const struct price_card *card)
{
    struct buf note = {0};
    for (size_t i = 0; i < LITELLM_BILLED_COUNT; i++)
        if (r->beside[i])
            buf_addf(&note, "%s%s", note.n > 0 ? ", " : "also billed by: ",
                     litellm_billed_name((enum litellm_billed)i));
    if (r->batch_left_out)
        buf_addf(&note, "%sbatch has no price of input tokens", note.n > 0 ? "; " : "");
    if (is_free(card))
        buf_addf(&note, "%sall prices are 0", note.n > 0 ? "; " : "");
    return note.n > 0 ? buf_steal(&note) : NULL;
}

static void card_begin(struct price_card *card, const char *name, const json_t *entry)
{
    const char *provider = json_string_value(json_object_get(entry, "litellm_provider"));
    *card = (struct price_card){
        .effective_from_us = INT64_MIN,
        .tenant = xstrdup(""),
        .provider = xstrdup(provider ? provider : ""),
        .model = xstrdup(name),
        .discount_ppm = PRICE_NONE,
        .source = xstrdup("litellm"),
    };
}

static void make_card(struct reading *r, const char *name, const json_t *entry,
                      struct price_card *card)
{
    struct err e = {0};
    card_begin(card, name, entry);
    const char *why = litellm_lines(&r->prices, card, &r->batch_left_out);
    if (why)
        refuse(r, why);
    else if (price_card_check(card, &e) != 0)
        buf_addf(&r->why, "%s %s", e.field, e.detail);
}

static void entry_refuse(struct litellm_entry *entry, char *why)
{
    price_card_clear(&entry->card);
    free(entry->note);
    entry->card = (struct price_card){0};
    entry->note = NULL;
    entry->verdict = LITELLM_REFUSED;
    entry->why = why;
}

static void entry_read(const char *name, json_t *value, struct litellm_entry *out)
{
    struct reading r = {.cached_older = PRICE_NONE};
    *out = (struct litellm_entry){.name = xstrdup(name), .verdict = LITELLM_TAKEN};
    litellm_prices_init(&r.prices);
    if (strcmp(name, "sample_spec") == 0 || strcmp(name, PRICE_EVERY) == 0)
        refuse(&r, "no model");
    else if (!json_is_object(value))
        refuse(&r, "no object");
    else
        read_mode(&r, value);
    if (!refused(&r))
        read_prices(&r, value);
    if (!refused(&r))
        make_card(&r, name, value, &out->card);
    if (refused(&r))
        entry_refuse(out, buf_steal(&r.why));
    else
        out->note = note_of(&r, &out->card);
}

// ---- the file ----

// By name without regard to case, then as in the file.
static int compare_names(const void *a, const void *b)
{
    const struct litellm_entry *const *x = a, *const *y = b;
    int order = strcasecmp((*x)->name, (*y)->name);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

// A card's names are found in any case of letters, so that two would be one.
static void refuse_other_letters(struct litellm_entry *entries, size_t count)
{
    struct litellm_entry **taken = xcalloc(count + 1, sizeof(*taken));
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].verdict == LITELLM_TAKEN)
            taken[n++] = &entries[i];
    qsort(taken, n, sizeof(*taken), compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcasecmp(taken[i - 1]->name, taken[i]->name) == 0)
            entry_refuse(taken[i], xstrdup("the name of another one in other letters"));
    free(taken);
}

// What Windows' editors put before UTF-8; a price file may begin so too.
static struct str without_mark(struct str text)
{
    bool marked = text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0;
    return marked ? (struct str){text.p + 3, text.n - 3} : text;
}

static json_t *load(struct str file, struct err *e)
{
    json_error_t fault;
    struct str text = without_mark(file);
    if (text.n > LITELLM_BYTES_MAX) {
        err_field(e, "", -1, "must be at most %d bytes", LITELLM_BYTES_MAX);
        return NULL;
    }
    json_t *root = json_loadb(text.n > 0 ? text.p : "", text.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &fault);
    if (!root && json_error_code(&fault) == json_error_duplicate_key)
        err_field(e, "", fault.position, "line %d: a key stands twice", fault.line);
    else if (!root)
        err_field(e, "", fault.position, "line %d: must be JSON", fault.line);
    if (root && !json_is_object(root)) {
        err_field(e, "", -1, "must be a JSON object with an entry a model");
        json_decref(root);
        return NULL;
    }
    return root;
}

int litellm_parse(struct str text, struct litellm_entry **out, size_t *count, struct err *e)
{
    json_t *root = load(text, e), *value;
    const char *name;
    size_t n = 0;
    if (!root)
        return -1;
    if (json_object_size(root) > LITELLM_ENTRIES_MAX) {
        json_decref(root);
        return err_field(e, "", -1, "must have at most %d entries", LITELLM_ENTRIES_MAX);
    }
    struct litellm_entry *entries = xcalloc(json_object_size(root) + 1, sizeof(*entries));
    json_object_foreach(root, name, value) entry_read(name, value, &entries[n++]);
    json_decref(root);
    refuse_other_letters(entries, n);
    *out = entries;
    *count = n;
    return 0;
}

void litellm_free(struct litellm_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(entries[i].name);
        free(entries[i].why);
        free(entries[i].note);
        price_card_clear(&entries[i].card);
    }
    free(entries);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool litellm_looks_like(struct str file)
{
    struct str text = without_mark(file);
    size_t i = 0;
    while (i < text.n && is_blank(text.p[i]))
        i++;
    return i < text.n && text.p[i] == '{';
}
