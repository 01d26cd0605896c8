// SPDX-License-Identifier: Apache-2.0
// The topic is read twice: to count, and to find where the newest ones stand; then to print them as
// they come. So what is kept is a hash and an offset of each, whatever the letters hold.
#include "deploy/admin/topics/dead_letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "deploy/admin/topics/letters_kafka.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MOST 1000000
#define KEYS_MOST 4000000 // 128 MiB

struct list {
    struct letter_filter filter;
    bool json;
    struct letter_tally *tally; // of those that match
    size_t in_topic;            // of any kind, with repeats
    int64_t *newest;            // a ring of offsets
    size_t limit, found;
    size_t next, listed; // while printing
    struct buf out;
};

// ---- options ----

static int read_limit(const struct args *a, size_t *out, struct err *e)
{
    const char *text = args_get(a, "limit");
    *out = LIMIT_DEFAULT;
    if (!text)
        return 0;
    size_t n = strspn(text, "0123456789");
    *out = n > 0 && n < 10 && text[n] == '\0' ? strtoul(text, NULL, 10) : LIMIT_MOST + 1;
    if (*out <= LIMIT_MOST)
        return 0;
    err_field(e, "--limit", -1, "is \"%.60s\"; want how many to list, 0 to %d", text, LIMIT_MOST);
    return ARGS_WRONG;
}

static int read_options(const struct args *a, struct list *list, struct err *e)
{
    list->filter.reason = args_str(a, "reason", NULL);
    list->filter.request_id = args_str(a, "request-id", NULL);
    list->json = args_get(a, "json") != NULL;
    return read_limit(a, &list->limit, e);
}

// ---- reading ----

static void count(void *arg, int64_t offset, const struct letter *l)
{
    struct list *list = arg;
    list->in_topic++;
    if (!letter_matches(&list->filter, l) || !letter_tally_add(list->tally, l))
        return;
    if (list->limit > 0)
        list->newest[list->found % list->limit] = offset;
    list->found++;
}

static size_t listable(const struct list *list)
{
    return list->found < list->limit ? list->found : list->limit;
}

static int64_t offset_at(const struct list *list, size_t i)
{
    return list->newest[(list->found - listable(list) + i) % list->limit];
}

static void print(struct list *list)
{
    fwrite(list->out.p, 1, list->out.n, stdout);
    buf_clear(&list->out);
}

static void print_one(void *arg, int64_t offset, const struct letter *l)
{
    struct list *list = arg;
    // Retention may have taken some since they were counted.
    while (list->next < listable(list) && offset_at(list, list->next) < offset)
        list->next++;
    if (list->next == listable(list) || offset_at(list, list->next) != offset)
        return;
    if (list->json) {
        buf_adds(&list->out, list->listed ? ",\n" : "\n");
        letter_add_json(l, &list->out);
    } else {
        letter_add_text(l, &list->out);
    }
    list->listed++;
    print(list);
}

static void print_counts(struct list *list)
{
    if (list->json) {
        buf_adds(&list->out, "\n],\n");
        letter_tally_add_json(list->tally, &list->out);
        buf_addf(&list->out, ",\"listed\":%zu,\"records\":%zu}\n", list->listed, list->in_topic);
    } else {
        if (list->listed)
            buf_addc(&list->out, '\n');
        letter_tally_add_text(list->tally, &list->out);
        if (list->listed < list->found)
            buf_addf(&list->out, "the newest %zu are listed; --limit=N lists more\n", list->listed);
        if (list->found == 0 && list->in_topic > 0)
            buf_addf(&list->out, "none of the topic's %zu records match\n", list->in_topic);
    }
    print(list);
}

static int run(struct letters *letters, struct list *list, struct err *e)
{
    if (letters_read(letters, 0, count, list, e) < 0)
        return -1;
    if (list->json)
        buf_adds(&list->out, "{\"letters\":[");
    if (listable(list) > 0 && letters_read(letters, offset_at(list, 0), print_one, list, e) < 0)
        return -1;
    print_counts(list);
    return 0;
}

int dead_letters_run(const struct config *c, const struct args *a, struct err *e)
{
    struct list list = {0};
    unsigned char random[32];
    int rc = read_options(a, &list, e);
    if (rc < 0)
        return rc;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(e, "the system gives no random bytes");
    struct hash_key hash;
    hash_key_init(&hash, random, sizeof(random));
    struct letters *letters = letters_open(c, e);
    list.tally = letter_tally_new(&hash, KEYS_MOST);
    list.newest = xcalloc(list.limit + 1, sizeof(*list.newest));
    rc = letters ? run(letters, &list, e) : -1;
    letters_close(letters);
    letter_tally_free(list.tally);
    free(list.newest);
    buf_free(&list.out);
    return rc;
}
