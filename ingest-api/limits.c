// SPDX-License-Identifier: Apache-2.0
// The rows stand in an index with open addressing, at most half full. Its hash is not keyed: an
// operator names the tenants in it, and who sends can only look. The buckets' one is.
#include "ingest-api/limits.h"

#include "common/core/timeunit.h"

struct row {
    char *tenant; // owned
    size_t tenant_n;
    struct tenant_limit limit;
};

struct limit_rows {
    struct row *rows;
    size_t count, cap;
    uint32_t *index; // 0 = free, else number of the row + 1
    size_t slots;    // a power of two
};

struct limits {
    struct limits_options options;
    struct hash_key hash_key;
    struct limit_rows *rows; // NULL before the first reading
    const struct row *others;
    struct bucket_table *tenants, *keys;
    int64_t shared;
    struct err why;
};

// ---- rows ----

struct limit_rows *limit_rows_new(void)
{
    struct limit_rows *r = xcalloc(1, sizeof(*r));
    r->slots = 16;
    r->index = xcalloc(r->slots, sizeof(*r->index));
    return r;
}

void limit_rows_free(struct limit_rows *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        free(r->rows[i].tenant);
    free(r->rows);
    free(r->index);
    free(r);
}

size_t limit_rows_count(const struct limit_rows *r)
{
    return r->count;
}

// The slot that holds the tenant, or the free one where it would go.
static uint32_t *slot_of(const struct limit_rows *r, struct str tenant)
{
    for (size_t i = hash_stable64(tenant.p, tenant.n);; i++) {
        uint32_t *slot = &r->index[i & (r->slots - 1)];
        if (*slot == 0)
            return slot;
        const struct row *row = &r->rows[*slot - 1];
        if (str_eq((struct str){row->tenant, row->tenant_n}, tenant))
            return slot;
    }
}

static void grow(struct limit_rows *r)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        r->rows = xrealloc(r->rows, r->cap * sizeof(*r->rows));
    }
    if ((r->count + 1) * 2 <= r->slots)
        return;
    free(r->index);
    r->slots *= 2;
    r->index = xcalloc(r->slots, sizeof(*r->index));
    for (size_t i = 0; i < r->count; i++)
        *slot_of(r, (struct str){r->rows[i].tenant, r->rows[i].tenant_n}) = (uint32_t)i + 1;
}

int limit_rows_add(struct limit_rows *r, struct str tenant, const struct tenant_limit *limit)
{
    if (r->count == TENANT_LIMITS_MAX)
        return -1;
    grow(r);
    uint32_t *slot = slot_of(r, tenant);
    if (*slot != 0)
        return -1;
    r->rows[r->count] =
        (struct row){.tenant = xmemdup(tenant.p, tenant.n), .tenant_n = tenant.n, .limit = *limit};
    *slot = (uint32_t)++r->count;
    return 0;
}

static const struct row *find_row(const struct limit_rows *r, struct str tenant)
{
    uint32_t slot = *slot_of(r, tenant);
    return slot ? &r->rows[slot - 1] : NULL;
}

// ---- life ----

struct limits *limits_new(const struct limits_options *o)
{
    struct limits *l = xcalloc(1, sizeof(*l));
    l->options = *o;
    hash_key_init(&l->hash_key, o->seed, sizeof(o->seed));
    l->tenants = bucket_table_new(o->buckets_max, &l->hash_key);
    l->keys = bucket_table_new(o->buckets_max, &l->hash_key);
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    limit_rows_free(l->rows);
    bucket_table_free(l->tenants);
    bucket_table_free(l->keys);
    free(l);
}

void limits_take_rows(struct limits *l, struct limit_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct tenant_limit *limit = &rows->rows[i].limit;
        limit->events = token_limit_share(limit->events, l->options.processes);
        limit->bytes = token_limit_share(limit->bytes, l->options.processes);
    }
    limit_rows_free(l->rows);
    l->rows = rows;
    l->others = find_row(rows, STR_LIT(TENANT_LIMIT_OTHERS));
}

void limits_not_read(struct limits *l, const struct err *why)
{
    l->why = *why;
}

int limits_ready(const struct limits *l, struct err *why)
{
    if (!l->options.tenants || l->rows)
        return 0;
    return err_set(why, "rate limits have not been read yet: %.400s", l->why.detail);
}

size_t limits_buckets(const struct limits *l)
{
    return bucket_table_count(l->tenants) + bucket_table_count(l->keys);
}

int64_t limits_shared(const struct limits *l)
{
    return l->shared;
}

// ---- a request ----

static struct buckets *find_tenant(struct limits *l, struct str tenant, int64_t now_us)
{
    if (!l->rows || l->rows->count == 0)
        return NULL;
    struct str name = tenant.n > 0 ? tenant : STR_LIT("");
    const struct row *row = tenant.n > 0 ? find_row(l->rows, tenant) : NULL;
    row = row ? row : l->others;
    if (!row || (row->limit.events.per_second == 0 && row->limit.bytes.per_second == 0))
        return NULL;
    return bucket_table_find(l->tenants, name, &row->limit, now_us, &l->shared);
}

static struct buckets *find_key(struct limits *l, const struct limits_sender *who, int64_t now_us)
{
    if (who->key_events_per_second == 0)
        return NULL;
    int64_t rate = min_i64(who->key_events_per_second, TOKEN_BUCKET_MOST);
    struct tenant_limit limit = {
        .events = token_limit_share((struct token_limit){rate, rate}, l->options.processes)};
    return bucket_table_find(l->keys, who->key_id, &limit, now_us, &l->shared);
}

void limits_find(struct limits *l, const struct limits_sender *who, int64_t now_us,
                 struct limits_account *out)
{
    *out = (struct limits_account){.tenant = find_tenant(l, who->tenant, now_us),
                                   .key = find_key(l, who, now_us),
                                   .now_us = now_us};
}

static int refuse(enum limit_kind kind, int64_t wait_us, struct limits_refusal *why)
{
    *why = (struct limits_refusal){.kind = kind,
                                   .retry_after_s = wait_us / US_PER_S + (wait_us % US_PER_S > 0)};
    return -1;
}

int limits_charge_bytes(const struct limits_account *a, int64_t n, struct limits_refusal *why)
{
    if (!a->tenant)
        return 0;
    int64_t wait_us = token_bucket_wait_us(&a->tenant->bytes, n, a->now_us);
    if (wait_us > 0)
        return refuse(LIMIT_BYTES, wait_us, why);
    token_bucket_take(&a->tenant->bytes, n, a->now_us);
    return 0;
}

int limits_charge_events(const struct limits_account *a, int64_t n, struct limits_refusal *why)
{
    int64_t tenant_us = a->tenant ? token_bucket_wait_us(&a->tenant->events, n, a->now_us) : 0;
    int64_t key_us = a->key ? token_bucket_wait_us(&a->key->events, n, a->now_us) : 0;
    if (tenant_us > 0 || key_us > 0)
        return tenant_us >= key_us ? refuse(LIMIT_EVENTS, tenant_us, why)
                                   : refuse(LIMIT_KEY, key_us, why);
    if (a->tenant)
        token_bucket_take(&a->tenant->events, n, a->now_us);
    if (a->key)
        token_bucket_take(&a->key->events, n, a->now_us);
    return 0;
}

void limits_give_back_bytes(const struct limits_account *a, int64_t n)
{
    if (a->tenant)
        token_bucket_give_back(&a->tenant->bytes, n, a->now_us);
}

// ---- header fields ----

struct field {
    char *p; // where it goes on
    bool begun;
};

static void add_text(struct field *f, const char *text)
{
    f->p = stpcpy(f->p, text);
}

// On every answer: printf would cost more than all the rest here.
static void add_number(struct field *f, const char *name, int64_t n)
{
    char digits[20], *p = digits + sizeof(digits);
    *--p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    add_text(f, name);
    add_text(f, p);
}

static void add_policy_name(struct field *f, const char *quoted)
{
    if (f->begun)
        add_text(f, ", ");
    f->begun = true;
    add_text(f, quoted);
}

static void add_policy(const char *quoted, const char *unit, struct token_bucket *b,
                       const struct limits_account *a, const struct limits_refusal *refusal,
                       struct field *policy, struct field *state)
{
    struct token_limit limit = b->limit;
    if (limit.per_second == 0)
        return;
    add_policy_name(policy, quoted);
    add_number(policy, ";q=", limit.burst);
    add_text(policy, unit);
    add_number(policy, ";w=", (limit.burst + limit.per_second - 1) / limit.per_second);
    int64_t full_s = (token_bucket_full_in_us(b, a->now_us) + US_PER_S - 1) / US_PER_S;
    add_policy_name(state, quoted);
    add_number(state, ";r=", token_bucket_holds(b, a->now_us));
    add_number(state, ";t=", refusal ? min_i64(full_s, refusal->retry_after_s) : full_s);
}

bool limits_render(const struct limits_account *a, const struct limits_refusal *refusal,
                   char policy[LIMITS_FIELD_MAX], char state[LIMITS_FIELD_MAX])
{
    struct field p = {.p = policy}, s = {.p = state};
    if (a->tenant) {
        add_policy("\"events\"", "", &a->tenant->events, a, refusal, &p, &s);
        add_policy("\"bytes\"", ";qu=\"content-bytes\"", &a->tenant->bytes, a, refusal, &p, &s);
    }
    if (a->key)
        add_policy("\"key\"", "", &a->key->events, a, refusal, &p, &s);
    assert(p.p < policy + LIMITS_FIELD_MAX && s.p < state + LIMITS_FIELD_MAX);
    return p.begun;
}
