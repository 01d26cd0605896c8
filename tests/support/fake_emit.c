// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_emit.h"

int emit_dead_letter(struct emit *m, const struct dead_letter *d, struct err *e)
{
    if (m->handed == m->room)
        return err_set(e, "the queue is full");
    m->handed++;
    buf_addf(m->trace, "letter %lld;", (long long)d->offset);
    return 0;
}

void emit_tick(struct emit *m, enum event_kind topic, int partition)
{
    buf_addf(m->trace, "tick %d/%d;", (int)topic, partition);
}

int emit_wait(struct emit *m, int timeout_ms, struct err *e)
{
    (void)timeout_ms;
    buf_adds(m->trace, "wait;");
    int rc = m->wait_at < m->wait_count ? m->waits[m->wait_at++] : 0;
    if (rc != 1)
        m->handed = 0;
    return rc < 0 ? err_set(e, "the broker took not all") : rc;
}
