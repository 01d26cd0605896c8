// SPDX-License-Identifier: Apache-2.0
// A catalogue that cannot be used, because it holds more than CATALOGUE_CARDS_MAX cards or a card
// that makes no sense, must not stop the counting: tokens are kept whatever they cost, and costs
// can be made from them later. So rows go on with the versions before it and say so in
// price_version, and the log says it once a version.
#include "processor/prices_pg.h"

#include "common/io/log.h"
#include "common/io/price_pg.h"

#define NEVER INT64_C(-1)

struct prices {
    struct catalogue *catalogue;
    int64_t tried;   // the newest version that was read, usable or not
    int64_t reached; // the newest that was read because a row names it, likewise
    int64_t refused;
};

struct prices *prices_new(void)
{
    struct prices *p = xcalloc(1, sizeof(*p));
    p->catalogue = catalogue_new();
    prices_forget(p);
    return p;
}

void prices_free(struct prices *p)
{
    if (!p)
        return;
    catalogue_free(p->catalogue);
    free(p);
}

void prices_forget(struct prices *p)
{
    p->tried = p->reached = NEVER;
}

const struct catalogue *prices_catalogue(const struct prices *p)
{
    return p->catalogue;
}

int64_t prices_version(const struct prices *p)
{
    return catalogue_version(p->catalogue);
}

int64_t prices_refused(const struct prices *p)
{
    return p->refused;
}

static void take_up(struct prices *p, struct catalogue *fresh)
{
    if (catalogue_version(fresh) != prices_version(p))
        log_info("prices taken up", "version", log_num(catalogue_version(fresh)), "cards",
                 log_num((int64_t)catalogue_count(fresh)));
    catalogue_free(p->catalogue);
    p->catalogue = fresh;
}

// version: the one that is wanted, for the log.
static enum store_result read_anew(struct prices *p, struct db *db, int64_t version, struct err *e)
{
    PGresult *r = NULL;
    enum store_result rc = db_exec(db, price_pg_select, &r, e);
    if (rc != STORE_OK)
        return rc;
    struct catalogue *fresh = catalogue_new();
    struct err why;
    if (price_pg_read(r, fresh, &why) == 0) {
        take_up(p, fresh);
    } else {
        p->refused++;
        // Who has just started has none to go on with: its rows would lose what they cost.
        if (catalogue_version(fresh) > prices_version(p))
            take_up(p, fresh);
        else
            catalogue_free(fresh);
        log_error("the prices cannot be used; rows go on with the version before", "version",
                  log_num(version), "before", log_num(prices_version(p)), "column", why.field,
                  "error", why.detail);
    }
    PQclear(r);
    return STORE_OK;
}

enum store_result prices_follow(struct prices *p, struct db *db, int64_t version, struct err *e)
{
    if (version == p->tried)
        return STORE_OK;
    enum store_result rc = read_anew(p, db, version, e);
    if (rc == STORE_OK)
        p->tried = max_i64(version, prices_version(p));
    return rc;
}

// What a row names somebody could use: also where it was refused here, it may have been mended
// since.
enum store_result prices_reach(struct prices *p, struct db *db, int64_t version, struct err *e)
{
    if (version <= max_i64(p->reached, prices_version(p)))
        return STORE_OK;
    enum store_result rc = read_anew(p, db, version, e);
    if (rc == STORE_OK) {
        p->reached = version;
        p->tried = max_i64(p->tried, prices_version(p));
    }
    return rc;
}
