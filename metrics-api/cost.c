// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/cost.h"

#include <math.h>

#include "metrics-api/question.h"

#define MILLION 1e6
#define PERCENT 100

#define INFO(type, name) FIELD_INFO(type, struct cost_row, name, name)
#define TEXT_INFO(name) INFO(FIELD_TEXT, name)
#define COUNT_INFO(name) INFO(FIELD_COUNT_OF, name)
#define NUMBER_INFO(name) INFO(FIELD_NUMBER_OF, name)
#define MAYBE_INFO(name) INFO(FIELD_MAYBE, name)
#define DECIMAL_INFO(name) INFO(FIELD_DECIMAL, name)
const struct field_info cost_field_infos[COST_FIELD_COUNT] = {
    COST_ROW_FIELDS(TEXT_INFO, COUNT_INFO, NUMBER_INFO, MAYBE_INFO, DECIMAL_INFO)};

uint64_t cost_fields_shown(unsigned group_by)
{
    uint64_t bits = (UINT64_C(1) << COST_FIELD_COUNT) - 1;
    bits &= ~(group_by & GROUP_TENANT ? 0 : UINT64_C(1) << COST_FIELD_tenant_id);
    bits &= ~(group_by & GROUP_ROUTE ? 0 : UINT64_C(1) << COST_FIELD_route);
    bits &= ~(group_by & GROUP_MODEL ? 0 : UINT64_C(1) << COST_FIELD_model);
    return bits;
}

// ---- groups -------------------------------------------------------------------------------------

static const struct fact_row *named(const struct cost_sides *sides)
{
    return sides->now ? sides->now : sides->before;
}

static int compare_names(const struct fact_row *a, const struct fact_row *b)
{
    struct fold_place x = {0, a->tenant_id, a->route, a->model};
    struct fold_place y = {0, b->tenant_id, b->route, b->model};
    return fold_place_compare(&x, &y, true);
}

static int compare_sides(const void *a, const void *b)
{
    const struct cost_sides *x = a, *y = b;
    money cost_x = x->now ? x->now->cost : 0, cost_y = y->now ? y->now->cost : 0;
    if (cost_x != cost_y)
        return cost_x > cost_y ? -1 : 1;
    return compare_names(named(x), named(y));
}

static int compare_by_name(const void *a, const void *b)
{
    int order = compare_names(named(a), named(b));
    const struct cost_sides *x = a, *y = b;
    return order != 0 ? order : (x->now == NULL) - (y->now == NULL);
}

size_t cost_pair(const struct cell *cells, size_t count, int64_t from_us, struct cost_sides *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct fact_row *row = &cells[i].row;
        bool is_now = row->window_start_us >= from_us;
        out[i] = (struct cost_sides){is_now ? row : NULL, is_now ? NULL : row};
    }
    if (count > 1)
        qsort(out, count, sizeof(*out), compare_by_name);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n > 0 && !out[i].now && compare_names(named(&out[n - 1]), out[i].before) == 0)
            out[n - 1].before = out[i].before;
        else
            out[n++] = out[i];
    }
    if (n > 1)
        qsort(out, n, sizeof(*out), compare_sides);
    return n;
}

// ---- a row --------------------------------------------------------------------------------------

static double part(int64_t count, int64_t of)
{
    return of > 0 ? (double)count / (double)of : NAN;
}

static void derive_shares(const struct fact_row *f, money total, struct cost_row *out)
{
    out->share = total != 0 ? (double)f->cost / (double)total : NAN;
    out->unpriced_share = part(f->unpriced_requests, f->responses);
    out->guessed_share = part(f->guessed_requests, f->responses);
    out->reported_share = part(f->reported_requests, f->responses);
    // Only then the two are of the same responses.
    bool alike =
        f->responses > 0 && f->reported_requests == f->responses && f->unpriced_requests == 0;
    out->reported_difference_usd = alike ? money_usd(money_add(f->reported_cost, -f->cost)) : NAN;
}

static void derive_rates(const struct fact_row *f, const struct metrics_row *row,
                         struct cost_row *out)
{
    int64_t responses = f->responses - f->unpriced_requests;
    int64_t tokens = add_sat_i64(row->prompt_tokens, row->completion_tokens) - f->unpriced_tokens;
    out->cost_per_request_usd = responses > 0 ? row->estimated_cost_usd / (double)responses : NAN;
    out->cost_per_million_tokens_usd =
        tokens > 0 ? row->estimated_cost_usd * MILLION / (double)tokens : NAN;
}

static void derive_change(money now, money before, struct cost_row *out)
{
    money change = money_add(now, -before);
    out->before_estimated_cost_usd = money_usd(before);
    out->change_usd = money_usd(change);
    out->change_percent = before != 0 ? (double)change / (double)before * PERCENT : NAN;
}

void cost_row_derive(const struct cost_sides *sides, money total, bool before_kept,
                     struct buf *scratch, struct cost_row *out)
{
    static const struct fact_row nothing;
    const struct fact_row *now = sides->now ? sides->now : &nothing, *group = named(sides);
    struct metrics_row row;
    fact_row_derive(now, scratch, &row);
#define SAME(name) out->name = row.name;
#define OF_ITS_OWN(name) /* below */
    COST_ROW_FIELDS(OF_ITS_OWN, SAME, SAME, OF_ITS_OWN, SAME)
#undef SAME
#undef OF_ITS_OWN
    out->tenant_id = group->tenant_id;
    out->route = group->route;
    out->model = group->model;
    out->reported_cost_usd = row.reported_cost_usd;
    derive_shares(now, total, out);
    derive_rates(now, &row, out);
    out->before_estimated_cost_usd = out->change_usd = out->change_percent = NAN;
    if (before_kept)
        derive_change(now->cost, sides->before ? sides->before->cost : 0, out);
}
