// SPDX-License-Identifier: Apache-2.0
// The order matters. Readers are told first, so that none sees a day half gone; rows go before
// their windows, since the publisher finds rows by windows.
#include "deploy/admin/removal/retention.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "deploy/admin/removal/retention_pg.h"
#include "deploy/admin/setup/topics_kafka.h"

#define MS_PER_DAY (INT64_C(86400) * 1000)
#define TIMESTAMP_REACH_MS (7 * MS_PER_DAY) // DESIGN 2.1
#define WAIT_S_DEFAULT 60
#define WAIT_S_MAX 86400

// ---- what is kept long enough ----

int retention_check(const struct config *c, int64_t uncounted_ms, const char *why, int64_t join_ms,
                    struct err *e)
{
    int64_t reach_ms = uncounted_ms + TIMESTAMP_REACH_MS + max_i64(join_ms, MS_PER_DAY);
    int64_t least = (reach_ms + MS_PER_DAY - 1) / MS_PER_DAY;
    if (c->minute_retention_days >= least)
        return 0;
    err_field(e, "MINUTE_RETENTION_DAYS", -1,
              "is %" PRId64 "; want %" PRId64 " or more: events that are %.1f days old may still "
              "be counted (%s), in minutes up to %.1f days before that",
              c->minute_retention_days, least, (double)uncounted_ms / MS_PER_DAY, why,
              (double)(reach_ms - uncounted_ms) / MS_PER_DAY);
    return ARGS_WRONG;
}

int retention_check_hours(const struct config *c, struct err *e)
{
    if (c->hour_retention_days >= c->minute_retention_days)
        return 0;
    err_field(e, "HOUR_RETENTION_DAYS", -1,
              "is %" PRId64 ", less than MINUTE_RETENTION_DAYS, which is %" PRId64
              "; want at least as much",
              c->hour_retention_days, c->minute_retention_days);
    return ARGS_WRONG;
}

// Without a retention of the topics, the positions say what is not counted yet.
static int check_all(const struct config *c, struct db *db, int64_t topics_ms, struct err *e)
{
    int64_t uncounted_ms, join_ms;
    if (retention_read_reach(db, &uncounted_ms, &join_ms, e) < 0)
        return -1;
    if (topics_ms >= 0)
        return retention_check(c, topics_ms, RETENTION_OF_TOPICS, join_ms, e);
    if (uncounted_ms < 0)
        return err_set(e, "the input topics keep events for ever, and a partition was not counted "
                          "yet: no minute is known to be over; start a processor first");
    return retention_check(c, uncounted_ms,
                           "by streamlens_position; the input topics keep events for ever", join_ms,
                           e);
}

// ---- what is said ----

static void say_part(const struct retention_part *p, const char *verb)
{
    if (p->rows < 0)
        printf("%s: %s, rows never counted, %" PRId64 " bytes\n", p->name, verb, p->bytes);
    else
        printf("%s: %s, about %" PRId64 " rows, %" PRId64 " bytes\n", p->name, verb, p->rows,
               p->bytes);
}

static void say_parts(const struct retention_part *parts, size_t n, const char *verb)
{
    for (size_t i = 0; i < n; i++)
        say_part(&parts[i], verb);
}

// ---- doing it ----

static size_t same_start(const struct retention_part *parts, size_t n)
{
    size_t k = 1;
    while (k < n && strcmp(parts[k].start, parts[0].start) == 0)
        k++;
    return k;
}

static int drop_all(struct db *db, const struct retention_part *parts, size_t n, int64_t wait_s,
                    struct err *e)
{
    for (size_t i = 0, k = 0; i < n; i += k) {
        k = same_start(parts + i, n - i);
        if (retention_drop(db, parts + i, k, clock_mono_us() + wait_s * US_PER_S, e) < 0)
            return -1;
        say_parts(parts + i, k, "dropped");
    }
    return 0;
}

static int delete_windows(struct db *db, const struct retention_bounds *b, struct err *e)
{
    int64_t deleted, all = 0;
    do {
        if (retention_delete_windows(db, b, &deleted, e) < 0)
            return -1;
        all += deleted;
    } while (deleted > 0);
    printf("llm_window: %" PRId64 " rows deleted\n", all);
    return 0;
}

static int show(struct db *db, const struct retention_bounds *b, const struct retention_part *parts,
                size_t n, struct err *e)
{
    int64_t windows;
    if (retention_count_windows(db, b, &windows, e) < 0)
        return -1;
    say_parts(parts, n, "would be dropped");
    printf("llm_window: %" PRId64 " rows would be deleted\n", windows);
    return 0;
}

static int apply(struct db *db, const struct retention_bounds *b,
                 const struct retention_part *parts, size_t n, int64_t wait_s, struct err *e)
{
    if (retention_raise_bounds(db, b, e) < 0 || drop_all(db, parts, n, wait_s, e) < 0)
        return -1;
    return delete_windows(db, b, e);
}

struct wishes {
    bool dry_run;
    int64_t wait_s;
};

static int run(const struct config *c, struct db *db, int64_t topics_ms, const struct wishes *w,
               struct err *e)
{
    struct retention_bounds bounds;
    struct retention_part *parts = NULL;
    size_t n = 0;
    int rc = db_lock_maintenance(db, e);
    if (rc == 0)
        rc = check_all(c, db, topics_ms, e);
    if (rc == 0)
        rc =
            retention_read_bounds(db, c->minute_retention_days, c->hour_retention_days, &bounds, e);
    if (rc == 0)
        rc = retention_list(db, &bounds, &parts, &n, e);
    if (rc == 0) {
        printf("minutes are kept from %s on, hours from %s on\n", bounds.minutes_from,
               bounds.hours_from);
        rc = w->dry_run ? show(db, &bounds, parts, n, e)
                        : apply(db, &bounds, parts, n, w->wait_s, e);
    }
    free(parts);
    return rc;
}

static int read_wishes(const struct args *a, struct wishes *out, struct err *e)
{
    struct str wait = args_str(a, "wait", NULL);
    *out = (struct wishes){args_get(a, "dry-run") != NULL, WAIT_S_DEFAULT};
    if (!wait.p || (args_number(wait, &out->wait_s) && out->wait_s <= WAIT_S_MAX))
        return 0;
    err_field(e, "--wait", -1, "is \"%.60s\"; want a whole number of seconds, 0 to %d", wait.p,
              WAIT_S_MAX);
    return ARGS_WRONG;
}

int retention_run(const struct config *c, const struct args *a, struct err *e)
{
    struct wishes wishes;
    if (read_wishes(a, &wishes, e) < 0 || retention_check_hours(c, e) < 0)
        return ARGS_WRONG;
    int64_t topics_ms;
    struct topics *t = topics_open(c, e);
    int rc = t ? topics_input_retention(t, &topics_ms, e) : -1;
    topics_close(t);
    if (rc < 0)
        return rc;
    struct db *db = db_open_set_up(c, e);
    rc = db ? run(c, db, topics_ms, &wishes, e) : -1;
    db_close(db);
    return rc;
}
