// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_broker.h"

#include <stdio.h>

void broker_append(struct broker *b, enum event_kind topic, int partition,
                   const struct truth *truth)
{
    if (b->is_told_again)
        return;
    struct random *r = b->random;
    int64_t time_ms = b->now_ms + b->ahead_ms[topic][partition];
    if (!truth->tick && random_chance(r, b->unsteady_percent))
        time_ms -= random_below(r, 300);
    int offset_gap = random_chance(r, 10) ? random_below(r, 3) : 0;
    sim_log_append(&b->log, topic, partition, time_ms, offset_gap, truth);
}

void broker_free(struct broker *b)
{
    sim_log_free(&b->log);
    letters_free(&b->letters);
}

// ---- what a processor writes ----

struct emit {
    struct broker *broker;
    struct fuse *fuse;
    struct oracle_letter handed[8]; // not acknowledged yet
    size_t count;
};

struct emit *fake_emit_new(struct broker *b, struct fuse *fuse)
{
    struct emit *m = xcalloc(1, sizeof(*m));
    m->broker = b;
    m->fuse = fuse;
    return m;
}

static void deliver(struct emit *m, bool all)
{
    for (size_t i = 0; i < m->count; i++)
        if (all || random_chance(m->broker->random, 50))
            letters_add(&m->broker->letters, &m->handed[i]);
    m->count = 0;
}

void fake_emit_free(struct emit *m)
{
    if (!m)
        return;
    deliver(m, false);
    free(m);
}

int emit_dead_letter(struct emit *m, const struct dead_letter *d, struct err *e)
{
    if (m->count == ARRAY_LEN(m->handed))
        return err_set(e, "queue full");
    if (!fuse_acts(m->fuse))
        return 0;
    struct oracle_letter *l = &m->handed[m->count++];
    *l = (struct oracle_letter){d->topic, d->partition, d->offset, d->reason, ""};
    snprintf(l->tenant, sizeof(l->tenant), "%.*s", (int)d->tenant_n, d->tenant);
    return 0;
}

void emit_tick(struct emit *m, enum event_kind topic, int partition)
{
    struct truth tick = {.tick = true};
    if (fuse_acts(m->fuse) && !random_chance(m->broker->random, m->broker->tick_loss_percent))
        broker_append(m->broker, topic, partition, &tick);
}

int emit_wait(struct emit *m, int timeout_ms, struct err *e)
{
    (void)timeout_ms;
    if (!fuse_acts(m->fuse))
        return 1;
    bool fault = m->count && random_chance(m->broker->random, m->broker->fault_percent);
    if (fault && random_chance(m->broker->random, 50))
        return 1;
    deliver(m, !fault);
    return fault ? err_set(e, "injected fault") : 0;
}
