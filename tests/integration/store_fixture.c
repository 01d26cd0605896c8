// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/store_fixture.h"

#include <check.h>
#include <stdio.h>
#include <time.h>

#define PATIENCE 500 // times 20 ms

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

// ---- one writer ----

static void on_idle(void *arg)
{
    ((struct writer *)arg)->idle_calls++;
}

void writer_open(struct writer *w, const char *to, int64_t timeout_ms)
{
    writer_open_as(w, to, timeout_ms, "");
}

void writer_open_as(struct writer *w, const char *to, int64_t timeout_ms, const char *instance_id)
{
    *w = (struct writer){0};
    w->series_epoch = 1;
    w->config.postgres_dsn = xstrdup(to);
    w->config.group_instance_id = xstrdup(instance_id);
    w->store = store_pg_new(&w->config, timeout_ms, on_idle, w);
    hash_key_init(&w->key, "seed", 4);
    w->series = series_table_new(&w->key);
    w->flush.partitions = w->partitions;
    w->flush.cells = w->cells;
}

void writer_close(struct writer *w)
{
    writer_clear(w);
    store_free(w->store);
    series_table_free(w->series);
    free(w->config.postgres_dsn);
    free(w->config.group_instance_id);
}

void writer_claim(struct writer *w, int partition)
{
    struct claim claim;
    enum store_result rc = store_claim(w->store, partition, 0, &claim, &w->err);
    ck_assert_msg(rc == STORE_OK, "claim: %d %s", rc, w->err.detail);
    struct store_partition *p = &w->partitions[w->partition_count++];
    *p = (struct store_partition){.partition = partition,
                                  .epoch = claim.epoch,
                                  .flush_seq = claim.flush_seq,
                                  .position = claim.position};
    for (int k = 0; !claim.stored && k < 2; k++)
        p->position.log[k] = (struct log_position){0, TIME_NONE, 0, -1, TIME_NONE, 0};
    w->flush.partition_count = w->partition_count;
}

struct facts *writer_add(struct writer *w, const char *tenant, const char *route, const char *model,
                         int64_t window_start_us)
{
    ck_assert_uint_lt(w->cell_count, ARRAY_LEN(w->cells));
    struct facts *f = &w->facts[w->cell_count];
    w->cells[w->cell_count++] = (struct store_cell){
        series_take(w->series, str_of(tenant), str_of(route), str_of(model), w->series_epoch),
        window_start_us, f};
    w->flush.cell_count = w->cell_count;
    return f;
}

void facts_use(struct facts *f, const char *model, int64_t n, int64_t prompt_tokens,
               int64_t completion_tokens)
{
    struct usage_key key = {.model = str_of(model)};
    struct usage u = {.requests = n,
                      .uncached_prompt_tokens = n * prompt_tokens,
                      .completion_tokens = n * completion_tokens};
    f->requests += n;
    f->responses += n;
    usage_lines_add(&f->usage, &key, &u);
}

void writer_add_simple(struct writer *w, const char *model, int64_t requests)
{
    writer_add(w, "t", "r", model, T0)->requests = requests;
}

void writer_clear(struct writer *w)
{
    for (size_t i = 0; i < w->cell_count; i++) {
        facts_clear(&w->facts[i]);
        series_drop(w->series, w->cells[i].series);
    }
    w->cell_count = w->flush.cell_count = 0;
}

void writer_flushed(struct writer *w)
{
    writer_clear(w);
    for (size_t i = 0; i < w->partition_count; i++)
        w->partitions[i].flush_seq++;
}

enum store_result writer_begin(struct writer *w)
{
    return store_begin(w->store, &w->flush, &w->err);
}

enum store_result writer_write(struct writer *w)
{
    return store_write(w->store, &w->flush, &w->err);
}

enum store_result writer_commit(struct writer *w)
{
    return store_commit(w->store, &w->err);
}

enum store_result writer_resolve(struct writer *w)
{
    enum store_result rc = STORE_UNKNOWN;
    for (int i = 0; rc == STORE_UNKNOWN && i < PATIENCE; i++) {
        rc = store_resolve(w->store, &w->flush, &w->err);
        if (rc == STORE_UNKNOWN)
            pause_ms(20);
    }
    return rc;
}

enum store_result writer_flush(struct writer *w)
{
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < PATIENCE; i++) {
        if (i > 0)
            pause_ms(20);
        rc = writer_begin(w);
        if (rc == STORE_OK)
            rc = writer_write(w);
        if (rc == STORE_OK)
            rc = writer_commit(w);
        if (rc == STORE_UNKNOWN)
            rc = writer_resolve(w);
    }
    if (rc == STORE_OK)
        writer_flushed(w);
    return rc;
}
