// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/repo_prices_pg.h"

#include <sys/queue.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/pg_array.h"
#include "common/io/price_pg.h"

#define REFUSED_US (5 * US_PER_S) // until it is looked at again: somebody may have mended it

const struct pg_statement repo_prices_statements[PRICES_STATEMENTS] = {
    [PRICES_VERSION] = {"prices_version", "SELECT coalesce(max(version), 0) FROM llm_price_version",
                        0, false},
    [PRICES_CATALOGUE] = {"prices_catalogue", price_pg_select, 0, true},
};

struct repo_prices_request {
    TAILQ_ENTRY(repo_prices_request) link; // in a list, unless `query` is there
    struct repo_prices *prices;
    struct pg_query *query; // for the version
    bool waits, rides;      // for the next reading, or for the one under way
    int64_t version;        // that was the newest
    repo_prices_done done;
    void *arg;
};
TAILQ_HEAD(request_list, repo_prices_request);

struct repo_prices {
    struct pg_pool *pool;
    size_t first;
    struct price_book *book;
    int64_t refused;           // a version that cannot be used; 0: none
    int64_t refused_us;        // when that was found, monotonic
    struct pg_query *reading;  // NULL: none
    struct request_list rides; // began before the reading did: its result is new enough for them
    struct request_list waits;
};

struct repo_prices *repo_prices_new(struct pg_pool *pool, size_t first)
{
    struct repo_prices *p = xcalloc(1, sizeof(*p));
    p->pool = pool;
    p->first = first;
    p->book = price_book_new(catalogue_new());
    TAILQ_INIT(&p->rides);
    TAILQ_INIT(&p->waits);
    return p;
}

void repo_prices_free(struct repo_prices *p)
{
    if (!p)
        return;
    price_book_free(p->book);
    free(p);
}

// ---- a request ----------------------------------------------------------------------------------

static int64_t version_of(const struct repo_prices *p)
{
    return catalogue_version(price_book_catalogue(p->book));
}

static void request_end(struct repo_prices_request *req, enum repo_status status,
                        const struct err *e)
{
    req->done(req->arg, status, status == REPO_OK ? req->prices->book : NULL, e);
    free(req);
}

static void leave(struct repo_prices_request *req)
{
    struct repo_prices *p = req->prices;
    if (req->rides)
        TAILQ_REMOVE(&p->rides, req, link);
    else if (req->waits)
        TAILQ_REMOVE(&p->waits, req, link);
    req->rides = req->waits = false;
}

static void end_all(struct request_list *list, enum repo_status status, const struct err *e)
{
    struct repo_prices_request *req;
    while ((req = TAILQ_FIRST(list))) {
        leave(req);
        request_end(req, status, e);
    }
}

static enum repo_status status_of(enum pg_status status)
{
    return status == PG_OK ? REPO_OK : status == PG_FAILED ? REPO_FAILED : REPO_UNAVAILABLE;
}

// Whether what is there answers it.
static bool settle(struct repo_prices_request *req)
{
    struct repo_prices *p = req->prices;
    struct err e;
    if (req->version == version_of(p)) {
        leave(req);
        request_end(req, REPO_OK, NULL);
        return true;
    }
    if (req->version == p->refused && clock_mono_us() - p->refused_us < REFUSED_US) {
        (void)err_set(&e, "the price catalogue cannot be used; the log says why");
        leave(req);
        request_end(req, REPO_UNAVAILABLE, &e);
        return true;
    }
    return false;
}

// ---- reading ------------------------------------------------------------------------------------

static void read_begin(struct repo_prices *p);

static int64_t newest(const struct request_list *list)
{
    const struct repo_prices_request *req;
    int64_t version = 0;
    TAILQ_FOREACH(req, list, link)
    version = max_i64(version, req->version);
    return version;
}

static int take_up(struct repo_prices *p, const PGresult *r, struct err *e)
{
    struct catalogue *fresh = catalogue_new();
    struct err why;
    if (price_pg_read(r, fresh, &why) != 0) {
        catalogue_free(fresh);
        p->refused = newest(&p->rides);
        p->refused_us = clock_mono_us();
        log_error("the prices cannot be used", "version", log_num(p->refused), "column", why.field,
                  "error", why.detail);
        return err_set(e, "the price catalogue cannot be used; the log says why");
    }
    price_book_free(p->book);
    p->book = price_book_new(fresh);
    p->refused = 0;
    log_info("prices taken up", "version", log_num(version_of(p)), "cards",
             log_num((int64_t)catalogue_count(fresh)));
    return 0;
}

static void read_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct repo_prices *p = arg;
    struct err why;
    p->reading = NULL;
    if (status != PG_OK) { // and the pool may be about to end
        end_all(&p->rides, status_of(status), e);
        end_all(&p->waits, status_of(status), e);
        return;
    }
    bool fine = take_up(p, r, &why) == 0;
    end_all(&p->rides, fine ? REPO_OK : REPO_UNAVAILABLE, &why);
    struct repo_prices_request *req, *next;
    for (req = TAILQ_FIRST(&p->waits); req; req = next) {
        next = TAILQ_NEXT(req, link);
        (void)settle(req);
    }
    if (!TAILQ_EMPTY(&p->waits))
        read_begin(p);
}

static void read_begin(struct repo_prices *p)
{
    struct repo_prices_request *req;
    TAILQ_FOREACH(req, &p->waits, link)
    {
        req->waits = false;
        req->rides = true;
    }
    TAILQ_CONCAT(&p->rides, &p->waits, link);
    p->reading = pg_pool_query(p->pool, p->first + PRICES_CATALOGUE, NULL, read_done, p);
}

static void version_done(void *arg, enum pg_status status, const PGresult *r, const struct err *e)
{
    struct repo_prices_request *req = arg;
    struct repo_prices *p = req->prices;
    struct err why;
    req->query = NULL;
    if (status == PG_OK && !pg_column_i64(r, 0, 0, &req->version)) {
        (void)err_set(&why, "the version of prices has another form");
        status = PG_FAILED;
        e = &why;
    }
    if (status != PG_OK) {
        request_end(req, status_of(status), e);
        return;
    }
    if (settle(req))
        return;
    TAILQ_INSERT_TAIL(&p->waits, req, link);
    req->waits = true;
    if (!p->reading)
        read_begin(p);
}

struct repo_prices_request *repo_prices_ask(struct repo_prices *p, repo_prices_done done, void *arg)
{
    struct repo_prices_request *req = xcalloc(1, sizeof(*req));
    req->prices = p;
    req->done = done;
    req->arg = arg;
    req->query = pg_pool_query(p->pool, p->first + PRICES_VERSION, NULL, version_done, req);
    return req;
}

// A reading goes on: the next one who asks needs it as well.
void repo_prices_cancel(struct repo_prices_request *req)
{
    if (req->query)
        pg_query_cancel(req->query);
    leave(req);
    free(req);
}
