// SPDX-License-Identifier: Apache-2.0
#include "processor/dead_letters.h"

static size_t size_of(const struct dead_letter *d)
{
    return d->key_n + d->value_n;
}

void dead_letters_add(struct dead_letters *l, struct dead_letters_load *load, int partition,
                      const struct task_record *r, const char *reason, const char *detail)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
    }
    // Any header may stand in the log; only one that is a tenant's is worth its room.
    struct str tenant = r->tenant.n <= EVENT_NAME_MAX ? r->tenant : (struct str){0};
    struct dead_letter *d = &l->v[l->count++];
    *d = (struct dead_letter){
        .topic = r->topic,
        .partition = partition,
        .offset = r->offset,
        .reason = reason,
        .detail = detail ? xstrdup(detail) : NULL,
        .key = xmemdup(r->key.p, r->key.n),
        .key_n = r->key.n,
        .value = xmemdup(r->value.p, r->value.n),
        .value_n = r->value.n,
        .tenant = xmemdup(tenant.p, tenant.n),
        .tenant_n = tenant.n,
    };
    load->count++;
    load->bytes += size_of(d);
}

static void free_one(struct dead_letter *d)
{
    free(d->detail);
    free(d->key);
    free(d->value);
    free(d->tenant);
}

void dead_letters_clear(struct dead_letters *l, struct dead_letters_load *load)
{
    for (size_t i = 0; i < l->count; i++) {
        load->bytes -= size_of(&l->v[i]);
        free_one(&l->v[i]);
    }
    load->count -= l->count;
    l->count = 0;
}

void dead_letters_free(struct dead_letters *l, struct dead_letters_load *load)
{
    dead_letters_clear(l, load);
    free(l->v);
    *l = (struct dead_letters){0};
}
