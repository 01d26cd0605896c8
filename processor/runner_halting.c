// SPDX-License-Identifier: Apache-2.0
// Partitions that are halted, and when they are judged anew.
#include "processor/runner_internal.h"

#include <stdio.h>

#define HALTED_COMPLAINT_US (60 * US_PER_S)
#define JUDGE_US US_PER_S
#define TOPICS_WRONG_CHECK_US (3 * US_PER_S)
#define TOPICS_DOUBT_US US_PER_S // a broker that comes back may not know its topics for a moment
#define REJUDGE_FIRST_US (10 * US_PER_S)
#define REJUDGE_MOST_US (600 * US_PER_S)

static void say_halted(struct runner *r, int partition, const char *why)
{
    log_limit(&r->halted_complaint, runner_mono_us(r), 0); // the next reminder counts from here
    log_error("partition halted", "partition", log_num(partition), "error", why);
}

void runner_halt(struct runner *r, int partition, const char *why)
{
    instance_halt(r->instance, partition, why);
    say_halted(r, partition, why);
}

// What the source calls broken may be whole again: a broker that comes back can miss topics for a
// moment. Only a new assignment can tell, so the group is joined anew, ever more rarely.
void runner_plan_rejudgement(struct runner *r)
{
    int64_t now_us = runner_mono_us(r);
    if (r->rejudge)
        return;
    bool is_first = !r->rejudge_us || now_us - r->rejudge_us > 2 * REJUDGE_MOST_US;
    r->rejudge_wait_us =
        is_first ? REJUDGE_FIRST_US : min_i64(2 * r->rejudge_wait_us, REJUDGE_MOST_US);
    r->rejudge_us = now_us + r->rejudge_wait_us;
    r->rejudge = true;
    r->next_topics_us = now_us; // perhaps it concerns all
}

// The topics are not what was set up, and so concern every partition there is.
void runner_stop_reading(struct runner *r, const char *why)
{
    snprintf(r->topics_wrong, sizeof(r->topics_wrong), "%s", why);
    r->rejudge = false; // they are, once the topics are right again
    instance_halt_all(r->instance, why);
    log_limit(&r->halted_complaint, runner_mono_us(r), 0);
    log_error("the input topics are not as they were set up; nothing is read until they are",
              "error", why);
}

static void watch_topics(struct runner *r)
{
    struct err e;
    int rc = r->host.check_topics(r->host.arg, r->settings.partitions, &e);
    bool first = rc < 0 && !r->topics_doubted;
    if (rc <= 0)
        r->topics_doubted = rc < 0;
    if (rc < 0 && !first && !r->topics_wrong[0]) {
        runner_stop_reading(r, e.detail);
    } else if (rc == 0 && r->topics_wrong[0]) {
        log_info("the input topics are as they were set up again");
        r->topics_wrong[0] = '\0';
        r->reopen = true; // every partition is judged anew
    }
    int64_t again_us = TOPICS_CHECK_US;
    if (first)
        again_us = TOPICS_DOUBT_US;
    else if (r->topics_wrong[0])
        again_us = TOPICS_WRONG_CHECK_US;
    r->next_topics_us = runner_mono_us(r) + again_us;
}

void runner_say_start(struct runner *r, int partition, enum instance_start start,
                      const struct err *e)
{
    if (start == START_DEGRADED)
        log_error("the log no longer reaches back to where the replay should begin: duplicates and "
                  "answers of what is gone cannot be recognised",
                  "partition", log_num(partition), "error", e->detail);
    else if (start == START_LOSSY)
        log_error("going on without what is lost, as ACCEPT_LOSS says", "partition",
                  log_num(partition), "error", e->detail);
    else if (start == START_HALTED)
        say_halted(r, partition, e->detail);
}

// What a replay has come upon is judged where the partition is: another owner, or we after joining
// the group anew, would have to read as far again to find it out.
static void judge_replays(struct runner *r)
{
    r->next_judgement_us = runner_mono_us(r) + JUDGE_US;
    for (int p = 0; p < (int)r->settings.partitions && !r->topics_wrong[0]; p++) {
        struct log_ends ends[2];
        struct err e;
        if (!instance_is_doubtful(r->instance, p))
            continue;
        if (source_ends(r->source, p, ends, &e) < 0)
            return; // asked again
        bool was_halted = instance_is_halted(r->instance, p);
        enum instance_start rc = instance_judge(r->instance, p, ends, runner_wall_ms(r), &e);
        if (rc != START_HALTED || !was_halted)
            runner_say_start(r, p, rc, &e);
        if (rc == START_AGAIN)
            runner_plan_rejudgement(r);
    }
}

void runner_look_after(struct runner *r)
{
    int64_t now_us = runner_mono_us(r);
    struct instance_condition condition;
    if (now_us >= r->next_topics_us)
        watch_topics(r);
    if (r->source && now_us >= r->next_judgement_us && !instance_is_flushing(r->instance))
        judge_replays(r);
    if (r->rejudge && now_us >= r->rejudge_us) {
        r->rejudge = false;
        r->reopen = true;
    }
    instance_condition(r->instance, &condition);
    if (condition.halted > 0 && log_limit(&r->halted_complaint, now_us, HALTED_COMPLAINT_US))
        log_error("partitions are halted", "count", log_num((int64_t)condition.halted), "error",
                  condition.why);
}
