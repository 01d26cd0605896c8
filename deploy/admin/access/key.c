// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/access/key.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/core/event.h"
#include "common/core/timeunit.h"
#include "deploy/admin/access/keys_pg.h"
#include "deploy/admin/table.h"

#define RATE_MOST INT64_C(1000000000)
#define NAME_DEFAULT "default"
#define OVERLAP_DEFAULT "24h"

static const char *const state_names[] = {"active", "expired", "revoked"};
static const struct {
    unsigned scope;
    const char *name;
} scope_names[] = {{SCOPE_INGEST, "ingest"}, {SCOPE_READ, "read"}, {SCOPE_ADMIN, "admin"}};

// ---- options ----

// "90d", "12h", "30m", "45s", or 0.
static bool read_duration(struct str text, int64_t *out_us)
{
    static const struct {
        char letter;
        int64_t us;
    } units[] = {{'d', US_PER_DAY}, {'h', US_PER_HOUR}, {'m', US_PER_MIN}, {'s', US_PER_S}};
    int64_t n;
    if (str_eq(text, STR_LIT("0"))) {
        *out_us = 0;
        return true;
    }
    if (text.n < 2 || !args_number((struct str){text.p, text.n - 1}, &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text.p[text.n - 1] == units[i].letter)
            return !__builtin_mul_overflow(n, units[i].us, out_us);
    return false;
}

// INT64_MAX where it is not given.
static int read_expires(const struct args *a, int64_t now_us, int64_t not_given, int64_t *out,
                        struct err *e)
{
    struct str text = args_str(a, "expires", NULL);
    int64_t duration;
    *out = not_given;
    if (!text.p)
        return 0;
    if (read_duration(text, &duration)) {
        if (__builtin_add_overflow(now_us, duration, out))
            *out = INT64_MAX;
    } else if (time_parse_rfc3339(text, out) < 0) {
        err_field(e, "--expires", -1,
                  "is \"%.60s\"; want a time from now such as 90d, 12h or 30m, or an instant such "
                  "as 2027-01-31T00:00:00Z",
                  text.p);
        return ARGS_WRONG;
    }
    if (*out > now_us && time_in_range_us(*out))
        return 0;
    err_field(e, "--expires", -1,
              "is \"%.60s\"; want an instant that is to come, before year 10000", text.p);
    return ARGS_WRONG;
}

static int read_scopes(const struct args *a, unsigned *out, struct err *e)
{
    struct str rest = args_str(a, "scope", "");
    *out = 0;
    while (rest.n > 0) {
        const char *comma = memchr(rest.p, ',', rest.n);
        size_t n = comma ? (size_t)(comma - rest.p) : rest.n;
        unsigned scope = scope_of((struct str){rest.p, n});
        if (scope == 0) {
            err_field(e, "--scope", -1,
                      "has \"%.*s\"; want ingest, read, admin, or several of "
                      "them with commas between",
                      (int)min_i64((int64_t)n, 60), rest.p);
            return ARGS_WRONG;
        }
        *out |= scope;
        rest = (struct str){rest.p + n + (comma != NULL), rest.n - n - (comma != NULL)};
    }
    if (*out != 0)
        return 0;
    err_field(e, "--scope", -1,
              "is missing: ingest for clients that send events, read for those "
              "that read metrics, ingest,read for both");
    return ARGS_WRONG;
}

static int read_names(const struct args *a, struct key_row *row, struct err *e)
{
    struct str tenant = args_str(a, "tenant", NULL), name = args_str(a, "name", NAME_DEFAULT);
    if (!tenant.p && row->scopes != SCOPE_ADMIN) {
        err_field(e, "--tenant", -1, "is missing: only a key with the scope admin alone has none");
        return ARGS_WRONG;
    }
    if ((tenant.p && event_check_name("--tenant", tenant, e) < 0) ||
        event_check_name("--name", name, e) < 0)
        return ARGS_WRONG;
    row->tenant = xstrdup(tenant.p ? tenant.p : "");
    row->name = xstrdup(name.p);
    return 0;
}

static int read_rate(const struct args *a, int64_t *out, struct err *e)
{
    struct str text = args_str(a, "rate", NULL);
    *out = 0;
    if (!text.p || (args_number(text, out) && *out >= 1 && *out <= RATE_MOST))
        return 0;
    err_field(e, "--rate", -1, "is \"%.60s\"; want events a second, 1 to %" PRId64, text.p,
              RATE_MOST);
    return ARGS_WRONG;
}

// A key pasted whole must not show up in the message.
static int check_id(const char *id, struct err *e)
{
    bool good = strlen(id) == API_KEY_ID_LEN;
    for (const char *p = id; good && *p; p++)
        good = isascii(*p) && isalnum((unsigned char)*p);
    if (good)
        return 0;
    err_field(e, "ID", -1, "is not %d letters and digits; streamlens-admin key list shows them",
              API_KEY_ID_LEN);
    return ARGS_WRONG;
}

// ---- making keys ----

static int make(struct key_row *row, char text[API_KEY_LEN + 1], struct err *e)
{
    unsigned char random[API_KEY_RANDOM_BYTES];
    do {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return err_set(e, "the system gives no random bytes");
    } while (api_key_make(random, text) < 0);
    explicit_bzero(random, sizeof(random));
    memcpy(row->id, text + 4, API_KEY_ID_LEN);
    api_key_hash((struct str){text, API_KEY_LEN}, row->hash);
    return 0;
}

static const char *time_text(int64_t us, const char *none, char out[TIME_RFC3339_MAX])
{
    if (us == INT64_MAX || us == INT64_MIN)
        return none;
    time_format_rfc3339(time_floor_us(us, US_PER_S), out);
    return out;
}

static void scopes_text(unsigned scopes, struct buf *out)
{
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LEN(scope_names); i++) {
        if (scopes & scope_names[i].scope) {
            buf_addf(out, "%s%s", comma, scope_names[i].name);
            comma = ",";
        }
    }
}

static int show_once(const char *text, const struct key_row *row, struct err *e)
{
    struct buf scopes = {0};
    char expires[TIME_RFC3339_MAX];
    scopes_text(row->scopes, &scopes);
    fprintf(stderr,
            "key %s of tenant '%s', name '%s', scope %.*s, expires: %s; it is shown this once\n",
            row->id, row->tenant, row->name, (int)scopes.n, scopes.p,
            time_text(row->expires_us, "never", expires));
    buf_free(&scopes);
    if (puts(text) >= 0 && fflush(stdout) == 0)
        return 0;
    return err_set(e, "key %s was made, but standard output did not take it: revoke it", row->id);
}

int key_create(const struct config *c, const struct args *a, struct err *e)
{
    struct key_row row = {0};
    struct keys *k = NULL;
    char text[API_KEY_LEN + 1];
    int rc = read_scopes(a, &row.scopes, e);
    if (rc == 0)
        rc = read_names(a, &row, e);
    if (rc == 0)
        rc = read_rate(a, &row.events_per_second, e);
    if (rc == 0)
        rc = (k = keys_open(c, e)) ? 0 : -1;
    if (rc == 0)
        rc = read_expires(a, keys_now_us(k), INT64_MAX, &row.expires_us, e);
    if (rc == 0)
        rc = make(&row, text, e);
    if (rc == 0)
        rc = keys_create(k, &row, e);
    if (rc == 0)
        rc = show_once(text, &row, e);
    keys_close(k);
    key_row_clear(&row);
    return rc;
}

int key_rotate(const struct config *c, const struct args *a, struct err *e)
{
    struct key_row next = {0};
    struct keys *k = NULL;
    char text[API_KEY_LEN + 1], ends[TIME_RFC3339_MAX];
    int64_t overlap_us, old_expires_us;
    const char *id = a->words[0];
    int rc = check_id(id, e);
    if (rc == 0 && !read_duration(args_str(a, "overlap", OVERLAP_DEFAULT), &overlap_us)) {
        err_field(e, "--overlap", -1, "is \"%.60s\"; want a time such as 24h or 90m, or 0",
                  args_get(a, "overlap"));
        rc = ARGS_WRONG;
    }
    if (rc == 0)
        rc = (k = keys_open(c, e)) ? 0 : -1;
    if (rc == 0)
        rc = read_expires(a, keys_now_us(k), 0, &next.expires_us, e);
    if (rc == 0)
        rc = make(&next, text, e);
    if (rc == 0)
        rc = keys_rotate(k, id, overlap_us, &next, &old_expires_us, e);
    if (rc == 0) {
        fprintf(stderr, "key %s ends at %s\n", id, time_text(old_expires_us, "", ends));
        rc = show_once(text, &next, e);
    }
    keys_close(k);
    key_row_clear(&next);
    return rc;
}

int key_revoke(const struct config *c, const struct args *a, struct err *e)
{
    const char *id = a->words[0];
    int rc = check_id(id, e);
    if (rc < 0)
        return rc;
    struct keys *k = keys_open(c, e);
    bool again;
    rc = k ? keys_revoke(k, id, &again, e) : -1;
    if (rc == 0)
        printf(again ? "key %s was revoked before\n"
                     : "key %s revoked; services take it for AUTH_REFRESH_MS at most\n",
               id);
    keys_close(k);
    return rc;
}

// ---- list ----

static void list_table(const struct key_row *rows, size_t count, struct buf *out)
{
    static const char *const titles[] = {"ID",      "TENANT",  "NAME",      "SCOPE", "STATE",
                                         "CREATED", "EXPIRES", "LAST USED", "RATE"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < count; i++) {
        const struct key_row *row = &rows[i];
        struct buf scopes = {0};
        char at[TIME_RFC3339_MAX];
        scopes_text(row->scopes, &scopes);
        table_add(&t, row->id);
        table_add(&t, row->tenant[0] ? row->tenant : "-");
        table_add(&t, row->name);
        table_addf(&t, "%.*s", (int)scopes.n, scopes.p);
        table_add(&t, state_names[row->state]);
        table_add(&t, time_text(row->created_us, "-", at));
        table_add(&t, time_text(row->expires_us, "never", at));
        table_add(&t, time_text(row->last_used_us, "never", at));
        if (row->events_per_second)
            table_addf(&t, "%" PRId64 "/s", row->events_per_second);
        else
            table_add(&t, "-");
        buf_free(&scopes);
    }
    table_render(&t, out);
}

static void add_json_time(struct buf *out, const char *name, int64_t us)
{
    char at[TIME_RFC3339_MAX];
    if (us == INT64_MAX || us == INT64_MIN) {
        buf_addf(out, ",\"%s\":null", name);
        return;
    }
    time_format_rfc3339(us, at);
    buf_addf(out, ",\"%s\":\"%s\"", name, at);
}

static void list_json(const struct key_row *rows, size_t count, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct key_row *row = &rows[i];
        buf_addf(out, "%s\n{\"key_id\":\"%s\",\"tenant_id\":", i ? "," : "", row->id);
        buf_add_json_str(out, str_of(row->tenant));
        buf_adds(out, ",\"name\":");
        buf_add_json_str(out, str_of(row->name));
        const char *comma = ",\"scopes\":[";
        for (size_t s = 0; s < ARRAY_LEN(scope_names); s++) {
            if (row->scopes & scope_names[s].scope) {
                buf_addf(out, "%s\"%s\"", comma, scope_names[s].name);
                comma = ",";
            }
        }
        buf_addf(out, "],\"state\":\"%s\"", state_names[row->state]);
        add_json_time(out, "created_at", row->created_us);
        add_json_time(out, "expires_at", row->expires_us);
        add_json_time(out, "last_used_at", row->last_used_us);
        if (row->events_per_second)
            buf_addf(out, ",\"events_per_second\":%" PRId64 "}", row->events_per_second);
        else
            buf_adds(out, ",\"events_per_second\":null}");
    }
    buf_adds(out, "\n]\n");
}

int key_list(const struct config *c, const struct args *a, struct err *e)
{
    struct keys *k = keys_open(c, e);
    struct key_row *rows = NULL;
    size_t count = 0;
    int rc = k ? keys_list(k, args_get(a, "tenant"), &rows, &count, e) : -1;
    if (rc == 0) {
        struct buf out = {0};
        if (args_get(a, "json"))
            list_json(rows, count, &out);
        else
            list_table(rows, count, &out);
        fwrite(out.p, 1, out.n, stdout);
        buf_free(&out);
    }
    for (size_t i = 0; i < count; i++)
        key_row_clear(&rows[i]);
    free(rows);
    keys_close(k);
    return rc;
}
