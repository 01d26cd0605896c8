// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/import_report.h"

#include <inttypes.h>
#include <strings.h>

#include "common/core/timeunit.h"
#include "deploy/admin/prices/price_change.h"
#include "deploy/admin/shown.h"
#include "deploy/admin/table.h"

#define NAME_MOST 100 // bytes of a name, for people
#define REASONS_SHOWN 30

static const char *const class_names[] = {
#define CLASS_NAME(name) #name,
    PRICE_CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

// ---- parts ----

static void add_name(struct buf *out, const char *name)
{
    shown_add(out, str_of(name), NAME_MOST);
}

static void add_cell(struct table *t, struct buf *cell)
{
    table_addf(t, "%.*s", (int)cell->n, cell->n ? cell->p : "");
    buf_free(cell);
}

static void add_usd_cell(struct table *t, money m)
{
    struct buf b = {0};
    money_add_decimal(&b, m);
    add_cell(t, &b);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

// What was used by an entry's card, or by the one that it is in conflict with; NULL: nothing.
static const struct price_effect *effect_of(const struct import_report *r, size_t i)
{
    const struct import_outcome *o = &r->plan->v[i];
    if (o->verdict == IMPORT_CONFLICT)
        return price_effects_of(r->all, o->list.tenant, o->list.model);
    if (!o->added)
        return NULL;
    return price_effects_of(r->effects, o->added->tenant, o->added->model);
}

// ---- entries one by one ----

struct ranked {
    money cost; // the greater one of now and then
    int64_t requests;
    const char *name;
    size_t item;
};

static int compare_ranked(const void *one, const void *other)
{
    const struct ranked *a = one, *b = other;
    if (a->cost != b->cost)
        return a->cost > b->cost ? -1 : 1;
    if (a->requests != b->requests)
        return a->requests > b->requests ? -1 : 1;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->item > b->item) - (a->item < b->item);
}

// The entries of a verdict in the order in which they are shown; the caller frees the array.
static struct ranked *rank(const struct import_report *r, enum import_verdict verdict, size_t *n)
{
    struct ranked *out = xcalloc(r->plan->n + 1, sizeof(*out));
    *n = 0;
    for (size_t i = 0; i < r->plan->n; i++) {
        if (r->plan->v[i].verdict != verdict)
            continue;
        const struct price_effect *e = effect_of(r, i);
        struct ranked *one = &out[(*n)++];
        *one = (struct ranked){.name = r->list->v[i].name, .item = i};
        if (!e)
            continue;
        one->requests = e->requests;
        one->cost =
            e->before.estimated > e->after.estimated ? e->before.estimated : e->after.estimated;
    }
    qsort(out, *n, sizeof(*out), compare_ranked);
    return out;
}

// What of the model's cards to come holds on, as it is.
static void add_later(const struct import_report *r, const struct import_outcome *o,
                      struct buf *out)
{
    const struct price_card *newest = price_change_newest(r->known, o->list.tenant, o->list.model);
    if (!newest || newest->effective_from_us <= max_i64(o->list.effective_from_us, r->from_us))
        return;
    buf_addf(out, "; until ");
    price_add_from(out, newest->effective_from_us);
    buf_addf(out, ", from when version %" PRId64 " holds", newest->version);
}

static void add_remarks(const struct import_report *r, const struct import_outcome *o,
                        struct buf *out)
{
    if (o->verdict == IMPORT_CHANGED && o->was && strcasecmp(o->was->model, o->list.model) != 0) {
        buf_adds(out, "; so far priced as ");
        add_name(out, o->was->model);
    }
    if (o->tenants > 0)
        buf_addf(out, "; %zu tenant%s %s prices of %s own", o->tenants, plural(o->tenants),
                 o->tenants == 1 ? "has" : "have", o->tenants == 1 ? "its" : "their");
    if (o->verdict == IMPORT_CHANGED)
        add_later(r, o, out);
    if (o->verdict == IMPORT_CONFLICT)
        buf_addf(out, "; %s", o->why);
}

static void add_changes(const struct import_outcome *o, struct buf *out)
{
    size_t begin = out->n;
    if (o->list.withdrawn)
        buf_adds(out, "withdrawn");
    else
        price_change_describe_prices(o->was, &o->list, out);
    if (out->n == begin)
        buf_adds(out, "other names");
}

static void add_entry_row(const struct import_report *r, size_t i, struct table *t)
{
    const struct import_outcome *o = &r->plan->v[i];
    const struct price_effect *e = effect_of(r, i);
    struct buf cell = {0};
    buf_adds(&cell, "  ");
    add_name(&cell, o->list.model);
    if (o->list.tenant[0]) {
        buf_adds(&cell, " of ");
        add_name(&cell, o->list.tenant);
    }
    add_cell(t, &cell);
    table_addf(t, "%" PRId64, e ? e->requests : 0);
    table_addf(t, "%" PRId64, e ? e->tokens : 0);
    add_usd_cell(t, e ? e->before.estimated : 0);
    add_usd_cell(t, e ? e->after.estimated : 0);
    struct buf changes = {0};
    add_changes(o, &changes);
    add_remarks(r, o, &changes);
    add_cell(t, &changes);
}

static void add_entries(const struct import_report *r, enum import_verdict verdict,
                        const char *title, struct buf *out)
{
    static const char *const titles[] = {"  MODEL",    "REQUESTS",    "TOKENS",
                                         "USD SO FAR", "BY THE LIST", "USD A MILLION TOKENS"};
    size_t n;
    struct ranked *ranked = rank(r, verdict, &n);
    if (n > 0) {
        struct table t = {.columns = ARRAY_LEN(titles)};
        buf_addf(out, "%zu %s:\n", n, title);
        for (size_t i = 0; i < ARRAY_LEN(titles); i++)
            table_add(&t, titles[i]);
        for (size_t i = 0; i < n && i < IMPORT_MODELS_SHOWN; i++)
            add_entry_row(r, ranked[i].item, &t);
        table_render(&t, out);
    }
    if (n > IMPORT_MODELS_SHOWN)
        buf_addf(out, "  ... and %zu more (--json has all)\n", n - IMPORT_MODELS_SHOWN);
    free(ranked);
}

// ---- counts of words ----

struct word {
    const char *text;
    size_t n;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

static int compare_counts(const void *one, const void *other)
{
    const struct word *a = one, *b = other;
    return a->n != b->n ? (a->n > b->n ? -1 : 1) : strcmp(a->text, b->text);
}

// Equal ones together, the most frequent first; how many are left.
static size_t count_words(struct word *words, size_t n)
{
    size_t kept = 0;
    qsort(words, n, sizeof(*words), compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && strcmp(words[kept - 1].text, words[i].text) == 0)
            words[kept - 1].n++;
        else
            words[kept++] = (struct word){words[i].text, 1};
    }
    qsort(words, kept, sizeof(*words), compare_counts);
    return kept;
}

static void add_words(struct buf *out, struct word *words, size_t n)
{
    size_t kept = count_words(words, n), shown = kept < REASONS_SHOWN ? kept : REASONS_SHOWN;
    size_t rest = n;
    for (size_t i = 0; i < shown; i++) {
        buf_addf(out, "  %zu ", words[i].n);
        shown_add(out, str_of(words[i].text), 2 * NAME_MOST);
        buf_addc(out, '\n');
        rest -= words[i].n;
    }
    if (rest > 0)
        buf_addf(out, "  ... and %zu of %zu other kinds (--json has all)\n", rest, kept - shown);
}

static const char *provider_of(const struct import_outcome *o)
{
    return o->list.provider[0] ? o->list.provider : "no provider";
}

static void add_new_and_refused(const struct import_report *r, struct buf *out)
{
    struct word *words = xcalloc(r->plan->n + 1, sizeof(*words));
    size_t n = 0, notes = 0;
    for (size_t i = 0; i < r->plan->n; i++)
        if (r->plan->v[i].verdict == IMPORT_NEW)
            words[n++].text = provider_of(&r->plan->v[i]);
    if (n > 0) {
        buf_addf(out, "%zu new, by provider:\n", n);
        add_words(out, words, n);
    }
    n = 0;
    for (size_t i = 0; i < r->plan->n; i++)
        if (r->plan->v[i].verdict == IMPORT_REFUSED)
            words[n++].text = r->plan->v[i].why;
    if (n > 0) {
        buf_addf(out, "%zu refused:\n", n);
        add_words(out, words, n);
    }
    n = 0;
    for (size_t i = 0; i < r->plan->n; i++)
        if (r->plan->v[i].added && r->list->v[i].note) {
            words[n++].text = r->list->v[i].note;
            notes++;
        }
    if (n > 0) {
        buf_addf(out, "%zu of those to be added leave something out:\n", notes);
        add_words(out, words, n);
    }
    free(words);
}

// ---- the sums ----

static void add_time(struct buf *out, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    time_format_rfc3339(us, text);
    buf_adds(out, text);
}

static void add_effect(const struct import_report *r, struct buf *out)
{
    const struct price_effect *t = &r->effects->total;
    money change = t->after.estimated - t->before.estimated;
    buf_adds(out, "usage from ");
    add_time(out, r->used_from_us);
    buf_adds(out, " to ");
    add_time(out, r->used_to_us);
    buf_addf(out,
             ": %" PRId64 " requests, %" PRId64 " tokens; if these prices had held: ", t->requests,
             t->tokens);
    money_add_decimal(out, t->before.estimated);
    buf_adds(out, " -> ");
    money_add_decimal(out, t->after.estimated);
    buf_addf(out, " USD (%s", change > 0 ? "+" : "");
    money_add_decimal(out, change);
    buf_addf(out,
             ")\nrequests without a price: %" PRId64 " -> %" PRId64 ", with a guessed one: %" PRId64
             " -> %" PRId64 "\n",
             t->before.unpriced_requests, t->after.unpriced_requests, t->before.guessed_requests,
             t->after.guessed_requests);
    if (r->used_left_out)
        buf_adds(out, "there are too many names in that usage: these are the ones with the most "
                      "requests, others are left out\n");
}

static void add_sums(const struct import_report *r, struct buf *out)
{
    const size_t *c = r->plan->counts;
    buf_addf(out,
             "%zu entries: %zu new, %zu changed, %zu unchanged, %zu in conflict, %zu refused\n",
             r->plan->n, c[IMPORT_NEW], c[IMPORT_CHANGED], c[IMPORT_UNCHANGED], c[IMPORT_CONFLICT],
             c[IMPORT_REFUSED]);
    if (r->plan->card_count == 0)
        return;
    buf_addf(out, "%zu card%s; what had a price changes at ", r->plan->card_count,
             plural(r->plan->card_count));
    add_time(out, r->from_us);
    buf_adds(out, ", what had none has it from ever on\n");
}

void import_report_add_text(const struct import_report *r, struct buf *out)
{
    add_entries(r, IMPORT_CHANGED, "changed", out);
    add_entries(r, IMPORT_CONFLICT,
                "in conflict with what was set, and left out (--override takes the list's)", out);
    add_new_and_refused(r, out);
    add_sums(r, out);
    add_effect(r, out);
}

void import_report_add_slips(const struct import_report *r, struct buf *out)
{
    size_t shown = 0;
    for (size_t i = 0; i < r->plan->n && shown < IMPORT_SLIPS_SHOWN; i++) {
        const struct import_outcome *o = &r->plan->v[i];
        if (!o->slip)
            continue;
        shown++;
        add_name(out, o->list.model);
        buf_addf(out, ": %s\n", o->slip);
    }
    if (r->plan->slips > shown)
        buf_addf(out, "... and %zu more\n", r->plan->slips - shown);
}

// ---- for programs ----

static void add_json_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text)
        shown_add_json(out, str_of(text));
    else
        buf_adds(out, "null");
}

static void add_json_time(struct buf *out, const char *name, int64_t us)
{
    buf_addf(out, ",\"%s\":", name);
    if (us == INT64_MIN) {
        buf_adds(out, "null");
        return;
    }
    buf_addc(out, '"');
    add_time(out, us);
    buf_addc(out, '"');
}

static void add_json_usd(struct buf *out, const char *name, money m)
{
    buf_addf(out, ",\"%s\":\"", name);
    money_add_decimal(out, m);
    buf_addc(out, '"');
}

// The cells of a card as they are given, before fall-backs; null where not.
static void add_json_prices(struct buf *out, const char *name, const struct price_card *card)
{
    buf_addf(out, ",\"%s\":", name);
    if (!card || card->withdrawn) {
        buf_adds(out, "null");
        return;
    }
    buf_addc(out, '[');
    for (size_t i = 0; i < card->line_count; i++) {
        const struct price_line *line = &card->lines[i];
        buf_adds(out, i ? ",{\"tier\":" : "{\"tier\":");
        shown_add_json(out, str_of(line->tier));
        buf_addf(out, ",\"above_tokens\":%" PRId64, line->above);
        for (int k = 0; k < PRICE_CLASS_COUNT; k++) {
            if (line->pusd[k] == PRICE_NONE)
                continue;
            buf_addf(out, ",\"%s\":\"", class_names[k]);
            price_add_usd(out, (enum price_class)k, line->pusd[k]);
            buf_addc(out, '"');
        }
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void add_json_effect(struct buf *out, const struct price_effect *e)
{
    static const struct price_effect none;
    e = e ? e : &none;
    buf_addf(out, ",\"requests\":%" PRId64 ",\"tokens\":%" PRId64, e->requests, e->tokens);
    add_json_usd(out, "cost_before_usd", e->before.estimated);
    add_json_usd(out, "cost_after_usd", e->after.estimated);
    buf_addf(out,
             ",\"unpriced_requests_before\":%" PRId64 ",\"unpriced_requests_after\":%" PRId64
             ",\"unpriced_tokens_before\":%" PRId64 ",\"unpriced_tokens_after\":%" PRId64
             ",\"guessed_requests_before\":%" PRId64 ",\"guessed_requests_after\":%" PRId64,
             e->before.unpriced_requests, e->after.unpriced_requests, e->before.unpriced_tokens,
             e->after.unpriced_tokens, e->before.guessed_requests, e->after.guessed_requests);
}

static void add_json_entry(const struct import_report *r, size_t i, struct buf *out)
{
    const struct import_outcome *o = &r->plan->v[i];
    buf_adds(out, "{\"name\":");
    shown_add_json(out, str_of(r->list->v[i].name));
    buf_addf(out, ",\"verdict\":\"%s\"", import_verdict_name(o->verdict));
    if (o->why)
        add_json_text(out, "reason", o->why);
    if (r->list->v[i].note)
        add_json_text(out, "note", r->list->v[i].note);
    if (o->verdict != IMPORT_REFUSED) {
        add_json_text(out, "tenant", o->list.tenant);
        add_json_text(out, "priced_as", o->was ? o->was->model : NULL);
        add_json_text(out, "step", price_step_name(o->step));
        add_json_prices(out, "prices_before", o->was);
        add_json_prices(out, "prices", &o->list);
        buf_addf(out, ",\"tenants\":%zu", o->tenants);
    }
    if (o->added) {
        add_json_time(out, "effective_from", o->added->effective_from_us);
        add_json_text(out, "no_longer_priced", o->left_out);
        add_json_text(out, "slip", o->slip);
    }
    if (o->added || o->verdict == IMPORT_CONFLICT)
        add_json_effect(out, effect_of(r, i));
    buf_addc(out, '}');
}

void import_report_add_json(const struct import_report *r, int64_t version, struct buf *out)
{
    buf_addf(out, "{\"version\":");
    if (version > 0)
        buf_addf(out, "%" PRId64, version);
    else
        buf_adds(out, "null");
    buf_addf(out, ",\"entries\":%zu,\"cards\":%zu,\"slips\":%zu", r->plan->n, r->plan->card_count,
             r->plan->slips);
    for (int v = 0; v < IMPORT_VERDICTS; v++)
        buf_addf(out, ",\"%s\":%zu", import_verdict_name((enum import_verdict)v),
                 r->plan->counts[v]);
    add_json_time(out, "effective_from", r->from_us);
    add_json_time(out, "used_from", r->used_from_us);
    add_json_time(out, "used_to", r->used_to_us);
    buf_addf(out, ",\"used_left_out\":%s", r->used_left_out ? "true" : "false");
    add_json_effect(out, &r->effects->total);
    buf_adds(out, ",\"list\":[");
    for (size_t i = 0; i < r->plan->n; i++) {
        buf_adds(out, i ? ",\n" : "\n");
        add_json_entry(r, i, out);
    }
    buf_adds(out, "\n]}\n");
}
