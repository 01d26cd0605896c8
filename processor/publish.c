// SPDX-License-Identifier: Apache-2.0
#include "processor/publish.h"

void publish_init(struct publish *p, const struct publish_rule *rule, struct publish_store *store,
                  struct outlet *outlet, struct publisher_stats *stats)
{
    *p = (struct publish){.rule = *rule, .store = store, .outlet = outlet, .stats = stats};
}

// Back to where there is neither a producer nor a batch.
static void give_up(struct publish *p, enum publish_state state)
{
    if (p->state > PUBLISH_CHECK)
        outlet_close(p->outlet);
    publish_batch_clear(&p->batch);
    p->next = 0;
    p->stats->is_publisher = 0;
    p->state = state;
}

void publish_clear(struct publish *p)
{
    give_up(p, PUBLISH_IDLE);
    p->epoch = 0;
}

// An epoch under which we were fenced stays so: only another one begins anew.
void publish_own(struct publish *p, int64_t epoch)
{
    if (epoch == p->epoch)
        return;
    give_up(p, epoch ? PUBLISH_CHECK : PUBLISH_IDLE);
    p->epoch = epoch;
}

// ---- the database ----

static enum publish_result fenced(struct publish *p)
{
    p->stats->fenced++;
    give_up(p, PUBLISH_IDLE);
    return PUBLISH_STOP;
}

static enum store_result take(struct publish *p, int64_t now_ms, struct err *e)
{
    publish_batch_clear(&p->batch);
    enum store_result rc =
        publish_store_take(p->store, p->epoch, p->progress, &p->rule, now_ms, &p->batch, e);
    if (rc != STORE_OK)
        return rc;
    p->next = 0;
    p->stats->resumed += p->batch.resumed ? (int64_t)p->batch.n : 0;
    p->stats->advanced += p->batch.advanced_from != 0;
    p->stats->missing += p->batch.missing_before != 0;
    return rc;
}

static enum publish_result nothing_due(struct publish *p, int64_t now_ms)
{
    p->state = PUBLISH_CLOSE;
    p->stats->caught_up_s = now_ms / 1000;
    return PUBLISH_DONE;
}

static enum publish_result after_take(struct publish *p, int64_t now_ms)
{
    if (p->batch.n == 0)
        return nothing_due(p, now_ms);
    p->state = PUBLISH_BEGIN;
    return PUBLISH_AGAIN;
}

static enum publish_result step_store(struct publish *p, int64_t now_ms, struct err *e)
{
    enum store_result rc = STORE_FATAL;
    if (p->state == PUBLISH_CHECK)
        rc = publish_store_check(p->store, p->epoch, e);
    else if (p->state == PUBLISH_CLOSE)
        rc = publish_store_close(p->store, p->epoch, &p->rule.closing, now_ms, e);
    else
        rc = take(p, now_ms, e);
    switch (rc) {
    case STORE_OK:
        if (p->state == PUBLISH_TAKE)
            return after_take(p, now_ms);
        p->state = p->state == PUBLISH_CHECK ? PUBLISH_OPEN : PUBLISH_TAKE;
        return PUBLISH_AGAIN;
    case STORE_FENCED:
        return fenced(p);
    case STORE_RETRY:
    case STORE_UNKNOWN:
    case STORE_FATAL: // the poll loop meets it too, and ends the process where it must
        break;
    }
    return PUBLISH_WAIT;
}

// ---- the log ----

static void on_committed(struct publish *p, int64_t now_ms)
{
    const struct publish_batch *b = &p->batch;
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].due_ms)
            stats_observe_us(&p->stats->delay_seconds, 1000 * max_i64(now_ms - b->v[i].due_ms, 0));
    p->progress = b->v[b->n - 1].seq;
    p->stats->sequence = p->progress;
    p->stats->published += (int64_t)b->n;
    p->stats->committed++;
}

// What a call that was done leads to.
static enum publish_result advance(struct publish *p, int64_t now_ms)
{
    switch (p->state) {
    case PUBLISH_OPEN:
        p->stats->is_publisher = 1;
        p->state = PUBLISH_PROGRESS;
        break;
    case PUBLISH_PROGRESS:
        p->stats->sequence = p->progress;
        p->state = PUBLISH_CLOSE;
        break;
    case PUBLISH_BEGIN:
        p->state = PUBLISH_PUT;
        break;
    case PUBLISH_PUT: // the progress comes behind the records
        if (p->next++ == p->batch.n)
            p->state = PUBLISH_COMMIT;
        break;
    default: {
        on_committed(p, now_ms);
        bool more = p->batch.more;
        publish_batch_clear(&p->batch);
        if (!more)
            return nothing_due(p, now_ms);
        p->state = PUBLISH_TAKE;
    }
    }
    return PUBLISH_AGAIN;
}

static enum outlet_result call(struct publish *p, struct err *e)
{
    const struct publish_batch *b = &p->batch;
    switch (p->state) {
    case PUBLISH_OPEN:
        return outlet_open(p->outlet, e);
    case PUBLISH_PROGRESS:
        return outlet_progress(p->outlet, &p->progress, e);
    case PUBLISH_BEGIN:
        return outlet_begin(p->outlet, e);
    case PUBLISH_PUT:
        return p->next < b->n ? outlet_put(p->outlet, b, &b->v[p->next], e)
                              : outlet_put_progress(p->outlet, b->v[b->n - 1].seq, e);
    default:
        return outlet_commit(p->outlet, e);
    }
}

static enum publish_result step_outlet(struct publish *p, int64_t now_ms, struct err *e)
{
    switch (call(p, e)) {
    case OUTLET_OK:
        return advance(p, now_ms);
    case OUTLET_AGAIN:
        return PUBLISH_WAIT;
    case OUTLET_BROKEN:
        break;
    }
    // Whether it is in the log only a new producer can tell, and whether one may be made only the
    // database.
    p->stats->broken++;
    give_up(p, PUBLISH_CHECK);
    return PUBLISH_WAIT;
}

enum publish_result publish_step(struct publish *p, int64_t now_ms, struct err *e)
{
    e->detail[0] = '\0';
    switch (p->state) {
    case PUBLISH_IDLE:
        return PUBLISH_STOP;
    case PUBLISH_CHECK:
    case PUBLISH_CLOSE:
    case PUBLISH_TAKE:
        return step_store(p, now_ms, e);
    case PUBLISH_OPEN:
    case PUBLISH_PROGRESS:
    case PUBLISH_BEGIN:
    case PUBLISH_PUT:
    case PUBLISH_COMMIT:
        break;
    }
    return step_outlet(p, now_ms, e);
}
