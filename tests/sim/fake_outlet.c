// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_outlet.h"

#include "tests/sim/fake_publish.h"

struct outlet {
    struct coordinator *coordinator;
    struct fuse *fuse;
    struct producer *producer; // NULL while closed
};

struct outlet *fake_outlet_new(struct coordinator *c, struct fuse *fuse)
{
    struct outlet *o = xcalloc(1, sizeof(*o));
    *o = (struct outlet){c, fuse, NULL};
    return o;
}

void fake_outlet_free(struct outlet *o)
{
    if (!o)
        return;
    producer_free(o->producer);
    free(o);
}

static enum outlet_result result_of(enum txn_result rc, struct err *e)
{
    if (rc == TXN_OK)
        return OUTLET_OK;
    err_set(e, "the broker says %d", rc);
    return rc == TXN_RETRY ? OUTLET_AGAIN : OUTLET_BROKEN;
}

#define DEAD OUTLET_BROKEN // what a dead process is told; nobody reads it

enum outlet_result outlet_open(struct outlet *o, struct err *e)
{
    if (!fuse_acts(o->fuse))
        return DEAD;
    if (!o->producer)
        o->producer = producer_new(o->coordinator, OUTLET_PUBLISHER);
    return result_of(producer_init(o->producer), e);
}

int64_t fake_outlet_last(const struct coordinator *c)
{
    struct coordinator_record r = {-1, 0, 0};
    int64_t last = 0;
    while (coordinator_read(c, OUTLET_PROGRESS, READ_COMMITTED, r.offset + 1, &r))
        if (r.key != OUTLET_STRANGE)
            last = r.value;
    return last;
}

enum outlet_result outlet_progress(struct outlet *o, int64_t *seq, struct err *e)
{
    const struct coordinator *c = o->coordinator;
    if (!fuse_acts(o->fuse))
        return DEAD;
    int64_t end = coordinator_end(c, OUTLET_PROGRESS, READ_COMMITTED);
    if (end < coordinator_end(c, OUTLET_PROGRESS, READ_UNCOMMITTED)) {
        err_set(e, "an open transaction hides the end");
        return OUTLET_AGAIN;
    }
    *seq = fake_outlet_last(c);
    return OUTLET_OK;
}

enum outlet_result outlet_begin(struct outlet *o, struct err *e)
{
    return fuse_acts(o->fuse) ? result_of(producer_begin(o->producer), e) : DEAD;
}

enum outlet_result outlet_put(struct outlet *o, const struct publish_batch *b,
                              const struct publish_record *r, struct err *e)
{
    if (!fuse_acts(o->fuse))
        return DEAD;
    int64_t value = fake_publish_value(b, r);
    return result_of(producer_send(o->producer, OUTLET_METRICS, r->seq, value), e);
}

enum outlet_result outlet_put_progress(struct outlet *o, int64_t seq, struct err *e)
{
    if (!fuse_acts(o->fuse))
        return DEAD;
    return result_of(producer_send(o->producer, OUTLET_PROGRESS, 0, seq), e);
}

enum outlet_result outlet_commit(struct outlet *o, struct err *e)
{
    return fuse_acts(o->fuse) ? result_of(producer_commit(o->producer), e) : DEAD;
}

void outlet_close(struct outlet *o)
{
    if (!fuse_acts(o->fuse))
        return;
    producer_free(o->producer);
    o->producer = NULL;
}
