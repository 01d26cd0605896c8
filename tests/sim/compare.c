// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/compare.h"

#include <stdio.h>

void letters_add(struct letters *l, enum event_kind topic, int partition, int64_t offset,
                 const char *reason)
{
    l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
    l->v[l->n++] = (struct oracle_letter){topic, partition, offset, reason};
}

void letters_free(struct letters *l)
{
    free(l->v);
}

static bool holds_letter(const struct oracle_letter *v, size_t n, const struct oracle_letter *x)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].topic == x->topic && v[i].partition == x->partition && v[i].offset == x->offset &&
            strcmp(v[i].reason, x->reason) == 0)
            return true;
    return false;
}

static void compare_letters(const struct letters *l, const struct oracle *o, char *why, size_t n)
{
    for (size_t i = 0; i < l->n; i++)
        if (!holds_letter(o->letters, o->letter_count, &l->v[i]))
            snprintf(why, n, "dead letter %s of topic %d, partition %d, offset %lld is wrong",
                     l->v[i].reason, l->v[i].topic, l->v[i].partition, (long long)l->v[i].offset);
    for (size_t i = 0; i < o->letter_count; i++)
        if (!holds_letter(l->v, l->n, &o->letters[i]))
            snprintf(why, n, "dead letter %s of topic %d, partition %d, offset %lld is missing",
                     o->letters[i].reason, o->letters[i].topic, o->letters[i].partition,
                     (long long)o->letters[i].offset);
}

static int64_t count_of(const struct name_counts *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].name, name) == 0)
            return c->v[i].count;
    return 0;
}

static struct oracle_row numbers_of(const struct facts *f)
{
    struct usage usage = usage_lines_total(&f->usage);
    return (struct oracle_row){
        .requests = f->requests,
        .responses = f->responses,
        .unanswered = f->unanswered,
        .errors = f->errors,
        .without_latency = f->without_latency,
        .prompt_tokens = usage_prompt_tokens(&usage),
        .completion_tokens = usage.completion_tokens,
        .latency_count = f->latency.total,
        .latency_sum_us = f->latency.sum_us,
        .latency_max_us = f->latency.max_us,
        .ttft_count = f->ttft.total,
        .ttft_sum_us = f->ttft.sum_us,
        .finish_stop = count_of(&f->finish_reasons, "stop"),
    };
}

static void add_numbers(struct oracle_row *into, const struct oracle_row *r)
{
    into->requests += r->requests;
    into->responses += r->responses;
    into->unanswered += r->unanswered;
    into->errors += r->errors;
    into->without_latency += r->without_latency;
    into->prompt_tokens += r->prompt_tokens;
    into->completion_tokens += r->completion_tokens;
    into->latency_count += r->latency_count;
    into->latency_sum_us += r->latency_sum_us;
    into->latency_max_us = max_i64(into->latency_max_us, r->latency_max_us);
    into->ttft_count += r->ttft_count;
    into->ttft_sum_us += r->ttft_sum_us;
    into->finish_stop += r->finish_stop;
}

static bool is_same_group(const struct fake_row *row, const struct oracle_row *r, bool by_series)
{
    char tenant[16], route[16], model[16];
    snprintf(tenant, sizeof(tenant), "t%d", r->tenant);
    snprintf(route, sizeof(route), "r%d", r->route);
    snprintf(model, sizeof(model), "m%d", r->model);
    return row->window_start_us == r->window_start_us && strcmp(row->tenant, tenant) == 0 &&
           (!by_series || (strcmp(row->route, route) == 0 && strcmp(row->model, model) == 0));
}

// The group that r belongs to, summed on both sides.
static void compare_group(const struct fake_db *db, const struct oracle *o,
                          const struct oracle_row *r, bool by_series, char *why, size_t n)
{
    struct oracle_row got = {0}, want = {0};
    for (size_t i = 0; i < db->row_count; i++)
        if (is_same_group(&db->rows[i], r, by_series)) {
            struct oracle_row numbers = numbers_of(&db->rows[i].facts);
            add_numbers(&got, &numbers);
        }
    for (size_t i = 0; i < o->row_count; i++)
        if (o->rows[i].tenant == r->tenant && o->rows[i].window_start_us == r->window_start_us &&
            (!by_series || (o->rows[i].route == r->route && o->rows[i].model == r->model)))
            add_numbers(&want, &o->rows[i]);
    if (memcmp(&got, &want, sizeof(got)) != 0)
        snprintf(
            why, n,
            "tenant t%d route r%d model m%d window %lld: requests %lld want %lld, responses %lld "
            "want %lld, unanswered %lld want %lld, errors %lld want %lld, latency sum %lld want "
            "%lld",
            r->tenant, r->route, r->model, (long long)r->window_start_us, (long long)got.requests,
            (long long)want.requests, (long long)got.responses, (long long)want.responses,
            (long long)got.unanswered, (long long)want.unanswered, (long long)got.errors,
            (long long)want.errors, (long long)got.latency_sum_us, (long long)want.latency_sum_us);
}

void compare(const struct fake_db *db, const struct letters *letters, const struct oracle *o,
             char *why, size_t n)
{
    bool by_series = true;
    int64_t got = 0, want = 0;
    for (size_t i = 0; i < db->series_count; i++)
        if (strcmp(db->series[i].route, SERIES_OTHER) == 0)
            by_series = false;
    compare_letters(letters, o, why, n);
    for (size_t i = 0; i < o->row_count; i++) {
        compare_group(db, o, &o->rows[i], by_series, why, n);
        want += o->rows[i].requests;
    }
    for (size_t i = 0; i < db->row_count; i++) {
        const struct facts *f = &db->rows[i].facts;
        got += f->requests;
        if (f->responses + f->unanswered > f->requests)
            snprintf(why, n, "in_flight is negative");
    }
    if (got != want)
        snprintf(why, n, "%lld requests in all, want %lld", (long long)got, (long long)want);
}
