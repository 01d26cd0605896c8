// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/prices/prices_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/price_pg.h"
#include "deploy/admin/db_pg.h"

struct prices {
    struct db *db;
    struct catalogue *catalogue;
    struct prices_version *versions;
    char **notes; // of the versions, owned
    size_t version_count;
    int64_t now_us;
};

struct prices *prices_open(const struct config *c, struct err *e)
{
    struct prices *p = xcalloc(1, sizeof(*p));
    p->db = db_open_set_up(c, e);
    if (p->db)
        return p;
    prices_close(p);
    return NULL;
}

static void forget(struct prices *p)
{
    catalogue_free(p->catalogue);
    for (size_t i = 0; i < p->version_count; i++)
        free(p->notes[i]);
    free(p->notes);
    free(p->versions);
    p->catalogue = NULL;
    p->versions = NULL;
    p->notes = NULL;
    p->version_count = 0;
}

void prices_close(struct prices *p)
{
    if (!p)
        return;
    forget(p);
    db_close(p->db);
    free(p);
}

static const char *const origin_names[] = {
    [PRICES_DEFAULT] = "default",
    [PRICES_SET] = "set",
    [PRICES_IMPORT] = "import",
    [PRICES_RESTORE] = "restore",
};

const char *prices_origin_name(enum prices_origin origin)
{
    return origin_names[origin];
}

// ---- reading ----

// One that a later schema may know of is no default.
static enum prices_origin origin_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(origin_names); i++)
        if (strcmp(name, origin_names[i]) == 0)
            return (enum prices_origin)i;
    return PRICES_SET;
}

static int read_versions(struct prices *p, struct err *e)
{
    // Not now(): a transaction that waited for another's lock began before that.
    PGresult *r = db_query(p->db, "reading the versions of the prices",
                           "SELECT version, origin, note, coalesce(restores, 0), " DB_US(
                               "created_at") ", " DB_US("clock_timestamp()") //
                           " FROM (SELECT) one LEFT JOIN llm_price_version ON true"
                           " ORDER BY version",
                           0, NULL, e);
    if (!r)
        return -1;
    p->now_us = db_int(r, 0, 5);
    p->version_count = PQgetisnull(r, 0, 0) ? 0 : (size_t)PQntuples(r);
    p->versions = xcalloc(p->version_count + 1, sizeof(*p->versions));
    p->notes = xcalloc(p->version_count + 1, sizeof(*p->notes));
    for (size_t i = 0; i < p->version_count; i++) {
        p->notes[i] = xstrdup(PQgetvalue(r, (int)i, 2));
        p->versions[i] = (struct prices_version){
            .version = db_int(r, (int)i, 0),
            .origin = origin_named(PQgetvalue(r, (int)i, 1)),
            .note = p->notes[i],
            .restores = db_int(r, (int)i, 3),
            .created_us = db_int(r, (int)i, 4),
        };
    }
    PQclear(r);
    return 0;
}

static int read_all(struct prices *p, struct err *e)
{
    forget(p);
    p->catalogue = catalogue_new();
    PGresult *r = db_query(p->db, "reading the prices", price_pg_select, 0, NULL, e);
    int rc = r ? price_pg_read(r, p->catalogue, e) : -1;
    PQclear(r);
    return rc < 0 ? rc : read_versions(p, e);
}

int prices_read(struct prices *p, struct err *e)
{
    // One snapshot: cards and versions belong together.
    if (db_exec(p->db, "beginning", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e) < 0 ||
        read_all(p, e) < 0)
        return -1;
    return db_exec(p->db, "reading the prices", "COMMIT", e);
}

int prices_begin(struct prices *p, struct err *e)
{
    if (db_exec(p->db, "beginning", "BEGIN", e) < 0 ||
        db_exec(p->db, "waiting for another change of prices",
                "LOCK TABLE llm_price_version IN SHARE ROW EXCLUSIVE MODE", e) < 0)
        return -1;
    return read_all(p, e);
}

const struct catalogue *prices_catalogue(const struct prices *p)
{
    return p->catalogue;
}

int64_t prices_now_us(const struct prices *p)
{
    return p->now_us;
}

static int by_version(const void *a, const void *b)
{
    const struct prices_version *x = a, *y = b;
    return (x->version > y->version) - (x->version < y->version);
}

const struct prices_version *prices_version(const struct prices *p, int64_t version)
{
    struct prices_version key = {.version = version};
    return bsearch(&key, p->versions, p->version_count, sizeof(key), by_version);
}

size_t prices_version_count(const struct prices *p)
{
    return p->version_count;
}

const struct prices_version *prices_version_at(const struct prices *p, size_t i)
{
    return &p->versions[i];
}

enum prices_origin prices_origin_of(const struct prices *p, const struct price_card *card)
{
    const struct prices_version *v = prices_version(p, card->version);
    while (v && v->origin == PRICES_RESTORE) {
        card = v->restores < v->version
                   ? catalogue_in_force(p->catalogue, v->restores, card->effective_from_us,
                                        str_of(card->tenant), str_of(card->model))
                   : NULL;
        if (!card)
            return PRICES_RESTORE;
        v = prices_version(p, card->version);
    }
    return v ? v->origin : PRICES_SET;
}

struct db *prices_db(const struct prices *p)
{
    return p->db;
}

// ---- adding ----

static void add_text(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json_str(out, str_of(value));
}

static void add_number(struct buf *out, const char *name, int64_t value)
{
    if (value == PRICE_NONE)
        buf_addf(out, ",\"%s\":null", name);
    else
        buf_addf(out, ",\"%s\":%" PRId64, name, value);
}

// A row of llm_price as an object whose members are its columns.
static void add_row(struct buf *out, int64_t version, const struct price_card *card,
                    const struct price_line *line)
{
    char from[TIME_RFC3339_MAX] = "-infinity";
    if (card->effective_from_us != INT64_MIN)
        time_format_rfc3339(card->effective_from_us, from);
    buf_addf(out, "%s\n{\"version\":%" PRId64 ",\"effective_from\":\"%s\"", out->n > 1 ? "," : "",
             version, from);
    add_text(out, "tenant_id", card->tenant);
    add_text(out, "model", card->model);
    add_text(out, "provider", card->provider);
    add_text(out, "source", card->source);
    add_text(out, "tier", line->tier);
    add_number(out, "above_tokens", line->above);
    buf_addf(out, ",\"withdrawn\":%s", card->withdrawn ? "true" : "false");
    add_number(out, "discount_ppm", card->discount_ppm);
    if (card->as_of[0])
        add_text(out, "as_of", card->as_of);
#define ADD_PRICE(name) add_number(out, #name "_pusd", line->pusd[PRICE_##name]);
    PRICE_CLASSES(ADD_PRICE)
#undef ADD_PRICE
    buf_adds(out, ",\"aliases\":[");
    for (size_t i = 0; i < card->alias_count; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, str_of(card->aliases[i]));
    }
    buf_adds(out, "]}");
}

static int insert(struct prices *p, const struct prices_version *head, int64_t version,
                  const struct buf *rows, struct err *e)
{
    char number[24], restores[24];
    snprintf(number, sizeof(number), "%" PRId64, version);
    snprintf(restores, sizeof(restores), "%" PRId64, head->restores);
    const char *const params[] = {number, origin_names[head->origin], head->note,
                                  head->origin == PRICES_RESTORE ? restores : NULL};
    if (db_run(p->db, "adding the version",
               "INSERT INTO llm_price_version (version, origin, note, restores)"
               " VALUES ($1, $2, $3, $4)",
               ARRAY_LEN(params), params, e) < 0 ||
        db_run(p->db, "adding the prices",
               "INSERT INTO llm_price"
               " SELECT * FROM json_populate_recordset(NULL::llm_price, $1::json)",
               1, (const char *const[]){rows->p}, e) < 0)
        return -1;
    return db_exec(p->db, "adding the prices", "COMMIT", e);
}

int prices_add(struct prices *p, const struct prices_version *head, const struct price_card *cards,
               size_t count, int64_t *version, struct err *e)
{
    if (catalogue_count(p->catalogue) + count > CATALOGUE_CARDS_MAX)
        return err_set(e,
                       "the catalogue has %zu cards, and with %zu more it would have more than %d",
                       catalogue_count(p->catalogue), count, CATALOGUE_CARDS_MAX);
    *version = catalogue_version(p->catalogue) + 1;
    struct buf rows = {0};
    buf_addc(&rows, '[');
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < cards[i].line_count; k++)
            add_row(&rows, *version, &cards[i], &cards[i].lines[k]);
    buf_add(&rows, "]", 2); // with the NUL
    int rc = insert(p, head, *version, &rows, e);
    buf_free(&rows);
    return rc;
}
