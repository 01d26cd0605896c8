// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/price_unpriced.h"

#include <stdio.h>

#include "common/core/event.h"
#include "common/core/timeunit.h"
#include "deploy/admin/prices/prices_pg.h"
#include "deploy/admin/prices/price_cuts.h"
#include "deploy/admin/prices/unpriced.h"
#include "deploy/admin/prices/used_pg.h"

#define DAYS_DEFAULT 7

// ---- options ----

static int read_tenant(const struct args *a, struct unpriced_range *out, struct err *e)
{
    out->tenant = args_get(a, "tenant");
    if (!out->tenant || event_check_name("--tenant", str_of(out->tenant), e) == 0)
        return 0;
    return ARGS_WRONG;
}

// What is not given stays INT64_MIN.
static int read_times(const struct args *a, struct unpriced_range *out, struct err *e)
{
    out->from_us = out->to_us = INT64_MIN;
    if ((args_get(a, "from") && args_time(a, "from", &out->from_us, e) < 0) ||
        (args_get(a, "to") && args_time(a, "to", &out->to_us, e) < 0))
        return ARGS_WRONG;
    return 0;
}

static int complete_times(int64_t now_us, struct unpriced_range *r, struct err *e)
{
    if (r->to_us == INT64_MIN)
        r->to_us = now_us;
    if (r->from_us == INT64_MIN)
        r->from_us = time_floor_us(r->to_us, US_PER_HOUR) - DAYS_DEFAULT * US_PER_DAY;
    if (r->from_us < r->to_us && time_in_range_us(r->from_us))
        return 0;
    err_field(e, "--to", -1,
              "is not later than --from; hours that begin from --from on and before --to are "
              "looked at");
    return ARGS_WRONG;
}

// ---- where prices change ----

// Around each hour in which a version came, too, since its row holds minutes that were priced
// before.
static size_t cuts_of(const struct prices *p, const struct unpriced_range *r, int64_t **out)
{
    size_t versions = prices_version_count(p);
    int64_t *hours = xcalloc(2 * versions + 1, sizeof(*hours));
    for (size_t i = 0; i < versions; i++) {
        hours[2 * i] = time_floor_us(prices_version_at(p, i)->created_us, US_PER_HOUR);
        hours[2 * i + 1] = hours[2 * i] + US_PER_HOUR;
    }
    size_t n = price_cuts(prices_catalogue(p), r->from_us, r->to_us, hours, 2 * versions, out);
    free(hours);
    return n;
}

// By which version the oldest minutes of the hours may have been priced: their rows name the newest
// of their minutes.
static int64_t oldest_version(const struct prices *p, const struct used_line *line)
{
    // Nothing is counted before the first.
    for (size_t i = 1; i < prices_version_count(p); i++) {
        const struct prices_version *v = prices_version_at(p, i);
        if (v->version > line->price_version)
            break;
        if (v->created_us >= line->first_us && v->created_us < line->last_us + US_PER_HOUR)
            return v->version - 1;
    }
    return line->price_version;
}

// ---- the command ----

static void show(const struct prices *p, const struct used *used, const struct unpriced_range *r,
                 bool json)
{
    struct unpriced_use *uses = xcalloc(used->n + 1, sizeof(*uses));
    for (size_t i = 0; i < used->n; i++) {
        const struct used_line *line = &used->v[i];
        uses[i] = (struct unpriced_use){
            .tenant = str_of(line->tenant),
            .key = line->key,
            .sum = line->sum,
            .at_us = line->at_us,
            .first_us = line->first_us,
            .last_us = line->last_us,
            .doubtful = line->doubtful,
            .row_version = oldest_version(p, line),
        };
    }
    struct unpriced u;
    struct buf out = {0};
    const struct catalogue *c = prices_catalogue(p);
    unpriced_make(uses, used->n, c, prices_now_us(p), &u);
    (json ? unpriced_add_json : unpriced_add_text)(&u, r, c, prices_now_us(p), &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    unpriced_free(&u);
    free(uses);
}

static int read_and_show(struct prices *p, const struct unpriced_range *r, bool json, struct err *e)
{
    int64_t *cuts_us;
    size_t cut_count = cuts_of(p, r, &cuts_us);
    struct used_range range = {.from_us = r->from_us,
                               .to_us = r->to_us,
                               .tenant = r->tenant,
                               .cuts_us = cuts_us,
                               .cut_count = cut_count};
    struct used used;
    int rc = used_read(prices_db(p), &range, &used, e);
    if (rc == 0)
        show(p, &used, r, json);
    if (rc == 0)
        used_free(&used);
    free(cuts_us);
    return rc;
}

int price_unpriced(const struct config *c, const struct args *a, struct err *e)
{
    struct unpriced_range range;
    int rc = read_times(a, &range, e);
    if (rc == 0)
        rc = read_tenant(a, &range, e);
    if (rc < 0)
        return rc;
    struct prices *p = prices_open(c, e);
    rc = p ? prices_read(p, e) : -1;
    if (rc == 0)
        rc = complete_times(prices_now_us(p), &range, e);
    if (rc == 0)
        rc = db_check_tenant(prices_db(p), range.tenant, e);
    if (rc == 0)
        rc = read_and_show(p, &range, args_get(a, "json") != NULL, e);
    prices_close(p);
    return rc;
}
