// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/setup/settings.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "deploy/admin/setup/epochs_pg.h"
#include "deploy/admin/table.h"

// What an epoch can change.
static const struct {
    const char *name, *flag;
    size_t pinned, given; // in struct config_pinned and struct config
} numbers[] = {
    {"JOIN_TTL_MS", "--join-ttl-ms", offsetof(struct config_pinned, join_ttl_ms),
     offsetof(struct config, join_ttl_ms)},
    {"JOIN_SKEW_MS", "--join-skew-ms", offsetof(struct config_pinned, join_skew_ms),
     offsetof(struct config, join_skew_ms)},
    {"MAX_SERIES_PER_TENANT", "--max-series-per-tenant",
     offsetof(struct config_pinned, max_series_per_tenant),
     offsetof(struct config, max_series_per_tenant)},
};
#define NUMBERS ARRAY_LEN(numbers)

static int64_t *number_of(struct config_pinned *p, size_t i)
{
    return (int64_t *)(void *)((char *)p + numbers[i].pinned);
}

static int64_t given_of(const struct config *c, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)c + numbers[i].given);
}

static const char *time_text(int64_t us, char out[TIME_RFC3339_MAX])
{
    if (us == INT64_MIN)
        return "the beginning";
    time_format_rfc3339(us, out);
    return out;
}

static void print(struct buf *out)
{
    fwrite(out->p, 1, out->n, stdout);
    buf_free(out);
}

// ---- list ----

static void list_table(const struct epoch *epochs, size_t count, const struct epoch_border *borders,
                       size_t border_count, struct buf *out)
{
    struct table t = {.columns = NUMBERS + 4};
    table_add(&t, "EPOCH");
    for (size_t k = 0; k < NUMBERS; k++)
        table_add(&t, numbers[k].name);
    table_add(&t, "OPENED");
    table_add(&t, "HOLDS FROM");
    table_add(&t, "IN ALL FROM");
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct epoch e = epochs[i];
        char time[TIME_RFC3339_MAX];
        int64_t first_us = INT64_MAX, last_us = INT64_MIN;
        for (; at < border_count && borders[at].epoch == e.epoch; at++) {
            first_us = min_i64(first_us, borders[at].from_us);
            last_us = max_i64(last_us, borders[at].from_us);
        }
        table_addf(&t, "%" PRId64, e.epoch);
        for (size_t k = 0; k < NUMBERS; k++)
            table_addf(&t, "%" PRId64, *number_of(&e.numbers, k));
        table_add(&t, time_text(time_floor_us(e.created_us, US_PER_S), time));
        table_add(&t, time_text(first_us, time));
        table_add(&t, time_text(last_us, time));
    }
    table_render(&t, out);
}

static void add_json_border(const struct epoch_border *b, struct buf *out)
{
    char time[TIME_RFC3339_MAX];
    buf_addf(out, "{\"partition\":%" PRId64 ",\"from\":", b->partition);
    if (b->from_us == INT64_MIN)
        buf_adds(out, "null");
    else
        buf_addf(out, "\"%s\"", time_text(b->from_us, time));
    buf_addf(out, ",\"request_offset\":%" PRId64 ",\"response_offset\":%" PRId64 "}",
             b->request_offset, b->response_offset);
}

static void list_json(const struct epoch *epochs, size_t count, const struct epoch_border *borders,
                      size_t border_count, struct buf *out)
{
    char time[TIME_RFC3339_MAX];
    size_t at = 0;
    buf_addf(out, "{\"partitions\":%" PRId64 ",\"epochs\":[", epochs[0].numbers.partitions);
    for (size_t i = 0; i < count; i++) {
        const struct epoch *e = &epochs[i];
        buf_addf(out,
                 "%s\n{\"epoch\":%" PRId64 ",\"join_ttl_ms\":%" PRId64 ",\"join_skew_ms\":%" PRId64
                 ",\"max_series_per_tenant\":%" PRId64 ",\"series_epoch\":%" PRId64
                 ",\"opened_at\":\"%s\",\"holds\":[",
                 i ? "," : "", e->epoch, e->numbers.join_ttl_ms, e->numbers.join_skew_ms,
                 e->numbers.max_series_per_tenant, e->series_epoch, time_text(e->created_us, time));
        for (const char *comma = ""; at < border_count && borders[at].epoch == e->epoch; at++) {
            buf_adds(out, comma);
            add_json_border(&borders[at], out);
            comma = ",";
        }
        buf_adds(out, "]}");
    }
    buf_adds(out, "\n]}\n");
}

int settings_list(const struct config *c, const struct args *a, struct err *e)
{
    struct epoch *epochs = NULL;
    struct epoch_border *borders = NULL;
    size_t count = 0, border_count = 0;
    struct epochs *s = epochs_open(c, e);
    int rc = s ? epochs_read(s, &epochs, &count, e) : -1;
    if (rc == 0)
        rc = epochs_read_borders(s, 0, &borders, &border_count, e);
    if (rc == 0) {
        struct buf out = {0};
        if (args_get(a, "json")) {
            list_json(epochs, count, borders, border_count, &out);
        } else {
            buf_addf(&out, "PARTITIONS %" PRId64 " (cannot be changed)\n",
                     epochs[0].numbers.partitions);
            list_table(epochs, count, borders, border_count, &out);
        }
        print(&out);
    }
    free(borders);
    free(epochs);
    epochs_close(s);
    return rc;
}

// ---- set ----

static int find_number(const char *word, size_t n, size_t *out, struct err *e)
{
    for (*out = 0; *out < NUMBERS; (*out)++)
        if (strlen(numbers[*out].name) == n && memcmp(numbers[*out].name, word, n) == 0)
            return 0;
    if (n == strlen("PARTITIONS") && memcmp(word, "PARTITIONS", n) == 0)
        err_field(
            e, "PARTITIONS", -1,
            "cannot be changed: requests and answers would no longer meet; a new installation "
            "(TOPIC_PREFIX, database) can have another number");
    else
        err_set(e,
                "\"%.60s\" is no setting that can be changed here; want JOIN_TTL_MS=…, "
                "JOIN_SKEW_MS=… or MAX_SERIES_PER_TENANT=…",
                word);
    return ARGS_WRONG;
}

// The number as a flag would be read, with its range.
static int read_number(size_t i, const char *text, int64_t *out, struct err *e)
{
    struct config c = {0};
    enum config_action action;
    struct buf flag = {0};
    buf_addf(&flag, "%s=%s", numbers[i].flag, text);
    buf_addc(&flag, '\0');
    char *argv[] = {NULL, flag.p}, *environment[] = {NULL};
    int rc = config_load(&c, PROGRAM_ADMIN, environment, 2, argv, NULL, &action, e);
    *out = given_of(&c, i);
    config_free(&c);
    buf_free(&flag);
    return rc < 0 ? ARGS_WRONG : 0;
}

// CONFIG_UNSET for what is not named.
static int read_words(const struct args *a, int64_t wanted[NUMBERS], struct err *e)
{
    for (size_t i = 0; i < NUMBERS; i++)
        wanted[i] = CONFIG_UNSET;
    for (size_t w = 0; w < a->word_count; w++) {
        const char *word = a->words[w];
        size_t i, n = strcspn(word, "=");
        int rc = find_number(word, n, &i, e);
        if (rc == 0 && wanted[i] != CONFIG_UNSET) {
            err_field(e, numbers[i].name, -1, "is given twice");
            rc = ARGS_WRONG;
        }
        if (rc == 0)
            rc = read_number(i, word[n] ? word + n + 1 : "", &wanted[i], e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static struct epoch next_epoch(const struct epoch *now, const int64_t wanted[NUMBERS])
{
    struct epoch next = *now;
    next.epoch++;
    for (size_t i = 0; i < NUMBERS; i++)
        if (wanted[i] != CONFIG_UNSET)
            *number_of(&next.numbers, i) = wanted[i];
    if (next.numbers.max_series_per_tenant != now->numbers.max_series_per_tenant)
        next.series_epoch = next.epoch;
    return next;
}

static bool is_same(struct epoch x, struct epoch y)
{
    bool same = true;
    for (size_t i = 0; i < NUMBERS; i++)
        same = same && *number_of(&x.numbers, i) == *number_of(&y.numbers, i);
    return same;
}

static void report_numbers(const struct config *c, struct epoch now, struct epoch next)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t old = *number_of(&now.numbers, i), new = *number_of(&next.numbers, i);
        if (old == new)
            printf("%s=%" PRId64 "\n", numbers[i].name, old);
        else
            printf("%s=%" PRId64 ", was %" PRId64 "\n", numbers[i].name, new, old);
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t given = given_of(c, i), new = *number_of(&next.numbers, i);
        if (given != CONFIG_UNSET && given != new)
            printf("note: %s is %" PRId64 " in this environment: a service that is started with it "
                   "will refuse to run; unset it, or give %" PRId64 "\n",
                   numbers[i].name, given, new);
    }
}

static int report_borders(struct epochs *s, int64_t epoch, struct err *e)
{
    struct epoch_border *borders;
    size_t count;
    if (epochs_read_borders(s, epoch, &borders, &count, e) < 0)
        return -1;
    struct table t = {.columns = 4};
    table_add(&t, "PARTITION");
    table_add(&t, "HOLDS FROM");
    table_add(&t, TOPIC_REQUESTS " COUNTED TO");
    table_add(&t, TOPIC_RESPONSES " COUNTED TO");
    for (size_t i = 0; i < count; i++) {
        char time[TIME_RFC3339_MAX];
        table_addf(&t, "%" PRId64, borders[i].partition);
        table_add(&t, time_text(borders[i].from_us, time));
        table_addf(&t, "%" PRId64, borders[i].request_offset);
        table_addf(&t, "%" PRId64, borders[i].response_offset);
    }
    struct buf out = {0};
    table_render(&t, &out);
    print(&out);
    free(borders);
    return 0;
}

static int change(const struct config *c, struct epochs *s, const int64_t wanted[NUMBERS],
                  struct err *e)
{
    struct epoch *epochs;
    size_t count;
    if (epochs_lock(s, e) < 0 || epochs_read(s, &epochs, &count, e) < 0)
        return -1;
    struct epoch now = epochs[0], next = next_epoch(&now, wanted);
    free(epochs);
    if (is_same(now, next)) {
        printf("nothing to change: epoch %" PRId64 " has these numbers\n", now.epoch);
        report_numbers(c, now, now);
        return 0;
    }
    if (epochs_add(s, &next, e) < 0)
        return -1;
    printf("settings epoch %" PRId64 " is open\n", next.epoch);
    report_numbers(c, now, next);
    if (report_borders(s, next.epoch, e) < 0)
        return -1;
    puts("Running processors take it up at their next flush: they join their group again and read "
         "the end of their logs once more. Where a service's environment names an old number it "
         "refuses its next start.");
    return 0;
}

int settings_set(const struct config *c, const struct args *a, struct err *e)
{
    int64_t wanted[NUMBERS];
    int rc = read_words(a, wanted, e);
    if (rc != 0)
        return rc;
    struct epochs *s = epochs_open(c, e);
    rc = s ? change(c, s, wanted, e) : -1;
    epochs_close(s);
    return rc;
}
