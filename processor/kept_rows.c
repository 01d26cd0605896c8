// SPDX-License-Identifier: Apache-2.0
#include "processor/kept_rows.h"

static void kept_free(struct kept *k)
{
    free(k->v);
    buf_free(&k->bytes);
    *k = (struct kept){0};
}

void kept_rows_free(struct kept_rows *k)
{
    kept_free(&k->minutes);
    kept_free(&k->hours);
    kept_free(&k->next);
}

struct kept *kept_rows_of(struct kept_rows *k, const struct row_table *t)
{
    return t == &row_minute ? &k->minutes : &k->hours;
}

const char *kept_find(const struct kept *k, const struct row_key *key, size_t *at)
{
    while (*at < k->n && row_key_compare(&k->v[*at].key, key) < 0)
        ++*at;
    return *at < k->n && row_key_compare(&k->v[*at].key, key) == 0 ? k->bytes.p + k->v[*at].at
                                                                   : NULL;
}

void kept_rows_add(struct kept_rows *k, const struct row_table *t, const struct row_key *key,
                   const char *bytes, size_t n)
{
    struct kept *next = &k->next;
    const struct kept *other = kept_rows_of(k, t == &row_minute ? &row_hour : &row_minute);
    if (other->bytes.n + next->bytes.n + n > KEPT_BYTES_MAX)
        return;
    if (next->n == next->room) {
        next->room = next->room ? 2 * next->room : 256;
        next->v = xrealloc(next->v, next->room * sizeof(*next->v));
    }
    next->v[next->n++] = (struct kept_row){*key, next->bytes.n};
    buf_add(&next->bytes, bytes, n);
}

void kept_cut(struct kept *k, size_t rows, size_t bytes)
{
    k->n = rows;
    k->bytes.n = bytes;
}

static int compare(const void *a, const void *b)
{
    const struct kept_row *x = a, *y = b;
    return row_key_compare(&x->key, &y->key);
}

void kept_rows_renew(struct kept_rows *k, const struct row_table *t)
{
    struct kept *of = kept_rows_of(k, t), before = *of;
    *of = k->next;
    // Those that were made come behind those that were there.
    if (of->n > 0)
        qsort(of->v, of->n, sizeof(*of->v), compare);
    kept_cut(&before, 0, 0);
    k->next = before;
}
