// SPDX-License-Identifier: Apache-2.0
// The publisher over scripted seams: in which order its effects come, and what each answer, and
// each change of ownership, leads to in every state.
#include "processor/publish.h"

#include <check.h>

#define NOW_MS INT64_C(1790000000000)
#define EPOCH 9
#define BEYOND_MAX 100 // steps

// ---- the seams ----

enum call { CHECK, CLOSE, TAKE, OPEN, PROGRESS, BEGIN, PUT, PUT_PROGRESS, COMMIT, CALLS };

// What the next call of a kind answers, once; 0, which is OK to both seams, from then on.
static int answer[CALLS];
static struct buf trace;
static int64_t log_progress; // what the log holds
static struct publish_batch next_batch;

struct publish_store {
    int unused;
};
struct outlet {
    bool open;
};
static struct publish_store store;
static struct outlet outlet;

static int answer_of(enum call call, struct err *e)
{
    int rc = answer[call];
    answer[call] = 0;
    if (rc != 0)
        err_set(e, "by the script");
    return rc;
}

enum store_result publish_store_check(struct publish_store *s, int64_t epoch, struct err *e)
{
    ck_assert_ptr_eq(s, &store);
    ck_assert(!outlet.open);
    buf_addf(&trace, "check %lld;", (long long)epoch);
    return (enum store_result)answer_of(CHECK, e);
}

enum store_result publish_store_close(struct publish_store *s, int64_t epoch,
                                      const struct closing_rule *rule, int64_t now_ms,
                                      struct err *e)
{
    ck_assert_ptr_eq(s, &store);
    ck_assert_int_eq(now_ms, NOW_MS);
    buf_addf(&trace, "close %lld %lld %lld;", (long long)epoch, (long long)rule->grace_ms,
             (long long)rule->wait_ms);
    return (enum store_result)answer_of(CLOSE, e);
}

// Another sequence than the one before.
static void add_record(struct publish_batch *b, int64_t seq, int64_t due_ms)
{
    b->v = xrealloc(b->v, (b->n + 1) * sizeof(*b->v));
    b->v[b->n++] = (struct publish_record){.seq = seq, .due_ms = due_ms, .time_ms = NOW_MS};
    buf_adds(&b->bytes, "bytes");
}

enum store_result publish_store_take(struct publish_store *s, int64_t epoch, int64_t progress,
                                     const struct publish_rule *rule, int64_t now_ms,
                                     struct publish_batch *out, struct err *e)
{
    ck_assert_ptr_eq(s, &store);
    ck_assert_int_eq(now_ms, NOW_MS);
    ck_assert_uint_eq(rule->batch_rows, 7);
    ck_assert_uint_eq(out->n + out->bytes.n, 0); // cleared by the caller
    buf_addf(&trace, "take %lld %lld;", (long long)epoch, (long long)progress);
    *out = next_batch;
    next_batch = (struct publish_batch){0};
    return (enum store_result)answer_of(TAKE, e);
}

enum outlet_result outlet_open(struct outlet *o, struct err *e)
{
    ck_assert(!o->open);
    buf_adds(&trace, "open;");
    int rc = answer_of(OPEN, e);
    o->open = rc == OUTLET_OK;
    return (enum outlet_result)rc;
}

enum outlet_result outlet_progress(struct outlet *o, int64_t *seq, struct err *e)
{
    ck_assert(o->open);
    buf_adds(&trace, "progress;");
    *seq = log_progress;
    return (enum outlet_result)answer_of(PROGRESS, e);
}

enum outlet_result outlet_begin(struct outlet *o, struct err *e)
{
    ck_assert(o->open);
    buf_adds(&trace, "begin;");
    return (enum outlet_result)answer_of(BEGIN, e);
}

enum outlet_result outlet_put(struct outlet *o, const struct publish_batch *b,
                              const struct publish_record *r, struct err *e)
{
    ck_assert(o->open && r >= b->v && r < b->v + b->n);
    buf_addf(&trace, "put %lld;", (long long)r->seq);
    return (enum outlet_result)answer_of(PUT, e);
}

enum outlet_result outlet_put_progress(struct outlet *o, int64_t seq, struct err *e)
{
    ck_assert(o->open);
    buf_addf(&trace, "put progress %lld;", (long long)seq);
    return (enum outlet_result)answer_of(PUT_PROGRESS, e);
}

enum outlet_result outlet_commit(struct outlet *o, struct err *e)
{
    ck_assert(o->open);
    buf_adds(&trace, "commit;");
    return (enum outlet_result)answer_of(COMMIT, e);
}

void outlet_close(struct outlet *o)
{
    buf_adds(&trace, "shut;");
    o->open = false;
}

// ---- the publisher ----

static struct publish publish;
static struct publisher_stats stats;
static struct err e;

static void make(void)
{
    static const struct publish_rule rule = {
        .closing = {10000, 60000}, .again_ms = 30000, .look_ms = 5000, .batch_rows = 7};
    memset(answer, 0, sizeof(answer));
    trace = (struct buf){0};
    next_batch = (struct publish_batch){0};
    outlet.open = false;
    log_progress = 40;
    stats = (struct publisher_stats){0};
    publish_init(&publish, &rule, &store, &outlet, &stats);
}

static void clear(void)
{
    publish_clear(&publish);
    publish_batch_clear(&next_batch);
    buf_free(&trace);
}

static void expect_step(enum publish_result want)
{
    ck_assert_int_eq(publish_step(&publish, NOW_MS, &e), want);
}

// Steps until it pauses.
static void expect_pause(enum publish_result want)
{
    for (int i = 0; i < BEYOND_MAX; i++) {
        enum publish_result rc = publish_step(&publish, NOW_MS, &e);
        if (rc == PUBLISH_AGAIN)
            continue;
        ck_assert_int_eq(rc, want);
        return;
    }
    ck_abort_msg("it does not pause");
}

static void expect_trace(const char *want)
{
    buf_addc(&trace, '\0');
    ck_assert_str_eq(trace.p, want);
    buf_clear(&trace);
}

static void due(int64_t first, int64_t last)
{
    for (int64_t seq = first; seq <= last; seq++)
        add_record(&next_batch, seq, 0);
}

static void reach(enum publish_state state)
{
    due(41, 42);
    if (state != PUBLISH_IDLE)
        publish_own(&publish, EPOCH);
    for (int i = 0; i < BEYOND_MAX && publish.state != state; i++)
        expect_step(PUBLISH_AGAIN);
    ck_assert_int_eq(publish.state, state);
    buf_clear(&trace);
}

#define FROM_TAKE "take 9 40;begin;put 41;put 42;put progress 42;commit;"
#define FROM_OPEN "open;progress;close 9 10000 60000;"

// ---- the order of things ----

START_TEST(one_effect_a_step_in_order)
{
    due(41, 42);
    expect_step(PUBLISH_STOP); // not ours yet
    expect_trace("");
    publish_own(&publish, EPOCH);
    static const enum publish_state states[] = {
        PUBLISH_OPEN,  PUBLISH_PROGRESS, PUBLISH_CLOSE, PUBLISH_TAKE,
        PUBLISH_BEGIN, PUBLISH_PUT,      PUBLISH_PUT,   PUBLISH_PUT,
    };
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        expect_step(PUBLISH_AGAIN);
        ck_assert_int_eq(publish.state, states[i]);
    }
    expect_step(PUBLISH_AGAIN);
    ck_assert_int_eq(publish.state, PUBLISH_COMMIT);
    expect_step(PUBLISH_DONE);
    expect_trace("check 9;" FROM_OPEN FROM_TAKE);
    ck_assert_int_eq(stats.committed, 1);
    ck_assert_int_eq(stats.published, 2);
    ck_assert_int_eq(stats.sequence, 42);
    ck_assert_int_eq(stats.is_publisher, 1);
    ck_assert_int_eq(stats.caught_up_s, NOW_MS / 1000);
}
END_TEST

START_TEST(looks_again_with_the_same_producer_and_what_it_knows_of_the_log)
{
    reach(PUBLISH_COMMIT);
    expect_pause(PUBLISH_DONE);
    log_progress = -1; // is not asked
    expect_pause(PUBLISH_DONE);
    due(43, 43);
    expect_pause(PUBLISH_DONE);
    expect_trace("commit;close 9 10000 60000;take 9 42;"
                 "close 9 10000 60000;take 9 42;begin;put 43;put progress 43;commit;");
}
END_TEST

START_TEST(more_is_taken_at_once)
{
    reach(PUBLISH_COMMIT);
    publish.batch.more = true;
    expect_step(PUBLISH_AGAIN);
    ck_assert_int_eq(stats.caught_up_s, 0);
    due(43, 44);
    expect_pause(PUBLISH_DONE);
    expect_trace("commit;take 9 42;begin;put 43;put 44;put progress 44;commit;");
    ck_assert_int_eq(stats.published, 4);
}
END_TEST

START_TEST(nothing_due_begins_no_transaction)
{
    publish_own(&publish, EPOCH);
    expect_pause(PUBLISH_DONE);
    expect_trace("check 9;" FROM_OPEN "take 9 40;");
    ck_assert_int_eq(stats.sequence, 40);
    ck_assert_int_eq(stats.committed, 0);
    ck_assert_int_eq(stats.caught_up_s, NOW_MS / 1000);
}
END_TEST

START_TEST(the_batch_is_freed_once_it_is_in)
{
    reach(PUBLISH_COMMIT);
    ck_assert_uint_eq(publish.batch.n, 2);
    ck_assert_int_eq(publish.progress, 40); // not before the commit
    expect_step(PUBLISH_DONE);
    ck_assert_ptr_null(publish.batch.v);
    ck_assert_int_eq(publish.progress, 42);
}
END_TEST

// ---- what is counted ----

START_TEST(the_delay_counts_from_when_a_window_was_closed)
{
    add_record(&next_batch, 41, NOW_MS - 1500);
    add_record(&next_batch, 42, 0);            // not its first publication
    add_record(&next_batch, 43, NOW_MS + 100); // a clock that was set back since
    publish_own(&publish, EPOCH);
    expect_pause(PUBLISH_DONE);
    ck_assert_int_eq(stats.delay_seconds.count, 2);
    ck_assert_int_eq(stats.delay_seconds.sum_us, 1500000);
}
END_TEST

START_TEST(what_a_batch_says_of_the_past_is_counted)
{
    reach(PUBLISH_TAKE);
    next_batch.resumed = true;
    next_batch.advanced_from = 3;
    next_batch.missing_before = 40;
    expect_step(PUBLISH_AGAIN);
    ck_assert_int_eq(stats.resumed, 2);
    ck_assert_int_eq(stats.advanced, 1);
    ck_assert_int_eq(stats.missing, 1);
}
END_TEST

// ---- what fails ----

static const struct {
    enum publish_state at;
    enum call call;
    int answer;
} waits[] = {
    {PUBLISH_CHECK, CHECK, STORE_RETRY},        {PUBLISH_CHECK, CHECK, STORE_UNKNOWN},
    {PUBLISH_CHECK, CHECK, STORE_FATAL},        {PUBLISH_OPEN, OPEN, OUTLET_AGAIN},
    {PUBLISH_PROGRESS, PROGRESS, OUTLET_AGAIN}, {PUBLISH_CLOSE, CLOSE, STORE_RETRY},
    {PUBLISH_TAKE, TAKE, STORE_RETRY},          {PUBLISH_BEGIN, BEGIN, OUTLET_AGAIN},
    {PUBLISH_PUT, PUT, OUTLET_AGAIN},           {PUBLISH_PUT, PUT_PROGRESS, OUTLET_AGAIN},
    {PUBLISH_COMMIT, COMMIT, OUTLET_AGAIN},
};

START_TEST(what_is_away_is_asked_again)
{
    reach(waits[_i].at);
    while (waits[_i].call == PUT_PROGRESS && publish.next < publish.batch.n)
        expect_step(PUBLISH_AGAIN);
    buf_clear(&trace);
    answer[waits[_i].call] = waits[_i].answer;
    expect_step(PUBLISH_WAIT);
    ck_assert_str_eq(e.detail, "by the script");
    ck_assert_int_eq(publish.state, waits[_i].at);
    struct buf first = {0};
    buf_add(&first, trace.p, trace.n);
    buf_clear(&trace);
    if (waits[_i].at == PUBLISH_TAKE) // its batch may be in part
        due(41, 42);
    ck_assert_int_ne(publish_step(&publish, NOW_MS, &e), PUBLISH_WAIT);
    ck_assert_uint_eq(first.n, trace.n);
    ck_assert_int_eq(memcmp(first.p, trace.p, first.n), 0);
    ck_assert_str_eq(e.detail, "");
    buf_free(&first);
}
END_TEST

static const struct {
    enum publish_state at;
    enum call call;
    const char *before;
} breaks[] = {
    {PUBLISH_OPEN, OPEN, "open;"},
    {PUBLISH_PROGRESS, PROGRESS, "progress;"},
    {PUBLISH_BEGIN, BEGIN, "begin;"},
    {PUBLISH_PUT, PUT, "put 41;"},
    {PUBLISH_PUT, PUT_PROGRESS, "put 41;put 42;put progress 42;"},
    {PUBLISH_COMMIT, COMMIT, "commit;"},
};

// Never again with the same producer, nor with what was taken, nor unasked.
START_TEST(what_is_broken_begins_anew_by_asking_who_owns_and_what_is_in)
{
    reach(breaks[_i].at);
    bool was_in = breaks[_i].call == COMMIT;
    answer[breaks[_i].call] = OUTLET_BROKEN;
    expect_pause(PUBLISH_WAIT);
    ck_assert_str_eq(e.detail, "by the script");
    ck_assert_int_eq(stats.broken, 1);
    ck_assert_int_eq(stats.is_publisher, 0);
    ck_assert_ptr_null(publish.batch.v);
    log_progress = was_in ? 42 : 40; // it was committed unheard
    publish_batch_clear(&next_batch);
    if (!was_in)
        due(41, 42);
    expect_pause(PUBLISH_DONE);
    struct buf want = {0};
    buf_addf(&want, "%sshut;check 9;" FROM_OPEN "%s", breaks[_i].before,
             was_in ? "take 9 42;" : FROM_TAKE);
    buf_addc(&want, '\0');
    expect_trace(want.p);
    buf_free(&want);
}
END_TEST

static const struct {
    enum publish_state at;
    enum call call;
    const char *before;
} fences[] = {
    {PUBLISH_CHECK, CHECK, "check 9;"},
    {PUBLISH_CLOSE, CLOSE, "close 9 10000 60000;shut;"},
    {PUBLISH_TAKE, TAKE, "take 9 40;shut;"},
};

START_TEST(who_is_fenced_stops_until_it_owns_anew)
{
    reach(fences[_i].at);
    publish_batch_clear(&next_batch);
    answer[fences[_i].call] = STORE_FENCED;
    expect_step(PUBLISH_STOP);
    publish_own(&publish, EPOCH); // that one is over
    expect_step(PUBLISH_STOP);
    expect_trace(fences[_i].before);
    ck_assert_int_eq(stats.fenced, 1);
    ck_assert_int_eq(stats.is_publisher, 0);
    publish_own(&publish, EPOCH + 2);
    expect_pause(PUBLISH_DONE);
    expect_trace("check 11;open;progress;close 11 10000 60000;take 11 40;");
}
END_TEST

// ---- ownership ----

static bool has_outlet(enum publish_state state)
{
    return state > PUBLISH_CHECK;
}

START_TEST(what_is_not_ours_any_more_is_given_up)
{
    reach((enum publish_state)_i);
    publish_own(&publish, 0);
    expect_step(PUBLISH_STOP);
    expect_trace(has_outlet((enum publish_state)_i) ? "shut;" : "");
    ck_assert_int_eq(publish.state, PUBLISH_IDLE);
    ck_assert_ptr_null(publish.batch.v);
    ck_assert_int_eq(stats.is_publisher, 0);
    ck_assert_int_eq(stats.fenced, 0);
}
END_TEST

START_TEST(another_epoch_begins_anew)
{
    reach((enum publish_state)_i);
    publish_own(&publish, 12);
    publish_batch_clear(&next_batch);
    ck_assert_ptr_null(publish.batch.v);
    expect_pause(PUBLISH_DONE);
    if (has_outlet((enum publish_state)_i))
        expect_trace("shut;check 12;open;progress;close 12 10000 60000;take 12 40;");
    else
        expect_trace("check 12;open;progress;close 12 10000 60000;take 12 40;");
}
END_TEST

START_TEST(the_same_epoch_changes_nothing)
{
    reach((enum publish_state)_i);
    publish_own(&publish, _i == PUBLISH_IDLE ? 0 : EPOCH);
    ck_assert_int_eq(publish.state, _i);
    expect_trace("");
}
END_TEST

START_TEST(ends_with_its_outlet_closed)
{
    reach((enum publish_state)_i);
    publish_clear(&publish);
    expect_trace(has_outlet((enum publish_state)_i) ? "shut;" : "");
    publish_clear(&publish);
    expect_trace("");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("publish");
    tcase_add_checked_fixture(tc, make, clear);
    tcase_add_test(tc, one_effect_a_step_in_order);
    tcase_add_test(tc, looks_again_with_the_same_producer_and_what_it_knows_of_the_log);
    tcase_add_test(tc, more_is_taken_at_once);
    tcase_add_test(tc, nothing_due_begins_no_transaction);
    tcase_add_test(tc, the_batch_is_freed_once_it_is_in);
    tcase_add_test(tc, the_delay_counts_from_when_a_window_was_closed);
    tcase_add_test(tc, what_a_batch_says_of_the_past_is_counted);
    tcase_add_loop_test(tc, what_is_away_is_asked_again, 0, ARRAY_LEN(waits));
    tcase_add_loop_test(tc, what_is_broken_begins_anew_by_asking_who_owns_and_what_is_in, 0,
                        ARRAY_LEN(breaks));
    tcase_add_loop_test(tc, who_is_fenced_stops_until_it_owns_anew, 0, ARRAY_LEN(fences));
    tcase_add_loop_test(tc, what_is_not_ours_any_more_is_given_up, 0, PUBLISH_COMMIT + 1);
    tcase_add_loop_test(tc, another_epoch_begins_anew, 0, PUBLISH_COMMIT + 1);
    tcase_add_loop_test(tc, the_same_epoch_changes_nothing, 0, PUBLISH_COMMIT + 1);
    tcase_add_loop_test(tc, ends_with_its_outlet_closed, 0, PUBLISH_COMMIT + 1);
    Suite *suite = suite_create("publish");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
