// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/topics/letter.h"

#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/core/utf8.h"
#include "deploy/admin/shown.h"
#include "deploy/admin/table.h"

#define TEXT_MOST 300 // bytes of one value in the text
#define REASONS_MAX 32
#define REASON_MOST 40

// ---- bytes ----

static bool is_utf8(struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        n = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        if (n == 0)
            return false;
    }
    return true;
}

// ---- one letter ----

bool letter_matches(const struct letter_filter *f, const struct letter *l)
{
    return (!f->reason.p || str_eq(f->reason, l->reason)) &&
           (!f->request_id.p || str_eq(f->request_id, l->record_key));
}

static void add_line(struct buf *out, const char *name, struct str s, struct str cut_from)
{
    if (!s.p)
        return;
    buf_addf(out, "    %-11s ", name);
    shown_add(out, s, TEXT_MOST);
    if (cut_from.p) {
        buf_adds(out, " (of ");
        shown_add(out, cut_from, REASON_MOST);
        buf_adds(out, " bytes)");
    } else if (s.n > TEXT_MOST) {
        buf_addf(out, " (of %zu bytes)", s.n);
    }
    buf_addc(out, '\n');
}

static const char *time_text(int64_t ms, char out[TIME_RFC3339_MAX])
{
    int64_t us;
    if (ms < 0 || __builtin_mul_overflow(ms, US_PER_MS, &us) || !time_in_range_us(us))
        return NULL;
    time_format_rfc3339(us, out);
    return out;
}

void letter_add_text(const struct letter *l, struct buf *out)
{
    char at[TIME_RFC3339_MAX];
    const char *time = time_text(l->time_ms, at);
    shown_add(out, l->key, TEXT_MOST);
    buf_addf(out, "  %s  ", time ? time : "-");
    shown_add(out, l->reason.p ? l->reason : STR_LIT("-"), REASON_MOST);
    buf_addc(out, '\n');
    add_line(out, "tenant", l->tenant, (struct str){0});
    add_line(out, "request_id", l->record_key, l->key_cut);
    add_line(out, "detail", l->detail, (struct str){0});
    add_line(out, "value", l->value, l->value_cut);
}

static void add_member(struct buf *out, const char *comma, const char *name, struct str s)
{
    buf_addf(out, "%s\"%s", comma, name);
    if (!s.p) {
        buf_adds(out, "\":null");
    } else if (is_utf8(s)) {
        buf_adds(out, "\":");
        shown_add_json(out, s);
    } else {
        buf_adds(out, "_base64\":\"");
        buf_add_base64(out, s.p, s.n);
        buf_addc(out, '"');
    }
}

void letter_add_json(const struct letter *l, struct buf *out)
{
    char at[TIME_RFC3339_MAX];
    const char *time = time_text(l->time_ms, at);
    add_member(out, "{", "record", l->key);
    add_member(out, ",", "time", str_of(time));
    add_member(out, ",", "reason", l->reason);
    add_member(out, ",", "tenant_id", l->tenant);
    add_member(out, ",", "request_id", l->record_key);
    add_member(out, ",", "detail", l->detail);
    add_member(out, ",", "value", l->value);
    add_member(out, ",", "value_cut_from_bytes", l->value_cut);
    buf_addc(out, '}');
}

// ---- counting ----

struct letter_tally {
    struct hash_key hash;
    struct hash128 *seen; // open addressing, at most half full; {0, 0} is free
    size_t slots, count, most, repeats, untold;
    struct reason {
        char name[REASON_MOST];
        size_t n, letters;
    } reasons[REASONS_MAX]; // the last one takes what has no room
    size_t reason_count;
};

struct letter_tally *letter_tally_new(const struct hash_key *hash, size_t most)
{
    struct letter_tally *t = xcalloc(1, sizeof(*t));
    t->most = most;
    t->slots = 1024;
    t->seen = xcalloc(t->slots, sizeof(*t->seen));
    t->hash = *hash;
    return t;
}

void letter_tally_free(struct letter_tally *t)
{
    if (!t)
        return;
    free(t->seen);
    free(t);
}

static struct hash128 *slot_of(struct hash128 *slots, size_t n, struct hash128 h)
{
    size_t i = h.lo & (n - 1);
    while ((slots[i].hi || slots[i].lo) && (slots[i].hi != h.hi || slots[i].lo != h.lo))
        i = (i + 1) & (n - 1);
    return &slots[i];
}

static void grow(struct letter_tally *t)
{
    size_t slots = 2 * t->slots;
    struct hash128 *seen = xcalloc(slots, sizeof(*seen));
    for (size_t i = 0; i < t->slots; i++)
        if (t->seen[i].hi || t->seen[i].lo)
            *slot_of(seen, slots, t->seen[i]) = t->seen[i];
    free(t->seen);
    t->seen = seen;
    t->slots = slots;
}

static bool is_first(struct letter_tally *t, struct str key)
{
    struct hash128 h = hash_keyed128(&t->hash, key.p, key.n);
    h.lo |= h.hi == 0; // so that none looks free
    struct hash128 *slot = slot_of(t->seen, t->slots, h);
    if (slot->hi || slot->lo) {
        t->repeats++;
        return false;
    }
    if (t->count == t->most) {
        t->untold++;
        return true;
    }
    *slot = h;
    if (2 * ++t->count > t->slots)
        grow(t);
    return true;
}

static struct reason *reason_of(struct letter_tally *t, struct str name)
{
    if (!name.p)
        name = STR_LIT("-");
    size_t n = name.n < REASON_MOST ? name.n : REASON_MOST;
    for (size_t i = 0; i < t->reason_count; i++) {
        struct reason *r = &t->reasons[i];
        if (str_eq((struct str){r->name, r->n}, (struct str){name.p, n}))
            return r;
    }
    if (t->reason_count == REASONS_MAX)
        return &t->reasons[REASONS_MAX - 1];
    struct reason *r = &t->reasons[t->reason_count++];
    struct str kept = t->reason_count == REASONS_MAX ? STR_LIT("others") : (struct str){name.p, n};
    memcpy(r->name, kept.p, kept.n);
    r->n = kept.n;
    return r;
}

bool letter_tally_add(struct letter_tally *t, const struct letter *l)
{
    if (!is_first(t, l->key))
        return false;
    reason_of(t, l->reason)->letters++;
    return true;
}

size_t letter_tally_count(const struct letter_tally *t)
{
    return t->count + t->untold;
}

void letter_tally_add_text(const struct letter_tally *t, struct buf *out)
{
    struct table table = {.columns = 2};
    table_add(&table, "REASON");
    table_add(&table, "LETTERS");
    for (size_t i = 0; i < t->reason_count; i++) {
        struct buf name = {0};
        shown_add(&name, (struct str){t->reasons[i].name, t->reasons[i].n}, REASON_MOST);
        table_addf(&table, "%.*s", (int)name.n, name.p ? name.p : "");
        table_addf(&table, "%zu", t->reasons[i].letters);
        buf_free(&name);
    }
    table_add(&table, "total");
    table_addf(&table, "%zu", letter_tally_count(t));
    table_render(&table, out);
    if (t->repeats)
        buf_addf(out, "%zu repeats are left out\n", t->repeats);
    if (t->untold)
        buf_addf(out, "repeats of the first %zu letters are told, those of later ones are not\n",
                 t->most);
}

void letter_tally_add_json(const struct letter_tally *t, struct buf *out)
{
    buf_adds(out, "\"counts\":[");
    for (size_t i = 0; i < t->reason_count; i++) {
        const struct reason *r = &t->reasons[i];
        add_member(out, i ? ",{" : "{", "reason", (struct str){r->name, r->n});
        buf_addf(out, ",\"letters\":%zu}", r->letters);
    }
    buf_addf(out, "],\"repeats\":%zu,\"repeats_told_of\":%zu", t->repeats, t->count);
}
