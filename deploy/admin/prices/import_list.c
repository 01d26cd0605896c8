// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/import_list.h"

#include "common/core/price_file.h"
#include "deploy/admin/prices/litellm.h"

static int read_litellm(struct str text, struct import_list *out, struct err *e)
{
    struct litellm_entry *entries = NULL;
    size_t n = 0;
    if (litellm_parse(text, &entries, &n, e) < 0)
        return -1;
    out->litellm = true;
    out->v = xcalloc(n + 1, sizeof(*out->v));
    out->n = n;
    // What each has becomes the item's.
    for (size_t i = 0; i < n; i++) {
        out->v[i] =
            (struct import_item){entries[i].name, entries[i].why, entries[i].note, entries[i].card};
        entries[i] = (struct litellm_entry){0};
    }
    litellm_free(entries, n);
    return 0;
}

static int read_file(struct str text, struct import_list *out, struct err *e)
{
    struct price_card *cards = NULL;
    size_t n = 0;
    if (price_file_parse(text, NULL, PRICE_FILE_TAKE_SLIPS, &cards, &n, e) < 0)
        return -1;
    out->v = xcalloc(n + 1, sizeof(*out->v));
    out->n = n;
    for (size_t i = 0; i < n; i++)
        out->v[i] = (struct import_item){.name = xstrdup(cards[i].model), .card = cards[i]};
    free(cards);
    return 0;
}

int import_list_read(struct str text, struct import_list *out, struct err *e)
{
    *out = (struct import_list){0};
    return litellm_looks_like(text) ? read_litellm(text, out, e) : read_file(text, out, e);
}

void import_list_free(struct import_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].name);
        free(l->v[i].why);
        free(l->v[i].note);
        price_card_clear(&l->v[i].card);
    }
    free(l->v);
    *l = (struct import_list){0};
}
