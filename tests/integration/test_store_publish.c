// SPDX-License-Identifier: Apache-2.0
// What is published next, under which sequence, and that nothing is lost of what a flush changes in
// the same moment.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/core/timeunit.h"
#include "processor/publish_pg.h"
#include "processor/window.h"
#include "tests/integration/store_fixture.h"

#define GRACE_MS 10000
#define NOW (T0 / 1000 + 3600000)
#define AGAIN_MS 30000
#define LOOK_MS 1000
// When a partition has passed the window that begins i minutes after T0.
#define PAST(i) (T0 / 1000 + ((i) + 1) * 60000 + GRACE_MS)

static struct publish_rule rule;
static struct writer w;
static struct publish_store *publisher; // of w's process
static struct publish_batch batch;

static void setup(void)
{
    fixture_open(100);
    writer_open(&w, fixture_dsn(), TIMEOUT_MS);
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        writer_claim(&w, i);
    publisher = publish_pg_new(&w.config, store_pg_token(w.store), TIMEOUT_MS);
    rule = (struct publish_rule){{GRACE_MS, 0}, AGAIN_MS, LOOK_MS, 100};
}

static void teardown(void)
{
    publish_batch_clear(&batch);
    publish_store_free(publisher);
    writer_close(&w);
    fixture_close();
}

// ---- rows ----

// One more flush's worth of requests, some of them answered, of window i.
static struct facts *add(const char *model, int i, int requests, int responses)
{
    struct facts *f = writer_add(&w, "t", "r", model, T0 + i * WINDOW_US);
    if (responses > 0)
        facts_use(f, model, responses, 10, 10);
    f->requests = requests;
    return f;
}

static void flush(void)
{
    ck_ok(&w, writer_flush(&w));
}

// Flushes what was added with all partitions past window i, and closes what is due.
static void flush_past(int i, int64_t now_ms)
{
    for (int p = 0; p < FIXTURE_PARTITIONS; p++)
        for (int k = 0; k < 2; k++)
            w.partitions[p].position.log[k].time_ms = PAST(i);
    flush();
    ck_ok(&w, publish_store_close(publisher, w.partitions[0].epoch, &rule.closing, now_ms, &w.err));
}

// ---- batches ----

static enum store_result try_take(int64_t progress, int64_t now_ms)
{
    publish_batch_clear(&batch);
    return publish_store_take(publisher, w.partitions[0].epoch, progress, &rule, now_ms, &batch,
                              &w.err);
}

// Takes so many rows, under sequences behind `progress`; returns the last one.
static int64_t take(int64_t progress, int64_t now_ms, size_t n)
{
    ck_ok(&w, try_take(progress, now_ms));
    ck_assert_uint_eq(batch.n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(batch.v[i].seq, progress + 1 + (int64_t)i);
    return progress + (int64_t)n;
}

static bool bytes_have(size_t at, size_t n, const char *text)
{
    return memmem(batch.bytes.p + at, n, text, strlen(text)) != NULL;
}

#define ck_record(i, key, text)                                                                    \
    do {                                                                                           \
        const struct publish_record *r_ = &batch.v[i];                                             \
        ck_assert_msg(r_->key_n == strlen(key) &&                                                  \
                          memcmp(batch.bytes.p + r_->key_at, key, r_->key_n) == 0,                 \
                      "%.*s", (int)r_->key_n, batch.bytes.p + r_->key_at);                         \
        ck_assert_msg(bytes_have(r_->value_at, r_->value_n, text), "%s: %.*s", text,               \
                      (int)r_->value_n, batch.bytes.p + r_->value_at);                             \
    } while (0)

// Nothing is lost: what is at rest is published as it is.
#define count_behind()                                                                             \
    sql_i64("SELECT count(*) FROM llm_minute m LEFT JOIN llm_publish p USING (series_id,"          \
            " window_start) WHERE p.published_revision IS DISTINCT FROM m.revision")

START_TEST(rows_of_closed_windows_are_taken_once_and_in_order)
{
    add("b", 1, 1, 1);
    hist_record(&add("b", 0, 2, 1)->latency, 1500);
    add("a", 0, 1, 1);
    add("c", 2, 1, 1);
    flush_past(1, NOW);
    int64_t last = take(0, NOW + 5, 3);
    ck_record(0, "t|r|a", "\"publish_seq\":1,\"late\":0,\"settled\":true");
    ck_record(1, "t|r|b", "\"publish_seq\":2,\"late\":0,\"settled\":false");
    ck_record(2, "t|r|b", "\"window_start\":\"2026-11-21T06:15:00Z\"");
    ck_record(0, "t|r|a", "\"latency_hdr\":null,\"ttft_hdr\":null}");
    ck_record(1, "t|r|b", "\"latency_hdr\":\"HISTF");
    ck_assert(!batch.more && !batch.resumed && !batch.advanced_from && !batch.missing_before);
    for (size_t i = 0; i < batch.n; i++) {
        ck_assert_int_eq(batch.v[i].time_ms, T0 / 1000 + (i < 2 ? 60000 : 120000));
        ck_assert_int_eq(batch.v[i].due_ms, NOW);
    }
    ck_assert_int_eq(sql_i64("SELECT last_seq FROM streamlens_publisher"), 3);
    take(last, NOW + 10 * AGAIN_MS, 0);
    flush_past(2, NOW);
    take(last, NOW + 10 * AGAIN_MS, 1);
    ck_assert_int_eq(count_behind(), 0);
}
END_TEST

START_TEST(nothing_due_locks_nothing)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(0, NOW, 1);
    add("a", 1, 1, 1); // open
    flush();
    sql_run("BEGIN; SELECT FROM streamlens_position FOR UPDATE; SELECT FROM streamlens_publisher"
            " FOR UPDATE; SELECT FROM llm_window FOR UPDATE");
    take(last, NOW + AGAIN_MS, 0);
    sql_run("COMMIT");
}
END_TEST

// What was sequenced and is not in the log comes again: the same rows, as they are by then.
START_TEST(what_is_not_in_the_log_is_taken_again_under_the_same_sequences)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(0, NOW, 1);
    add("a", 1, 2, 1);
    add("b", 1, 1, 1);
    add("a", 2, 1, 1);
    flush_past(2, NOW);
    take(last, NOW, 3);
    struct buf before = batch.bytes;
    batch.bytes = (struct buf){0};
    take(last, NOW + 1, 3);
    ck_assert(batch.resumed && batch.more);
    ck_assert_uint_eq(batch.bytes.n, before.n);
    ck_assert(memcmp(batch.bytes.p, before.p, before.n) == 0);
    buf_free(&before);
    ck_assert_int_eq(batch.v[0].due_ms, NOW);
    // By another process as well, and afresh.
    add("a", 1, 0, 1);
    flush();
    struct writer other;
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&other, 0);
    w.partitions[0].epoch = other.partitions[0].epoch;
    publish_store_free(publisher);
    publisher = publish_pg_new(&other.config, store_pg_token(other.store), TIMEOUT_MS);
    last = take(last, NOW + 2, 3);
    ck_record(0, "t|r|a", "\"revision\":2");
    ck_record(0, "t|r|a", "\"publish_seq\":2,\"late\":0,\"settled\":true");
    ck_record(2, "t|r|a", "\"revision\":1");
    // That was its second revision, which is published now.
    take(last, NOW + 10 * AGAIN_MS, 0);
    ck_assert(!batch.resumed);
    ck_assert_int_eq(count_behind(), 0);
    publish_store_free(publisher);
    publisher = NULL;
    writer_close(&other);
}
END_TEST

START_TEST(a_row_is_sent_again_after_a_while_or_when_it_settles)
{
    add("a", 0, 3, 0);
    add("b", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(0, NOW, 2);
    add("a", 0, 0, 1);
    flush();
    take(last, NOW + LOOK_MS, 0); // looked through, and nothing is due
    ck_assert_int_eq(sql_i64("SELECT extract(epoch FROM due_at) * 1000 FROM llm_window"),
                     NOW + AGAIN_MS);
    take(last, NOW + AGAIN_MS - 1, 0);
    last = take(last, NOW + AGAIN_MS, 1);
    ck_record(0, "t|r|a", "\"late\":1,\"settled\":false");
    ck_assert_int_eq(batch.v[0].due_ms, 0);
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_window WHERE due_at IS NOT NULL"), 0);
    // Settles: as soon as the window may be looked through again.
    add("a", 0, 0, 2);
    flush();
    int64_t now_ms = NOW + AGAIN_MS + LOOK_MS;
    take(last, now_ms - 1, 0);
    last = take(last, now_ms, 1);
    ck_record(0, "t|r|a", "\"late\":3,\"settled\":true");
    // A row that was settled does not settle again.
    add("a", 0, 1, 1);
    add("b", 0, 1, 0);
    flush();
    take(last, now_ms + AGAIN_MS - 1, 1); // b's first was long ago
    ck_record(0, "t|r|b", "\"revision\":2");
    last++;
    last = take(last, now_ms + AGAIN_MS, 1);
    ck_record(0, "t|r|a", "\"late\":5,\"settled\":true");
    ck_assert_int_eq(count_behind(), 0);
}
END_TEST

START_TEST(a_series_that_comes_late_is_sent_at_once)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(0, NOW, 1);
    add("b", 0, 1, 0);
    flush();
    take(last, NOW + LOOK_MS - 1, 0);
    take(last, NOW + LOOK_MS, 1);
    ck_record(0, "t|r|b", "\"late\":0,\"settled\":false");
    ck_assert_int_eq(batch.v[0].due_ms, 0); // it was not due when its window was closed
}
END_TEST

START_TEST(a_clock_that_was_set_back_holds_nothing_up)
{
    int64_t ahead = NOW + 24 * INT64_C(3600000);
    add("a", 0, 2, 0);
    flush_past(0, ahead);
    int64_t last = take(0, ahead, 1);
    add("a", 0, 0, 1);
    flush();
    last = take(last, NOW, 1);
    add("a", 0, 0, 1);
    flush();
    take(last, NOW + LOOK_MS, 1);
    ck_assert_int_eq(count_behind(), 0);
}
END_TEST

// ---- again ----

START_TEST(a_window_is_sent_again_when_it_becomes_complete)
{
    add("a", 0, 1, 1);
    add("b", 0, 1, 1);
    add("a", 1, 1, 1);
    flush_past(1, NOW);
    sql_run("UPDATE llm_window SET complete = false WHERE window_start = to_timestamp(%lld)",
            (long long)(T0 / US_PER_S));
    int64_t last = take(0, NOW, 3);
    ck_record(0, "t|r|a", "\"complete\":false");
    ck_record(2, "t|r|a", "\"complete\":true");
    flush_past(1, NOW + LOOK_MS);
    last = take(last, NOW + LOOK_MS, 2);
    ck_record(0, "t|r|a", "\"complete\":true");
    ck_record(1, "t|r|b", "\"revision\":1");
    take(last, NOW + 10 * AGAIN_MS, 0);
}
END_TEST

START_TEST(windows_that_a_gap_makes_lossy_are_sent_again)
{
    for (int i = 0; i < 6; i++)
        add("a", i * 10, 1, 1);
    flush_past(49, NOW); // the last one is open
    int64_t last = take(0, NOW, 5);
    // From minute 20 on, less TTL and skew, up to minute 25, and skew: those of 20 alone.
    w.partitions[1].gap[1] = (struct log_gap){5, 9, T0 / 1000 + 20 * 60000, T0 / 1000 + 25 * 60000};
    add("a", 0, 0, 0); // which is not lossy
    flush();
    w.partitions[1].gap[1] = (struct log_gap){0};
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_metrics WHERE lossy"), 1);
    last = take(last, NOW + AGAIN_MS, 2);
    ck_record(0, "t|r|a", "\"revision\":2");
    ck_record(1, "t|r|a", "\"lossy\":true");
    ck_assert_int_eq(batch.v[1].time_ms, T0 / 1000 + 21 * 60000);
    take(last, NOW + 10 * AGAIN_MS, 0);
    // A gap whose beginning is not known concerns all before; what was open is published once.
    w.partitions[0].gap[0] = (struct log_gap){5, 9, TIME_NONE, T0 / 1000 + 100 * 60000};
    flush_past(50, NOW + 10 * AGAIN_MS);
    w.partitions[0].gap[0] = (struct log_gap){0};
    last = take(last, NOW + 10 * AGAIN_MS, 6);
    ck_record(0, "t|r|a", "\"lossy\":true");
    ck_record(5, "t|r|a", "\"lossy\":true");
    take(last, NOW + 20 * AGAIN_MS, 0);
}
END_TEST

START_TEST(a_row_is_sent_again_when_an_operator_asks_for_it)
{
    add("a", 0, 1, 1);
    add("b", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(0, NOW, 2);
    sql_run("UPDATE llm_publish SET again = true WHERE publish_seq = 2;"
            "UPDATE llm_window SET changes = changes + 1");
    last = take(last, NOW + LOOK_MS, 1);
    ck_record(0, "t|r|b", "\"revision\":1");
    take(last, NOW + 10 * AGAIN_MS, 0);
    // Nor once the window is looked through for something else.
    add("a", 0, 1, 1);
    flush();
    last = take(last, NOW + 10 * AGAIN_MS, 1);
    ck_record(0, "t|r|a", "\"revision\":2");
}
END_TEST

// ---- the log and the database disagree ----

START_TEST(a_database_that_was_set_back_goes_on_behind_the_log)
{
    ck_ok(&w, try_take(40, NOW)); // nothing is known of any of it
    ck_assert_int_eq(batch.advanced_from, 1);
    ck_assert_uint_eq(batch.n, 0);
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    int64_t last = take(40, NOW, 1);
    ck_assert_int_eq(batch.advanced_from, 0);
    add("a", 1, 1, 1);
    add("b", 1, 1, 1);
    flush_past(1, NOW);
    take(last, NOW, 2);
    ck_assert_int_eq(sql_i64("SELECT last_seq FROM streamlens_publisher"), 43);
    // The newest batch comes again, once.
    ck_ok(&w, try_take(50, NOW + 1));
    ck_assert_int_eq(batch.advanced_from, 44);
    ck_assert_uint_eq(batch.n, 0); // that it was looked through is less than look_ms ago
    last = take(50, NOW + LOOK_MS, 2);
    ck_record(0, "t|r|a", "\"publish_seq\":51");
    ck_record(1, "t|r|b", "\"publish_seq\":52");
    ck_assert(batch.advanced_from == 0 && !batch.resumed);
    take(last, NOW + 10 * AGAIN_MS, 0);
    // At once with rows that are due.
    add("a", 2, 1, 1);
    flush_past(2, NOW);
    take(last + 100, NOW + 11 * AGAIN_MS, 3);
    ck_assert_int_eq(batch.advanced_from, last + 1);
}
END_TEST

START_TEST(what_the_log_lacks_is_sent_again)
{
    static const char *const models[] = {"a", "b", "c"};
    int64_t last = 0;
    for (int i = 0; i < 3; i++) {
        add(models[i], (int)min_i64(i, 1), 1, 1); // b and c are of one window
        flush_past(i, NOW);
        last = take(last, NOW + i * LOOK_MS, 1);
    }
    // Sequence 1 is in the log. The newest batch, and nothing else, keeps its own.
    for (int k = 0; k < 2; k++) {
        ck_ok(&w, try_take(1, NOW + 3 * LOOK_MS));
        ck_assert_int_eq(batch.missing_before, 3);
        ck_assert(batch.resumed && batch.more);
        ck_assert_uint_eq(batch.n, 1);
        ck_assert_int_eq(batch.v[0].seq, 3);
        ck_record(0, "t|r|c", "\"publish_seq\":3");
    }
    last = take(3, NOW + 3 * LOOK_MS, 1);
    ck_record(0, "t|r|b", "\"publish_seq\":4");
    ck_assert_int_eq(batch.missing_before, 0);
    take(last, NOW + 10 * AGAIN_MS, 0);
    // All of it.
    ck_ok(&w, try_take(0, NOW + 20 * AGAIN_MS));
    ck_assert_int_eq(batch.missing_before, 4);
    ck_assert_uint_eq(batch.n, 1);
    ck_assert_int_eq(batch.v[0].seq, 4);
    last = take(last, NOW + 20 * AGAIN_MS, 2);
    ck_record(0, "t|r|a", "\"publish_seq\":5");
    ck_record(1, "t|r|c", "\"publish_seq\":6");
    take(last, NOW + 30 * AGAIN_MS, 0);
}
END_TEST

START_TEST(a_batch_whose_rows_are_gone_stops_nothing)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    take(0, NOW, 1);
    sql_run("DROP TABLE llm_publish_20261121, llm_minute_20261121");
    ck_ok(&w, try_take(0, NOW));
    ck_assert_uint_eq(batch.n, 0);
    add("a", 1, 1, 1);
    flush_past(1, NOW);
    ck_ok(&w, try_take(0, NOW));
    ck_assert_uint_eq(batch.n, 1);
    ck_assert_int_eq(batch.v[0].seq, 2);
    take(2, NOW + 10 * AGAIN_MS, 0);
}
END_TEST

START_TEST(rows_of_series_that_were_deleted_are_not_sent)
{
    add("a", 0, 1, 1);
    add("b", 0, 1, 1);
    flush_past(0, NOW);
    take(0, NOW, 2);
    sql_run("DELETE FROM llm_series WHERE model = 'a'");
    ck_ok(&w, try_take(0, NOW)); // the same batch again
    ck_assert_uint_eq(batch.n, 1);
    ck_assert_int_eq(batch.v[0].seq, 2);
    ck_record(0, "t|r|b", "\"publish_seq\":2");
    sql_run("UPDATE llm_publish SET again = true; UPDATE llm_window SET changes = changes + 1");
    take(2, NOW + AGAIN_MS, 1);
    ck_record(0, "t|r|b", "\"publish_seq\":3");
    take(3, NOW + 10 * AGAIN_MS, 0);
}
END_TEST

// ---- limits ----

START_TEST(a_batch_is_no_longer_than_it_may_be)
{
    static const char *const models[] = {"a", "b", "c", "d", "e"};
    rule.batch_rows = 3;
    for (int i = 0; i < 5; i++)
        add(models[i], 1, 1, 1);
    add("a", 0, 1, 1);
    flush_past(1, NOW);
    int64_t last = take(0, NOW, 3); // of the second window two
    ck_assert(batch.more);
    ck_record(2, "t|r|b", "06:15:00Z");
    ck_assert_int_eq(sql_i64("SELECT count(*) FROM llm_window WHERE looked_at IS NULL"), 1);
    last = take(last, NOW, 3); // and the other three: to the brim
    ck_assert(!batch.more);
    ck_record(2, "t|r|e", "06:15:00Z");
    ck_assert_int_eq(batch.v[2].due_ms, NOW);
    take(last, NOW + 10 * AGAIN_MS, 0);
    // Full at the end of a window, with another one behind it.
    for (int i = 0; i < 3; i++)
        add(models[i], 2, 1, 1);
    add("a", 3, 1, 1);
    flush_past(3, NOW);
    last = take(last, NOW, 3);
    ck_assert(batch.more);
    take(last, NOW, 1);
    ck_assert(!batch.more);
    ck_assert_int_eq(count_behind(), 0);
}
END_TEST

START_TEST(many_windows_take_several_batches)
{
    for (int i = 0; i < 33; i++)
        add("a", i, 1, 1);
    flush_past(32, NOW);
    int64_t last = take(0, NOW, 16);
    ck_assert(batch.more);
    last = take(last, NOW, 16);
    ck_assert(batch.more);
    last = take(last, NOW, 1);
    ck_assert(!batch.more);
    ck_record(0, "t|r|a", "06:46:00Z");
}
END_TEST

// ---- owners and lost answers ----

START_TEST(only_the_owner_takes)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    struct claim anew; // by the same process
    ck_ok(&w, store_claim(w.store, 0, 0, &anew, &w.err));
    ck_result(&w, try_take(0, NOW), STORE_FENCED);
    struct writer other;
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&other, 0);
    ck_result(&w, try_take(0, NOW), STORE_FENCED);
    w.partitions[0].epoch = other.partitions[0].epoch; // which alone does not make an owner
    ck_result(&w, try_take(0, NOW), STORE_FENCED);
    ck_assert_uint_eq(batch.n, 0);
    ck_assert_int_eq(sql_i64("SELECT last_seq FROM streamlens_publisher"), 0);
    ck_assert_int_eq(count_behind(), 1);
    writer_close(&other);
}
END_TEST

START_TEST(a_lost_answer_loses_nothing)
{
    struct proxy *proxy = proxy_start();
    struct config through = {.postgres_dsn = xstrdup(proxy_dsn(proxy))};
    add("a", 0, 1, 1);
    add("b", 0, 1, 1);
    flush_past(0, NOW);
    publish_store_free(publisher);
    publisher = publish_pg_new(&through, store_pg_token(w.store), TIMEOUT_MS);
    proxy_set(proxy, _i ? PROXY_CUT_AFTER_COMMIT : PROXY_CUT_BEFORE_COMMIT);
    ck_result(&w, try_take(0, NOW), STORE_RETRY);
    ck_assert_uint_eq(batch.n, 0);
    proxy_set(proxy, PROXY_PASS);
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < 200; i++)
        rc = try_take(0, NOW);
    ck_assert_int_eq(rc, STORE_OK);
    ck_assert_int_eq(batch.resumed, _i);
    ck_assert_uint_eq(batch.n, 2);
    ck_assert_int_eq(batch.v[0].seq, 1);
    take(2, NOW + 10 * AGAIN_MS, 0);
    publish_store_free(publisher);
    publisher = NULL;
    free(through.postgres_dsn);
    proxy_stop(proxy);
}
END_TEST

// A processor that was stopped inside a flush holds a window.
START_TEST(who_holds_a_window_and_is_silent_is_ended)
{
    add("a", 0, 1, 1);
    flush_past(0, NOW);
    char dsn[600];
    snprintf(dsn, sizeof(dsn), "%s?application_name=streamlens-processor", fixture_dsn());
    PGconn *other = PQconnectdb(dsn);
    PQclear(
        PQexec(other, "BEGIN; SELECT FROM llm_window FOR UPDATE; CREATE TEMP TABLE held (x int)"));
    PGresult *r = PQexec(other, "COPY held FROM STDIN");
    ck_assert_int_eq(PQresultStatus(r), PGRES_COPY_IN);
    PQclear(r);
    publish_store_free(publisher);
    publisher = publish_pg_new(&w.config, store_pg_token(w.store), 2000);
    enum store_result rc = STORE_RETRY;
    for (int i = 0; rc == STORE_RETRY && i < 100; i++)
        rc = try_take(0, NOW);
    ck_ok(&w, rc);
    ck_assert_uint_eq(batch.n, 1);
    PQfinish(other);
}
END_TEST

// ---- flushes at the same moment ----

static void *take_in_thread(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)try_take(1, NOW + AGAIN_MS); // NOLINT
}

// The publisher waits for a flush that has written and not committed yet, and sees what it wrote.
START_TEST(a_flush_under_way_is_waited_for)
{
    add("a", 0, 2, 0);
    flush_past(0, NOW);
    take(0, NOW, 1);
    add("a", 0, 0, 1);
    flush();
    struct writer other; // of a partition that is not the publisher's
    writer_open(&other, fixture_dsn(), TIMEOUT_MS);
    writer_claim(&other, 3);
    writer_add(&other, "t", "r", "a", T0)->responses = 1;
    ck_ok(&other, writer_begin(&other));
    ck_ok(&other, writer_write(&other));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, take_in_thread, NULL), 0);
    sql_await("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND wait_event_type = 'Lock'");
    ck_ok(&other, writer_commit(&other));
    void *rc;
    pthread_join(thread, &rc);
    ck_assert_int_eq((intptr_t)rc, STORE_OK);
    ck_assert_uint_eq(batch.n, 1);
    ck_record(0, "t|r|a", "\"revision\":3");
    take(2, NOW + 10 * AGAIN_MS, 0);
    ck_assert_int_eq(count_behind(), 0);
    writer_close(&other);
}
END_TEST

#define FLUSHERS 3
#define FLUSHES 40
#define WINDOWS 6
#define MODELS 4

static atomic_int flushing;

// Flushes rows that the others flush too, in windows that are closed, new rows among them. Returns
// how many flushes failed.
static void *flush_in_thread(void *arg)
{
    struct writer *f = arg;
    intptr_t failed = 0;
    for (int k = 0; k < FLUSHES; k++) {
        for (int i = 0; i < WINDOWS; i++) {
            char model[16];
            snprintf(model, sizeof(model), "m%d", (k / 10 * i + k) % MODELS);
            struct facts *facts =
                writer_add(f, "t", "r", model, T0 + (WINDOWS - 1 - i) * WINDOW_US);
            facts->requests = 1;
            facts->unanswered = k % 2;
        }
        failed += writer_flush(f) != STORE_OK;
    }
    atomic_fetch_sub(&flushing, 1);
    return (void *)failed; // NOLINT
}

static void forget_positions_of(struct writer *of)
{
    of->partition_count = of->flush.partition_count = 1;
}

START_TEST(no_revision_is_lost_beside_flushes)
{
    static struct writer flushers[FLUSHERS];
    pthread_t threads[FLUSHERS];
    for (int i = 0; i < WINDOWS; i++)
        add("m0", i, 1, 1);
    flush_past(WINDOWS, NOW);
    forget_positions_of(&w); // partition 0 stays ours
    atomic_store(&flushing, FLUSHERS);
    for (int i = 0; i < FLUSHERS; i++) {
        writer_open(&flushers[i], fixture_dsn(), TIMEOUT_MS);
        writer_claim(&flushers[i], i + 1);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, flush_in_thread, &flushers[i]), 0);
    }
    rule.look_ms = rule.again_ms = 10;
    rule.batch_rows = 7;
    int64_t last = 0, now_ms = NOW, deadlocks = 0, taken = 0;
    for (bool rest = false; !rest;) {
        rest = atomic_load(&flushing) == 0;
        now_ms += 20;
        enum store_result rc = try_take(last, now_ms);
        ck_assert_msg(rc == STORE_OK || rc == STORE_RETRY, "%d %s", rc, w.err.detail);
        deadlocks += rc == STORE_RETRY && strstr(w.err.detail, "deadlock");
        rest = rest && rc == STORE_OK && batch.n == 0;
        for (size_t i = 0; i < batch.n; i++)
            ck_assert_int_eq(batch.v[i].seq, last + 1 + (int64_t)i);
        // Every third time it does not come into the log.
        if (++taken % 3 != 0)
            last += (int64_t)batch.n;
    }
    for (int i = 0; i < FLUSHERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_int_eq((intptr_t)failed, 0);
        writer_close(&flushers[i]);
    }
    ck_assert_int_eq(deadlocks, 0);
    ck_assert_int_eq(sql_i64("SELECT deadlocks FROM pg_stat_database WHERE datname ="
                             " current_database()"),
                     0);
    ck_assert_int_eq(count_behind(), 0);
    ck_assert_int_eq(sql_i64("SELECT sum(requests) FROM llm_minute"),
                     WINDOWS + FLUSHERS * FLUSHES * WINDOWS);
    ck_assert_int_eq(sql_i64("SELECT max(publish_seq) FROM llm_publish"), last);
    ck_assert_int_gt(last, 2 * WINDOWS * MODELS);
}
END_TEST

int main(void)
{
    if (!fixture_available())
        return 77;
    Suite *suite = suite_create("store_publish");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_of_closed_windows_are_taken_once_and_in_order);
    tcase_add_test(tc, nothing_due_locks_nothing);
    tcase_add_test(tc, what_is_not_in_the_log_is_taken_again_under_the_same_sequences);
    tcase_add_test(tc, a_row_is_sent_again_after_a_while_or_when_it_settles);
    tcase_add_test(tc, a_series_that_comes_late_is_sent_at_once);
    tcase_add_test(tc, a_clock_that_was_set_back_holds_nothing_up);
    tcase_add_test(tc, a_window_is_sent_again_when_it_becomes_complete);
    tcase_add_test(tc, windows_that_a_gap_makes_lossy_are_sent_again);
    tcase_add_test(tc, a_row_is_sent_again_when_an_operator_asks_for_it);
    tcase_add_test(tc, a_database_that_was_set_back_goes_on_behind_the_log);
    tcase_add_test(tc, what_the_log_lacks_is_sent_again);
    tcase_add_test(tc, a_batch_whose_rows_are_gone_stops_nothing);
    tcase_add_test(tc, rows_of_series_that_were_deleted_are_not_sent);
    tcase_add_test(tc, a_batch_is_no_longer_than_it_may_be);
    tcase_add_test(tc, many_windows_take_several_batches);
    tcase_add_test(tc, only_the_owner_takes);
    tcase_add_loop_test(tc, a_lost_answer_loses_nothing, 0, 2);
    tcase_add_test(tc, who_holds_a_window_and_is_silent_is_ended);
    tcase_add_test(tc, a_flush_under_way_is_waited_for);
    tcase_add_test(tc, no_revision_is_lost_beside_flushes);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
