// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/removal/tenant.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/event.h"
#include "deploy/admin/removal/tenant_pg.h"

static void count_text(int64_t n, char out[24])
{
    if (n > TENANT_COUNT_MAX)
        snprintf(out, 24, "more than %d", TENANT_COUNT_MAX);
    else
        snprintf(out, 24, "%" PRId64, n);
}

static void show(const char *tenant, const struct tenant_counts *n)
{
    char minutes[24], hours[24];
    count_text(n->minutes, minutes);
    count_text(n->hours, hours);
    printf("tenant '%s': %" PRId64 " keys, %" PRId64 " limits, %" PRId64 " series, %s rows of "
           "minutes and %s of hours\n",
           tenant, n->keys, n->limits, n->series, minutes, hours);
    if (n->left_series > 0)
        printf("and %" PRId64 " series whose deletion was begun before\n", n->left_series);
    if (n->cards > 0)
        printf("%" PRId64 " price cards stay, since cards are never changed; streamlens-admin "
               "price set MODEL tenant=%s unit=none withdraws one\n",
               n->cards, tenant);
}

static int check_known(const char *tenant, const struct tenant_counts *n, struct err *e)
{
    if (n->keys + n->limits + n->series + n->left_series > 0)
        return 0;
    return err_set(e, "tenant '%.255s' has no keys, limits or rows", tenant);
}

static int take_all_series(struct db *db, const char *tenant, struct err *e)
{
    int64_t taken, all = 0;
    // Who goes on sending makes new ones, which are not of the past.
    do {
        if (tenant_take_series(db, tenant, &taken, e) < 0)
            return -1;
        all += taken;
    } while (taken == TENANT_TAKE_SERIES);
    printf("%" PRId64 " series deleted\n", all);
    return 0;
}

static int delete_it(struct db *db, const char *tenant, const struct tenant_counts *n,
                     struct err *e)
{
    if (tenant_remove_access(db, tenant, e) < 0)
        return -1;
    printf("%" PRId64 " keys and %" PRId64 " limits deleted\n", n->keys, n->limits);
    if (take_all_series(db, tenant, e) < 0)
        return -1;
    struct tenant_rows rows = {0};
    int rc = tenant_delete_rows(db, tenant, &rows, e);
    printf("%" PRId64 " rows of minutes (%" PRId64 " of llm_publish) and %" PRId64
           " of hours deleted\n",
           rows.minutes, rows.published, rows.hours);
    if (rc == 0)
        puts("what was still on its way counts anew; to be rid of that too, run this again after "
             "AUTH_REFRESH_MS and JOIN_TTL_MS");
    return rc;
}

static int run(struct db *db, const char *tenant, bool yes, struct err *e)
{
    struct tenant_counts counts;
    if (db_lock_maintenance(db, e) < 0 || tenant_count(db, tenant, &counts, e) < 0 ||
        check_known(tenant, &counts, e) < 0)
        return -1;
    show(tenant, &counts);
    if (yes)
        return delete_it(db, tenant, &counts, e);
    err_field(e, "--yes", -1, "is missing, and nothing was deleted; what is deleted is gone");
    return ARGS_WRONG;
}

int tenant_delete(const struct config *c, const struct args *a, struct err *e)
{
    const char *tenant = a->words[0];
    if (event_check_name("NAME", str_of(tenant), e) < 0)
        return ARGS_WRONG;
    struct db *db = db_open_set_up(c, e);
    int rc = db ? run(db, tenant, args_get(a, "yes") != NULL, e) : -1;
    db_close(db);
    return rc;
}
