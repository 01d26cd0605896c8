// SPDX-License-Identifier: Apache-2.0
// The server sums, and gives a line a group: a month of rows is a few thousand lines. Rows have no
// index by time, since one beside the key misleads the planner (sql/001_init.sql), so a range costs
// what reading it does: 720,000 hours of three lines 4.8 s, 168,000 of them 1.3 s.
#include "deploy/admin/prices/used_pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/buf.h"
#include "common/core/timeunit.h"

#define TOO_LARGE "22003" // numeric_value_out_of_range
#define ENDED "57014"     // query_canceled: the timeout

// ---- the question ----

// Binds $1 from, $2 to, $3 tenant, $4 cuts, $5 models in lower case, $6 most lines.
static void add_statement(struct buf *sql, const struct used_range *r)
{
    buf_adds(sql, "SELECT s.tenant_id, u.model COLLATE \"C\", u.asked COLLATE \"C\","
                  " u.tier COLLATE \"C\", u.context_above,"
                  " width_bucket(m.window_start, $4::timestamptz[]), m.price_version");
    buf_adds(sql, ", " DB_US("min(m.window_start)") ", " DB_US("max(m.window_start)"));
    buf_adds(sql, ", sum(least(m.unpriced_requests + m.guessed_requests, u.requests))::bigint"
                  ", sum(u.requests)::bigint");
#define ADD_SUM(name) buf_adds(sql, ", sum(u." #name ")::bigint");
    USAGE_CLASSES(ADD_SUM)
#undef ADD_SUM
    buf_addf(sql,
             " FROM %s m JOIN llm_series s USING (series_id), unnest(m.usage) u"
             " WHERE m.window_start >= $1 AND m.window_start < $2"
             " AND ($3::text IS NULL OR s.tenant_id = $3)"
             " AND ($5::text[] IS NULL OR EXISTS (SELECT FROM unnest(m.usage) f"
             "  WHERE lower(f.model COLLATE \"C\") = ANY ($5)"
             "  OR lower(f.asked COLLATE \"C\") = ANY ($5)))"
             " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY %s1, 2, 3, 4, 5, 6, 7 LIMIT $6",
             r->minutes ? "llm_minute" : "llm_hour", r->most_used ? "sum(u.requests) DESC, " : "");
}

static void add_instant(struct buf *out, int64_t us)
{
    char text[TIME_RFC3339_MAX];
    if (time_in_range_us(us))
        time_format_rfc3339(us, text);
    else
        snprintf(text, sizeof(text), "%s", us < 0 ? "-infinity" : "infinity");
    buf_adds(out, text);
}

static char *instant(int64_t us)
{
    struct buf b = {0};
    add_instant(&b, us);
    return buf_steal(&b);
}

static char *cuts(const struct used_range *r)
{
    struct buf b = {0};
    for (size_t i = 0; i < r->cut_count; i++) {
        buf_addc(&b, i ? ',' : '{');
        add_instant(&b, r->cuts_us[i]);
    }
    buf_adds(&b, r->cut_count ? "}" : "{}");
    return buf_steal(&b);
}

// In lower case, as names are compared (price_name.h): of ASCII's letters alone.
static char *models(const struct used_range *r)
{
    if (r->model_count == 0)
        return NULL;
    struct buf b = {0};
    for (size_t i = 0; i < r->model_count; i++) {
        buf_adds(&b, i ? ",\"" : "{\"");
        for (size_t k = 0; k < r->models[i].n; k++) {
            char c = r->models[i].p[k];
            if (c == '"' || c == '\\')
                buf_addc(&b, '\\');
            buf_addc(&b, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
        }
        buf_addc(&b, '"');
    }
    buf_addc(&b, '}');
    return buf_steal(&b);
}

// ---- the answer ----

struct reading {
    const struct used_range *range;
    struct used *out;
};

// A text that is kept. Lines come in order, so that most have the texts of the one before.
static struct str keep(struct used *u, const PGresult *r, int column, struct str before)
{
    struct str s = {PQgetvalue(r, 0, column), (size_t)PQgetlength(r, 0, column)};
    if (before.p && str_eq(s, before))
        return before;
    if (u->text_count == u->text_room) {
        u->text_room = u->text_room ? 2 * u->text_room : 64;
        u->texts = xrealloc(u->texts, u->text_room * sizeof(*u->texts));
    }
    char *text = xmemdup(s.p, s.n + 1); // libpq ends it with a zero
    u->texts[u->text_count++] = text;
    return (struct str){text, s.n};
}

static int take_line(void *arg, const PGresult *r, struct err *e)
{
    struct reading *reading = arg;
    struct used *u = reading->out;
    if (u->n == USED_LINES_MAX && reading->range->most_used) {
        u->left_out = true;
        return 0;
    }
    if (u->n == USED_LINES_MAX)
        return err_set(e,
                       "the range has more than %d sums of usage; want a shorter one, or one "
                       "tenant",
                       USED_LINES_MAX);
    if (u->n == u->room) {
        u->room = u->room ? 2 * u->room : 64;
        u->v = xrealloc(u->v, u->room * sizeof(*u->v));
    }
    static const struct used_line none = {.tenant = NULL};
    const struct used_line *before = u->n > 0 ? &u->v[u->n - 1] : &none;
    int64_t piece = db_int(r, 0, 5);
    struct used_line line = {
        .tenant = keep(u, r, 0, str_of(before->tenant)).p,
        .key = {.model = keep(u, r, 1, before->key.model),
                .asked = keep(u, r, 2, before->key.asked),
                .tier = keep(u, r, 3, before->key.tier),
                .context_above = db_int(r, 0, 4)},
        .at_us = piece > 0 ? reading->range->cuts_us[piece - 1] : reading->range->from_us,
        .price_version = db_int(r, 0, 6),
        .first_us = db_int(r, 0, 7),
        .last_us = db_int(r, 0, 8),
    };
    int column = 9;
    line.doubtful = db_int(r, 0, column++);
    line.sum.requests = db_int(r, 0, column++);
#define TAKE(name) line.sum.name = db_int(r, 0, column++);
    USAGE_CLASSES(TAKE)
#undef TAKE
    u->v[u->n++] = line;
    return 0;
}

void used_free(struct used *u)
{
    for (size_t i = 0; i < u->text_count; i++)
        free(u->texts[i]);
    free(u->texts);
    free(u->v);
    *u = (struct used){0};
}

// A session for few, large statements that others do not feel: it takes one processor and does not
// compile what runs once (that alone takes 1.5 s). With its own 4 MB the server sorts all lines on
// disk instead of summing them in memory. Who ends us ends the statement.
static const char prepare[] = "SET jit = off; SET work_mem = '64MB';"
                              " SET max_parallel_workers_per_gather = 0;"
                              " SET client_connection_check_interval = '500ms'";

// Where rows begin that are kept, as text. Asked apart: without the instant itself the planner
// takes a range for a hundredth of what it is.
static char *read_begin(struct db *db, const struct used_range *r, struct err *e)
{
    char *from = instant(r->from_us);
    PGresult *row = db_query(db, "reading how far back rows reach",
                             r->minutes ? "SELECT greatest($1::timestamptz, minutes_from)"
                                          " FROM streamlens_retention"
                                        : "SELECT greatest($1::timestamptz, hours_from)"
                                          " FROM streamlens_retention",
                             1, (const char *const[]){from}, e);
    char *begin = row ? xstrdup(PQgetvalue(row, 0, 0)) : NULL;
    PQclear(row);
    free(from);
    return begin;
}

static int read_lines(struct db *db, const struct used_range *r, const char *begin,
                      struct used *out, struct err *e)
{
    static const char doing[] = "summing the usage";
    struct buf sql = {0};
    add_statement(&sql, r);
    buf_addc(&sql, '\0');
    char most[24];
    snprintf(most, sizeof(most), "%d", USED_LINES_MAX + 1);
    char *texts[] = {instant(r->to_us), cuts(r), models(r)};
    const char *const params[] = {begin, texts[0], r->tenant, texts[1], texts[2], most};
    struct reading reading = {r, out};
    int rc = db_each(db, doing, sql.p, ARRAY_LEN(params), params, take_line, &reading, e);
    if (rc < 0 && db_failed_with(db, TOO_LARGE))
        err_set(e, "%s: a sum is above %" PRId64 "; want a shorter range", doing, INT64_MAX);
    else if (rc < 0 && db_failed_with(db, ENDED))
        err_set(e, "%s: the server ended it, as it took too long; want a shorter range%s", doing,
                r->tenant ? "" : ", or one tenant");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    buf_free(&sql);
    return rc;
}

int used_read(struct db *db, const struct used_range *r, struct used *out, struct err *e)
{
    *out = (struct used){0};
    if (db_exec(db, "preparing", prepare, e) < 0)
        return -1;
    char *begin = read_begin(db, r, e);
    int rc = begin ? read_lines(db, r, begin, out, e) : -1;
    if (rc < 0)
        used_free(out);
    free(begin);
    return rc;
}
