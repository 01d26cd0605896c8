// SPDX-License-Identifier: Apache-2.0
#include "processor/flush.h"

#define ACK_SLICE_MS 50 // a step may block this long for the broker

static void collect_cells(struct flush *f, struct window_table *deltas)
{
    size_t count = window_count(deltas);
    f->cells = xcalloc(count, sizeof(*f->cells));
    for (size_t i = 0; i < count; i++) {
        struct window_cell *cell = window_at(deltas, i);
        f->cells[i] = (struct store_cell){cell->series, cell->window_start_us, &cell->facts};
    }
    f->batch.cells = f->cells;
    f->batch.cell_count = count;
}

void flush_start(struct flush *f, const struct flush_member *members, size_t n,
                 struct window_table *deltas)
{
    assert(f->state == FLUSH_IDLE);
    *f = (struct flush){.state = FLUSH_BEGIN};
    f->partitions = xcalloc(n, sizeof(*f->partitions));
    f->tasks = xcalloc(n, sizeof(struct task *));
    for (size_t i = 0; i < n; i++) {
        assert(task_is_live(members[i].task));
        f->tasks[i] = members[i].task;
        f->partitions[i] = (struct store_partition){
            .partition = task_partition(members[i].task),
            .epoch = members[i].epoch,
            .flush_seq = members[i].flush_seq,
        };
        memcpy(f->partitions[i].gap, members[i].gap, sizeof(members[i].gap));
        task_position(members[i].task, &f->partitions[i].position);
    }
    f->batch.partitions = f->partitions;
    f->batch.partition_count = n;
    collect_cells(f, deltas);
}

void flush_clear(struct flush *f)
{
    free(f->partitions);
    free(f->cells);
    free(f->tasks);
    *f = (struct flush){.state = FLUSH_IDLE};
}

// Waits for what was handed in; a failure means that all must be handed in again (at least once).
static int await_letters(struct flush *f, struct emit *emit, struct err *e)
{
    int rc = emit_wait(emit, ACK_SLICE_MS, e);
    if (rc < 0)
        f->letter_task = f->letter_next = 0;
    return rc;
}

// The position rows are not held while the broker is slow. Letters that it has acknowledged stay
// so, and the next attempt begins where this one ends.
static enum flush_result let_go(struct flush *f, struct store *store)
{
    store_abort(store);
    f->state = FLUSH_BEGIN;
    return FLUSH_WAIT;
}

// P may only move past dead letters that the broker has acknowledged; and only behind the fence are
// they sent, since who was fenced by a new settings epoch may have judged records by an old one.
static enum flush_result step_letters(struct flush *f, struct store *store, struct emit *emit,
                                      struct err *e)
{
    for (; f->letter_task < f->batch.partition_count; f->letter_task++, f->letter_next = 0) {
        size_t count;
        const struct dead_letter *letters = task_dead_letters(f->tasks[f->letter_task], &count);
        for (; f->letter_next < count; f->letter_next++)
            if (emit_dead_letter(emit, &letters[f->letter_next], e) < 0)
                return await_letters(f, emit, e) == 0 ? FLUSH_AGAIN : let_go(f, store);
    }
    if (await_letters(f, emit, e) != 0)
        return let_go(f, store);
    f->state = FLUSH_WRITE;
    return FLUSH_AGAIN;
}

static enum flush_result begin_anew(struct flush *f, struct processor_stats *stats)
{
    f->state = FLUSH_BEGIN;
    stats->flush_retries++;
    return FLUSH_WAIT;
}

static enum flush_result step_store(struct flush *f, struct store *store,
                                    struct processor_stats *stats, struct err *e)
{
    enum store_result result = STORE_FATAL;
    if (f->state == FLUSH_BEGIN)
        result = store_begin(store, &f->batch, e);
    else if (f->state == FLUSH_WRITE)
        result = store_write(store, &f->batch, e);
    else if (f->state == FLUSH_COMMIT)
        result = store_commit(store, e);
    else
        result = store_resolve(store, &f->batch, e);
    switch (result) {
    case STORE_OK:
        if (f->state == FLUSH_COMMIT || f->state == FLUSH_RESOLVE) {
            stats->flushes++;
            stats->flushed_rows += (int64_t)f->batch.cell_count;
            return FLUSH_DONE;
        }
        f->state = f->state == FLUSH_BEGIN ? FLUSH_LETTERS : FLUSH_COMMIT;
        return FLUSH_AGAIN;
    case STORE_RETRY:
        return begin_anew(f, stats);
    case STORE_UNKNOWN:
        assert(f->state == FLUSH_COMMIT || f->state == FLUSH_RESOLVE);
        if (f->state == FLUSH_COMMIT)
            stats->flush_unknown++;
        f->state = FLUSH_RESOLVE;
        return FLUSH_WAIT;
    case STORE_FENCED:
        stats->flush_fenced++;
        return FLUSH_FENCED;
    case STORE_FATAL:
        return FLUSH_FATAL;
    }
    return FLUSH_FATAL;
}

enum flush_result flush_step(struct flush *f, struct store *store, struct emit *emit,
                             struct processor_stats *stats, struct err *e)
{
    assert(f->state != FLUSH_IDLE);
    if (f->state == FLUSH_LETTERS)
        return step_letters(f, store, emit, e);
    return step_store(f, store, stats, e);
}
