// SPDX-License-Identifier: Apache-2.0
// The publisher's thread over seams of its own: it follows who owns partition 0, rests as it
// should, finishes what it has begun, and ends in bounded time. Also built with ThreadSanitizer.
#include "processor/publisher.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "processor/outlet_kafka.h"
#include "processor/publish_pg.h"

#define PATIENCE_US (60 * US_PER_S)
#define TIMES 16

enum call {
    CHECK,
    CLOSE_WINDOWS,
    TAKE,
    OPEN,
    PROGRESS,
    BEGIN,
    PUT,
    PUT_PROGRESS,
    COMMIT,
    CLOSE,
    CALLS
};

// What both threads see of the fakes; under the lock.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum outlet_result commits; // what a commit answers
    int64_t rows;               // of each batch, while `due` are left
    int64_t due;
    bool database_away, hangs;
    int64_t n[CALLS];
    int64_t at_us[CALLS][TIMES]; // of the first ones
    int64_t epoch, seq, committed;
    sigset_t mask;
} world;

static struct config config;
static struct publisher *publisher;
static struct err e;

// Each call of a fake begins so, and ends with leave().
static void enter(enum call call)
{
    pthread_mutex_lock(&world.lock);
    if (world.n[call] < TIMES)
        world.at_us[call][world.n[call]] = clock_mono_us();
    world.n[call]++;
    pthread_cond_broadcast(&world.changed);
}

static void leave(void)
{
    pthread_mutex_unlock(&world.lock);
}

static void set_up(void)
{
    log_init("test", "text", "error");
    memset(&world, 0, sizeof(world));
    pthread_mutex_init(&world.lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&world.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    world.rows = 3;
    publisher = publisher_start(&config, 77, &e);
    ck_assert_ptr_nonnull(publisher);
}

static void stop(void)
{
    ck_assert(publisher_stop(publisher));
    publisher = NULL;
}

// Until the call has been made n times.
static void wait_for(enum call call, int64_t n)
{
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    struct timespec until = {until_us / US_PER_S, 0};
    pthread_mutex_lock(&world.lock);
    while (world.n[call] < n)
        ck_assert_int_eq(pthread_cond_timedwait(&world.changed, &world.lock, &until), 0);
    pthread_mutex_unlock(&world.lock);
}

static int64_t count(enum call call)
{
    pthread_mutex_lock(&world.lock);
    int64_t n = world.n[call];
    pthread_mutex_unlock(&world.lock);
    return n;
}

#define SET(member, value)                                                                         \
    do {                                                                                           \
        pthread_mutex_lock(&world.lock);                                                           \
        world.member = (value);                                                                    \
        pthread_cond_broadcast(&world.changed);                                                    \
        pthread_mutex_unlock(&world.lock);                                                         \
    } while (0)

static struct publisher_stats stats(void)
{
    struct publisher_stats s;
    publisher_stats_read(publisher, &s);
    return s;
}

// ---- the seams ----

struct publish_store *publish_pg_new(const struct config *c, int64_t token, int64_t timeout_ms)
{
    ck_assert(c == &config);
    ck_assert_int_eq(token, 77);
    ck_assert_int_gt(timeout_ms, 0);
    return xcalloc(1, 1);
}

void publish_store_free(struct publish_store *s)
{
    free(s);
}

enum store_result publish_store_check(struct publish_store *s, int64_t epoch, struct err *why)
{
    (void)s;
    (void)why;
    enter(CHECK);
    world.epoch = epoch;
    pthread_sigmask(SIG_BLOCK, NULL, &world.mask);
    while (world.hangs)
        pthread_cond_wait(&world.changed, &world.lock);
    enum store_result result = world.database_away ? STORE_RETRY : STORE_OK;
    leave();
    return result;
}

enum store_result publish_store_close(struct publish_store *s, int64_t epoch,
                                      const struct closing_rule *rule, int64_t now_ms,
                                      struct err *why)
{
    (void)s;
    (void)rule;
    (void)now_ms;
    (void)why;
    enter(CLOSE_WINDOWS);
    ck_assert_int_eq(epoch, world.epoch);
    leave();
    return STORE_OK;
}

enum store_result publish_store_take(struct publish_store *s, int64_t epoch, int64_t progress,
                                     const struct publish_rule *rule, int64_t now_ms,
                                     struct publish_batch *out, struct err *why)
{
    (void)s;
    (void)rule;
    (void)now_ms;
    (void)why;
    enter(TAKE);
    ck_assert_int_eq(epoch, world.epoch);
    ck_assert_int_eq(progress, world.committed);
    int64_t n = world.due > 0 ? world.rows : 0;
    world.due -= n > 0;
    out->v = n ? xcalloc((size_t)n, sizeof(*out->v)) : NULL;
    out->n = out->cap = (size_t)n;
    for (int64_t i = 0; i < n; i++)
        out->v[i].seq = progress + i + 1;
    out->more = world.due > 0;
    leave();
    return STORE_OK;
}

struct outlet *outlet_kafka_new(const struct config *c, struct err *why)
{
    (void)c;
    (void)why;
    return xcalloc(1, 1);
}

void outlet_free(struct outlet *o)
{
    free(o);
}

static enum outlet_result simple(enum call call)
{
    enter(call);
    leave();
    return OUTLET_OK;
}

enum outlet_result outlet_open(struct outlet *o, struct err *why)
{
    (void)o;
    (void)why;
    return simple(OPEN);
}

enum outlet_result outlet_progress(struct outlet *o, int64_t *seq, struct err *why)
{
    (void)o;
    (void)why;
    enter(PROGRESS);
    *seq = world.committed;
    leave();
    return OUTLET_OK;
}

enum outlet_result outlet_begin(struct outlet *o, struct err *why)
{
    (void)o;
    (void)why;
    return simple(BEGIN);
}

enum outlet_result outlet_put(struct outlet *o, const struct publish_batch *b,
                              const struct publish_record *r, struct err *why)
{
    (void)o;
    (void)b;
    (void)r;
    (void)why;
    return simple(PUT);
}

enum outlet_result outlet_put_progress(struct outlet *o, int64_t seq, struct err *why)
{
    (void)o;
    (void)why;
    enter(PUT_PROGRESS);
    world.seq = seq;
    leave();
    return OUTLET_OK;
}

enum outlet_result outlet_commit(struct outlet *o, struct err *why)
{
    (void)o;
    (void)why;
    enter(COMMIT);
    enum outlet_result result = world.commits;
    if (result == OUTLET_OK)
        world.committed = world.seq;
    leave();
    return result;
}

void outlet_close(struct outlet *o)
{
    (void)o;
    enter(CLOSE);
    leave();
}

// ---- what it does ----

START_TEST(it_publishes_while_partition_0_is_ours_and_says_so)
{
    set_up();
    ck_assert_int_eq(stats().is_publisher, 0);
    SET(due, 2);
    publisher_own(publisher, 5);
    wait_for(TAKE, 3);
    ck_assert_int_eq(world.epoch, 5);
    ck_assert_int_eq(count(COMMIT), 2);
    while (stats().published < 6)
        ; // the copy is made behind the step
    ck_assert_int_eq(stats().is_publisher, 1);
    ck_assert_int_eq(stats().sequence, 6);
    publisher_own(publisher, 0);
    wait_for(CLOSE, 1);
    publisher_own(publisher, 9);
    wait_for(CHECK, 2);
    ck_assert_int_eq(world.epoch, 9);
    wait_for(OPEN, 2);
    stop();
    ck_assert_int_eq(world.n[CLOSE], 2);
}
END_TEST

START_TEST(it_rests_between_two_looks_and_longer_and_longer_while_something_is_away)
{
    set_up();
    SET(database_away, true);
    publisher_own(publisher, 1);
    wait_for(CHECK, 5);
    SET(database_away, false);
    wait_for(TAKE, 3);
    stop();
    static const int64_t rests_ms[] = {100, 200, 400, 800};
    for (size_t i = 0; i < ARRAY_LEN(rests_ms); i++)
        ck_assert_int_ge(world.at_us[CHECK][i + 1] - world.at_us[CHECK][i],
                         rests_ms[i] * US_PER_MS);
    ck_assert_int_ge(world.at_us[CLOSE_WINDOWS][1] - world.at_us[TAKE][0], 500 * US_PER_MS);
    ck_assert_int_ge(world.at_us[CLOSE_WINDOWS][2] - world.at_us[TAKE][1], 500 * US_PER_MS);
    // Between the steps of one look it does not rest.
    ck_assert_int_lt(world.at_us[TAKE][2] - world.at_us[CLOSE_WINDOWS][2], 500 * US_PER_MS);
}
END_TEST

START_TEST(a_transaction_under_way_is_finished_when_partition_0_goes)
{
    set_up();
    SET(due, 1);
    SET(commits, OUTLET_AGAIN);
    publisher_own(publisher, 1);
    wait_for(COMMIT, 1);
    publisher_own(publisher, 0);
    wait_for(COMMIT, 3);
    ck_assert_int_eq(count(CLOSE), 0);
    SET(commits, OUTLET_OK);
    wait_for(CLOSE, 1);
    ck_assert_int_eq(world.committed, 3);
    stop();
    ck_assert_int_eq(world.n[TAKE], 1); // and nothing new is begun
}
END_TEST

START_TEST(a_transaction_that_does_not_end_is_given_up)
{
    set_up();
    SET(due, 1);
    SET(commits, OUTLET_AGAIN);
    publisher_own(publisher, 1);
    wait_for(COMMIT, 1);
    int64_t began_us = clock_mono_us();
    stop();
    int64_t took_us = clock_mono_us() - began_us;
    ck_assert_int_ge(took_us, 2 * US_PER_S);
    ck_assert_int_le(took_us, 5 * US_PER_S);
    ck_assert_int_eq(world.n[CLOSE], 1);
    ck_assert_int_eq(world.committed, 0);
}
END_TEST

START_TEST(a_thread_that_hangs_is_abandoned)
{
    set_up();
    SET(hangs, true);
    publisher_own(publisher, 1);
    wait_for(CHECK, 1);
    int64_t began_us = clock_mono_us();
    ck_assert(!publisher_stop(publisher));
    ck_assert_int_ge(clock_mono_us() - began_us, 5 * US_PER_S);
    SET(hangs, false);
    stop(); // it has gone on, and ends
}
END_TEST

START_TEST(it_answers_no_signal)
{
    set_up();
    publisher_own(publisher, 1);
    wait_for(OPEN, 1);
    ck_assert_int_eq(sigismember(&world.mask, SIGTERM), 1);
    ck_assert_int_eq(sigismember(&world.mask, SIGINT), 1);
    sigset_t ours;
    pthread_sigmask(SIG_BLOCK, NULL, &ours);
    ck_assert_int_eq(sigismember(&ours, SIGTERM), 0);
    stop();
}
END_TEST

START_TEST(both_sides_at_once)
{
    set_up();
    SET(rows, 200);
    SET(due, 1000000);
    for (int64_t epoch = 1; epoch <= 200; epoch++) {
        publisher_own(publisher, epoch);
        for (int i = 0; i < 20; i++)
            ck_assert_int_ge(stats().published, 0);
        if (epoch % 10 == 0)
            wait_for(COMMIT, count(COMMIT) + 1);
        if (epoch % 3 == 0)
            publisher_own(publisher, 0);
    }
    int64_t before = stats().published;
    ck_assert_int_le(before, world.rows * count(COMMIT));
    stop();
    ck_assert_int_eq(world.committed % world.rows, 0);
    ck_assert_int_ge(world.n[COMMIT], 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publisher");
    TCase *t = tcase_create("thread");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, it_publishes_while_partition_0_is_ours_and_says_so);
    tcase_add_test(t, it_rests_between_two_looks_and_longer_and_longer_while_something_is_away);
    tcase_add_test(t, a_transaction_under_way_is_finished_when_partition_0_goes);
    tcase_add_test(t, a_transaction_that_does_not_end_is_given_up);
    tcase_add_test(t, a_thread_that_hangs_is_abandoned);
    tcase_add_test(t, it_answers_no_signal);
    tcase_add_test(t, both_sides_at_once);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
