// SPDX-License-Identifier: Apache-2.0
// Which fields the answer's rows show.
#include "metrics-api/question_internal.h"

#include <stdio.h>

#define ALL_FIELDS (UINT64_MAX >> (64 - FIELD_COUNT))
#define ROW_ONLY (FIELD_BIT(publish_seq) | FIELD_BIT(late) | FIELD_BIT(revision))
#define FIXED_PERCENTILES (FIELD_LATENCY_PERCENTILES | FIELD_TTFT_PERCENTILES)

static uint64_t ungrouped(const struct question *q)
{
    return ((q->group_by & GROUP_TENANT) != 0 ? 0 : FIELD_BIT(tenant_id)) |
           ((q->group_by & GROUP_ROUTE) != 0 ? 0 : FIELD_BIT(route)) |
           ((q->group_by & GROUP_MODEL) != 0 ? 0 : FIELD_BIT(model));
}

static uint64_t bits_shown(const struct question *q)
{
    uint64_t bits = ALL_FIELDS;
    if (q->cells)
        bits &= ~(ROW_ONLY | ungrouped(q));
    if (q->fields.n > 0)
        bits &= ~FIXED_PERCENTILES;
    return bits;
}

static uint64_t field_bit(struct str name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (str_eq(name, str_of(field_infos[i].name)))
            return UINT64_C(1) << i;
    return 0;
}

// Marks the percentile that the name is a field of.
static bool mark_percentile(struct fields *f, struct str name)
{
    for (size_t i = 0; i < f->n; i++) {
        char latency[32], ttft[32];
        snprintf(latency, sizeof(latency), "p%s_latency_ms", f->percentiles[i].digits);
        snprintf(ttft, sizeof(ttft), "p%s_ttft_ms", f->percentiles[i].digits);
        if (str_eq(name, str_of(latency)))
            f->percentiles[i].latency = true;
        else if (str_eq(name, str_of(ttft)))
            f->percentiles[i].ttft = true;
        else
            continue;
        return true;
    }
    return false;
}

// Only what looks like a field's name is repeated to whoever sent it.
static bool can_be_named(struct str name)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    bool fine = name.n > 0 && name.n <= 40;
    for (size_t i = 0; i < name.n && fine; i++)
        fine = memchr(taken, name.p[i], sizeof(taken) - 1) != NULL;
    return fine;
}

static int refuse(const struct question *q, struct str name, struct err *e)
{
    uint64_t bit = field_bit(name);
    const char *why = "is no field of rows; without `fields` all that there are come";
    if (q->cells && (bit & ROW_ONLY) != 0)
        why = "belongs to a stored row, and these rows are sums of several";
    else if (q->cells && (bit & ungrouped(q)) != 0)
        why = "is no field of these rows: it is not in group_by";
    else if (q->fields.n > 0 && (bit & FIXED_PERCENTILES) != 0)
        why = "is not among `percentiles`";
    if (!can_be_named(name))
        return err_field(e, "fields", -1,
                         "must be names of fields with commas between; without it all come");
    return err_field(e, "fields", -1, "must be names of fields of these rows: %.*s %s", (int)name.n,
                     name.p, why);
}

// What nobody looks at is not computed.
static void drop_unmarked(struct fields *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++)
        if (f->percentiles[i].latency || f->percentiles[i].ttft)
            f->percentiles[kept++] = f->percentiles[i];
    f->n = kept;
}

int question_decide_fields(struct question *q, struct err *e)
{
    if (question_lists(q) || q->endpoint == ENDPOINT_HEATMAP || q->endpoint == ENDPOINT_COST)
        return 0;
    uint64_t shown = bits_shown(q);
    q->fields.bits = shown;
    struct str rest = str_of(q->given->fields), name;
    if (!rest.p)
        return 0;
    q->fields.bits = 0;
    for (size_t i = 0; i < q->fields.n; i++)
        q->fields.percentiles[i].latency = q->fields.percentiles[i].ttft = false;
    while (question_item(&rest, &name)) {
        uint64_t bit = field_bit(name) & shown;
        if (bit == 0 && !mark_percentile(&q->fields, name))
            return refuse(q, name, e);
        q->fields.bits |= bit;
    }
    drop_unmarked(&q->fields);
    return 0;
}
