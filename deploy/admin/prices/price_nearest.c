// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_nearest.h"

#include "common/core/price_name.h"

#define TOKENS_MAX 24 // of a name; what comes behind does not count
#define WHOLE 1000    // as near as can be
#define NEAR_TOKENS 550
#define WORD_LETTERS 4
#define EDITED_LETTERS 4 // shorter names have too few letters to be a slip of each other

// A name as it is compared.
struct shape {
    char lower[PRICE_NAME_MAX], letters[PRICE_NAME_MAX];
    struct str whole;            // in lower case
    struct str compact;          // the model's own name, letters and digits alone
    uint64_t has;                // which of them, a bit each
    struct str text[TOKENS_MAX]; // its words and numbers, in order
    size_t tokens;
};

// The same of a name of the catalogue, without the room that it does not need.
struct entry {
    const struct price_card *card;
    const char *name;
    char *bytes; // owned: both of these
    struct str whole, compact;
    uint64_t has;
    uint32_t *token; // owned; numbers of words, ascending
    size_t tokens, weight;
    uint32_t first; // the word that it begins with
};

struct price_nearest {
    struct entry *v;
    size_t n, room;
    struct str *words; // ascending, each once; its index is its number. Of entries' bytes
    size_t word_count;
};

#define NO_WORD UINT32_MAX

// ---- shapes ----

enum kind { SEPARATOR, NUMBER, WORD };

// A byte above ASCII is a letter of some script.
static enum kind kind_of(char c)
{
    if (c >= '0' && c <= '9')
        return NUMBER;
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80 ? WORD : SEPARATOR;
}

// The model's own name: without known prefixes and suffixes, and without the way to it.
static struct str own_name(struct str whole, const struct price_name_forms *f)
{
    struct str own = f->n > 0 ? f->form[f->n - 1] : whole;
    for (size_t i = own.n; i > 0; i--)
        if (own.p[i - 1] == '/' && i < own.n)
            return (struct str){own.p + i, own.n - i};
    return own;
}

static void add_letter(struct shape *s, char c)
{
    s->letters[s->compact.n++] = c;
    int bit = kind_of(c) == NUMBER ? c - '0' : c >= 'a' && c <= 'z' ? 10 + c - 'a' : 36;
    s->has |= UINT64_C(1) << bit;
}

static void shape_of(struct str name, struct shape *out)
{
    struct price_name_forms f;
    price_name_forms(name, &f);
    size_t n = name.n < PRICE_NAME_MAX ? name.n : PRICE_NAME_MAX;
    memcpy(out->lower, f.n > 0 ? f.lower : name.p, n);
    out->whole = (struct str){out->lower, n};
    out->compact = (struct str){out->letters, 0};
    out->has = 0;
    out->tokens = 0;
    struct str own = own_name(out->whole, &f);
    enum kind before = SEPARATOR;
    struct str *open = NULL; // the token that goes on
    for (size_t i = 0; i < own.n; i++) {
        enum kind kind = kind_of(own.p[i]);
        if (kind != before)
            open = kind != SEPARATOR && out->tokens < TOKENS_MAX ? &out->text[out->tokens++] : NULL;
        if (open && kind != before)
            *open = (struct str){out->letters + out->compact.n, 0};
        if (open)
            open->n++;
        if (kind != SEPARATOR)
            add_letter(out, own.p[i]);
        before = kind;
    }
}

// ---- words ----

static int by_bytes(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static uint32_t number_of(const struct price_nearest *n, struct str word)
{
    if (n->word_count == 0)
        return NO_WORD;
    const struct str *at = bsearch(&word, n->words, n->word_count, sizeof(word), by_bytes);
    return at ? (uint32_t)(at - n->words) : NO_WORD;
}

static bool is_word(struct str s)
{
    return kind_of(s.p[0]) == WORD && s.n >= WORD_LETTERS;
}

// What it counts: a word more than a number or a letter, which many models share.
static size_t weight_of(struct str word)
{
    return is_word(word) ? 3 : 2;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// The numbers of a shape's tokens, ascending, and what they count together.
static size_t numbers_of(const struct price_nearest *n, const struct shape *s,
                         uint32_t out[TOKENS_MAX])
{
    size_t weight = 0;
    for (size_t i = 0; i < s->tokens; i++) {
        out[i] = number_of(n, s->text[i]);
        weight += weight_of(s->text[i]);
    }
    qsort(out, s->tokens, sizeof(*out), by_number);
    return weight;
}

// ---- comparing ----

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

// How many letters must be put in, taken out, changed (which costs `change`), or swapped with their
// neighbour to make one of the other; above `most`, most + 1. Cells further than that from the
// diagonal cannot matter.
static size_t distance(struct str a, struct str b, size_t change, size_t most)
{
    if (a.n > b.n + most || b.n > a.n + most)
        return most + 1;
    uint16_t rows[3][PRICE_NAME_MAX + 2] = {{0}};
    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = (uint16_t)j;
    for (size_t i = 1; i <= a.n; i++) {
        uint16_t *row = rows[i % 3];
        const uint16_t *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        size_t from = i > most ? i - most : 1, to = min_of(b.n, i + most);
        row[from - 1] = (uint16_t)(from == 1 ? i : most + 1);
        for (size_t j = from; j <= to; j++) {
            // Above the last cell of this row that of the row before is not set.
            size_t above = j == i + most ? most + 1 : up[j];
            size_t v = min_of(min_of(above, row[j - 1]) + 1,
                              up[j - 1] + (a.p[i - 1] != b.p[j - 1] ? change : 0));
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                v = min_of(v, up2[j - 2] + 1u);
            row[j] = (uint16_t)min_of(v, most + 1);
        }
    }
    return rows[a.n % 3][b.n];
}

struct question {
    struct shape shape;
    uint32_t token[TOKENS_MAX];
    size_t weight;
    uint32_t first;
};

// By words and numbers, 0 to WHOLE; 0 where they share too little. A word must be among it, or the
// beginning: 4-5 alone tells nothing.
static size_t likeness_of_words(const struct price_nearest *n, const struct question *q,
                                const struct entry *e)
{
    size_t shared = 0;
    bool word = e->tokens > 0 && q->first == e->first;
    for (size_t i = 0, k = 0; i < q->shape.tokens && k < e->tokens;) {
        if (q->token[i] == e->token[k]) {
            struct str text = n->words[e->token[k]];
            shared += weight_of(text);
            word = word || is_word(text);
            i++;
            k++;
        } else if (q->token[i] < e->token[k]) {
            i++;
        } else {
            k++;
        }
    }
    size_t likeness = word ? 2 * shared * WHOLE / (q->weight + e->weight) : 0;
    return likeness >= NEAR_TOKENS ? likeness : 0;
}

static size_t likeness_of_letters(const struct question *q, const struct entry *e)
{
    struct str a = q->shape.compact, b = e->compact;
    size_t longer = a.n > b.n ? a.n : b.n, most = longer / 4;
    // Each letter that only one of them has is at least one to be changed.
    if (longer < EDITED_LETTERS || a.n + most < longer || b.n + most < longer ||
        (size_t)__builtin_popcountll(q->shape.has & ~e->has) > most ||
        (size_t)__builtin_popcountll(e->has & ~q->shape.has) > most)
        return 0;
    size_t d = distance(a, b, 1, most);
    return d <= most ? WHOLE - d * WHOLE / longer : 0;
}

// ---- finding ----

struct found {
    const struct entry *entry;
    size_t likeness, apart; // of the whole names
};

static bool is_nearer(const struct found *a, const struct found *b)
{
    if (a->likeness != b->likeness)
        return a->likeness > b->likeness;
    if (a->apart != b->apart)
        return a->apart < b->apart;
    int order = strcmp(a->entry->name, b->entry->name);
    return order ? order < 0 : strcmp(a->entry->card->model, b->entry->card->model) < 0;
}

// Keeps the best; `found` has room for one more than PRICE_NEAREST_MAX.
static size_t keep(struct found *found, size_t count, struct found f)
{
    size_t at = 0;
    while (at < count && found[at].entry->card != f.entry->card)
        at++;
    if (at < count && !is_nearer(&f, &found[at]))
        return count;
    if (at == count)
        count++;
    for (; at > 0 && is_nearer(&f, &found[at - 1]); at--)
        found[at] = found[at - 1];
    found[at] = f;
    return min_of(count, PRICE_NEAREST_MAX);
}

size_t price_nearest_find(const struct price_nearest *n, struct str name,
                          struct price_near out[PRICE_NEAREST_MAX])
{
    struct question q;
    shape_of(name, &q.shape);
    q.weight = numbers_of(n, &q.shape, q.token);
    q.first = q.shape.tokens > 0 ? number_of(n, q.shape.text[0]) : NO_WORD;
    struct found found[PRICE_NEAREST_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < n->n; i++) {
        struct found f = {.entry = &n->v[i], .likeness = likeness_of_words(n, &q, &n->v[i])};
        size_t letters = likeness_of_letters(&q, f.entry);
        f.likeness = letters > f.likeness ? letters : f.likeness;
        bool full = count == PRICE_NEAREST_MAX;
        if (f.likeness == 0 || (full && f.likeness < found[count - 1].likeness))
            continue;
        // A change counts as two, so that no way to a model is nearer than another way.
        f.apart = distance(q.shape.whole, f.entry->whole, 2, 2 * PRICE_NAME_MAX);
        count = keep(found, count, f);
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (struct price_near){found[i].entry->card, found[i].entry->name};
    return count;
}

// ---- preparing ----

static void add_entry(struct price_nearest *n, const struct price_card *card, const char *name)
{
    if (n->n == n->room) {
        n->room = n->room ? 2 * n->room : 256;
        n->v = xrealloc(n->v, n->room * sizeof(*n->v));
    }
    n->v[n->n++] = (struct entry){.card = card, .name = name};
}

static void add_card(struct price_nearest *n, const struct price_card *card)
{
    add_entry(n, card, card->model);
    for (size_t i = 0; i < card->alias_count; i++)
        add_entry(n, card, card->aliases[i]);
}

// All words of all names, each once.
static void collect_words(struct price_nearest *n)
{
    size_t room = 0;
    struct shape s;
    for (size_t i = 0; i < n->n; i++) {
        struct entry *e = &n->v[i];
        shape_of(str_of(e->name), &s);
        char *bytes = xmalloc(s.whole.n + s.compact.n + 1);
        memcpy(bytes, s.whole.p, s.whole.n);
        memcpy(bytes + s.whole.n, s.compact.p, s.compact.n);
        e->bytes = bytes;
        e->whole = (struct str){bytes, s.whole.n};
        e->compact = (struct str){bytes + s.whole.n, s.compact.n};
        e->has = s.has;
        if (n->word_count + s.tokens > room) {
            room = 2 * room + TOKENS_MAX;
            n->words = xrealloc(n->words, room * sizeof(*n->words));
        }
        for (size_t k = 0; k < s.tokens; k++)
            n->words[n->word_count++] =
                (struct str){e->compact.p + (s.text[k].p - s.compact.p), s.text[k].n};
    }
    if (n->word_count > 0)
        qsort(n->words, n->word_count, sizeof(*n->words), by_bytes);
    size_t kept = 0;
    for (size_t i = 0; i < n->word_count; i++)
        if (kept == 0 || !str_eq(n->words[i], n->words[kept - 1]))
            n->words[kept++] = n->words[i];
    n->word_count = kept;
}

static void number_words(struct price_nearest *n)
{
    for (size_t i = 0; i < n->n; i++) {
        struct entry *e = &n->v[i];
        struct shape s;
        uint32_t token[TOKENS_MAX];
        shape_of(str_of(e->name), &s);
        e->weight = numbers_of(n, &s, token);
        e->tokens = s.tokens;
        e->token = xmemdup(token, s.tokens * sizeof(*token));
        e->first = s.tokens > 0 ? number_of(n, s.text[0]) : NO_WORD;
    }
}

struct price_nearest *price_nearest_new(const struct catalogue *c, int64_t version, int64_t at_us)
{
    struct price_nearest *n = xcalloc(1, sizeof(*n));
    const struct str everybody = {"", 0};
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct price_card *card = catalogue_at(c, i);
        if (card->tenant[0] == '\0' && !card->withdrawn && strcmp(card->model, PRICE_EVERY) != 0 &&
            catalogue_in_force(c, version, at_us, everybody, str_of(card->model)) == card)
            add_card(n, card);
    }
    collect_words(n);
    number_words(n);
    return n;
}

void price_nearest_free(struct price_nearest *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++) {
        free(n->v[i].bytes);
        free(n->v[i].token);
    }
    free(n->v);
    free(n->words);
    free(n);
}
