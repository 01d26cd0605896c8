// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/access/limit.h"

#include <inttypes.h>

#include "common/core/event.h"
#include "common/core/tenant_limit.h"
#include "common/core/timeunit.h"
#include "deploy/admin/access/limits_pg.h"
#include "deploy/admin/table.h"

#define TAKEN_UP "services with RATE_LIMITS=1 take it up within RATE_LIMITS_REFRESH_MS\n"

// What the words give: absent, or a number, 0 where it is to be cleared.
struct given {
    bool is[LIMIT_COLUMNS];
    int64_t number[LIMIT_COLUMNS];
};

// ---- set ----

static int read_word(const char *word, struct given *out, struct err *e)
{
    const char *equals = strchr(word, '=');
    struct str name = {word, equals ? (size_t)(equals - word) : strlen(word)};
    int c = 0;
    while (c < LIMIT_COLUMNS && !str_eq(name, str_of(limit_column_name((enum limit_column)c))))
        c++;
    if (!equals || c == LIMIT_COLUMNS) {
        err_set(e,
                "\"%.60s\" is none of events_per_second=N, events_burst=N, bytes_per_second=N, "
                "bytes_burst=N",
                word);
        return ARGS_WRONG;
    }
    if (out->is[c]) {
        err_field(e, limit_column_name((enum limit_column)c), -1, "is given twice");
        return ARGS_WRONG;
    }
    out->is[c] = true;
    struct str value = str_of(equals + 1);
    if (value.n == 0 || (args_number(value, &out->number[c]) && out->number[c] >= 1 &&
                         out->number[c] <= TENANT_LIMIT_MOST))
        return 0;
    err_field(e, limit_column_name((enum limit_column)c), -1,
              "is \"%.60s\"; want a whole number of 1 to %" PRId64 ", or nothing behind the = for "
              "no limit",
              value.p, TENANT_LIMIT_MOST);
    return ARGS_WRONG;
}

static int read_words(const struct args *a, struct given *out, struct err *e)
{
    if (event_check_name("TENANT", str_of(a->words[0]), e) < 0)
        return ARGS_WRONG;
    for (size_t i = 1; i < a->word_count; i++)
        if (read_word(a->words[i], out, e) < 0)
            return ARGS_WRONG;
    return 0;
}

// Who takes a rate back wants no burst of it either.
static int merge(struct limit_row *row, const struct given *given, struct err *e)
{
    for (int c = 0; c < LIMIT_COLUMNS; c++)
        if (given->is[c])
            row->number[c] = given->number[c];
    for (int rate = LIMIT_EVENTS_PER_SECOND; rate < LIMIT_COLUMNS; rate += 2) {
        int burst = rate + 1;
        if (row->number[rate] > 0)
            continue;
        if (given->is[burst] && given->number[burst] > 0) {
            err_field(e, limit_column_name((enum limit_column)burst), -1, "is given without %s",
                      limit_column_name((enum limit_column)rate));
            return ARGS_WRONG;
        }
        row->number[burst] = 0;
    }
    return 0;
}

static void number_text(const struct limit_row *row, int column, char out[24])
{
    if (row->number[column] == 0)
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, "%" PRId64, row->number[column]);
}

// With the burst that holds where none is given.
static void show(const struct limit_row *row)
{
    printf("tenant '%s':", row->tenant);
    for (int c = 0; c < LIMIT_COLUMNS; c += 2) {
        const char *name = limit_column_name((enum limit_column)c);
        struct token_limit limit = tenant_limit_of(row->number[c], row->number[c + 1]);
        if (limit.per_second == 0)
            printf(" no limit of %s", name);
        else
            printf(" %s=%" PRId64 " %s=%" PRId64, name, limit.per_second,
                   limit_column_name((enum limit_column)(c + 1)), limit.burst);
        printf("%s", c == 0 ? "," : "\n");
    }
}

int limit_set(const struct config *c, const struct args *a, struct err *e)
{
    struct given given = {0};
    struct limit_row row = {0};
    struct limits_db *l = NULL;
    int rc = read_words(a, &given, e);
    if (rc == 0)
        rc = (l = limits_db_open(c, e)) ? 0 : -1;
    if (rc == 0)
        rc = limits_db_begin(l, a->words[0], &row, e);
    if (rc == 0)
        rc = merge(&row, &given, e);
    if (rc == 0)
        rc = limits_db_keep(l, &row, e);
    if (rc == 0) {
        show(&row);
        fputs(TAKEN_UP, stdout);
    }
    limits_db_close(l);
    limit_row_clear(&row);
    return rc;
}

int limit_remove(const struct config *c, const struct args *a, struct err *e)
{
    struct limits_db *l = limits_db_open(c, e);
    int rc = l ? limits_db_remove(l, a->words[0], e) : -1;
    if (rc == 0)
        printf("tenant '%s' has no limit of its own any more; " TAKEN_UP, a->words[0]);
    limits_db_close(l);
    return rc;
}

// ---- list ----

static void list_table(const struct limit_row *rows, size_t count, struct buf *out)
{
    static const char *const titles[] = {"TENANT",  "EVENTS/S",    "EVENTS BURST",
                                         "BYTES/S", "BYTES BURST", "CHANGED"};
    struct table t = {.columns = ARRAY_LEN(titles)};
    for (size_t i = 0; i < ARRAY_LEN(titles); i++)
        table_add(&t, titles[i]);
    for (size_t i = 0; i < count; i++) {
        char text[24], at[TIME_RFC3339_MAX];
        table_add(&t, rows[i].tenant);
        for (int c = 0; c < LIMIT_COLUMNS; c++) {
            number_text(&rows[i], c, text);
            table_add(&t, text);
        }
        time_format_rfc3339(time_floor_us(rows[i].changed_us, US_PER_S), at);
        table_add(&t, at);
    }
    table_render(&t, out);
}

static void list_json(const struct limit_row *rows, size_t count, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        char at[TIME_RFC3339_MAX];
        buf_addf(out, "%s\n{\"tenant_id\":", i ? "," : "");
        buf_add_json_str(out, str_of(rows[i].tenant));
        for (int c = 0; c < LIMIT_COLUMNS; c++) {
            buf_addf(out, ",\"%s\":", limit_column_name((enum limit_column)c));
            if (rows[i].number[c] > 0)
                buf_addf(out, "%" PRId64, rows[i].number[c]);
            else
                buf_adds(out, "null");
        }
        time_format_rfc3339(rows[i].changed_us, at);
        buf_addf(out, ",\"changed_at\":\"%s\"}", at);
    }
    buf_adds(out, "\n]\n");
}

int limit_list(const struct config *c, const struct args *a, struct err *e)
{
    struct limits_db *l = limits_db_open(c, e);
    struct limit_row *rows = NULL;
    size_t count = 0;
    int rc = l ? limits_db_list(l, args_get(a, "tenant"), &rows, &count, e) : -1;
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
        limit_row_clear(&rows[i]);
    free(rows);
    limits_db_close(l);
    return rc;
}

void limit_help_columns(FILE *to)
{
    fprintf(
        to,
        "\nNumbers are 1 to %" PRId64 ". What is not given stays; an empty value clears it: no\n"
        "limit, or of a burst what comes in in %d seconds. '%s' is each tenant without a limit\n"
        "of its own; one that has one and no rates in it may send what it wants.\n"
        "    streamlens-admin limit set '%s' events_per_second=1000\n"
        "    streamlens-admin limit set acme events_per_second=20000 bytes_per_second=10000000\n"
        "    streamlens-admin limit set acme events_burst=500000\n"
        "    streamlens-admin limit set acme events_per_second= bytes_per_second=\n",
        TENANT_LIMIT_MOST, TENANT_LIMIT_BURST_S, TENANT_LIMIT_OTHERS, TENANT_LIMIT_OTHERS);
}
