// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_store_script.h"

void fake_store_then(struct store *s, enum fake_call call, enum store_result result)
{
    struct fake_script *x = &s->script[call];
    assert(x->count < FAKE_SCRIPT_MAX);
    x->results[x->count++] = result;
}

static enum store_result next(struct store *s, enum fake_call call, struct err *e)
{
    struct fake_script *x = &s->script[call];
    enum store_result result = x->at < x->count ? x->results[x->at++] : s->always[call];
    if (s->during)
        s->during(call);
    if (result != STORE_OK)
        err_set(e, "by the script");
    return result;
}

enum store_result store_settings(struct store *s, struct store_settings *out, struct err *e)
{
    *out = s->settings;
    return next(s, FAKE_SETTINGS, e);
}

enum store_result store_claim(struct store *s, int partition, int64_t held_epoch, struct claim *out,
                              struct err *e)
{
    buf_addf(s->trace, "claim %d;", partition);
    s->held_epoch = held_epoch;
    *out = s->claim;
    out->partition = partition;
    return next(s, FAKE_CLAIM, e);
}

enum store_result store_begin(struct store *s, const struct store_flush *f, struct err *e)
{
    (void)f;
    buf_adds(s->trace, "begin;");
    return next(s, FAKE_BEGIN, e);
}

enum store_result store_write(struct store *s, const struct store_flush *f, struct err *e)
{
    buf_adds(s->trace, "write;");
    assert(f->partition_count <= FAKE_PARTITIONS_MAX);
    s->partition_count = f->partition_count;
    memcpy(s->partitions, f->partitions, f->partition_count * sizeof(*f->partitions));
    s->cell_count = f->cell_count;
    s->requests = 0;
    for (size_t i = 0; i < f->cell_count; i++)
        s->requests += f->cells[i].facts->requests;
    return next(s, FAKE_WRITE, e);
}

enum store_result store_commit(struct store *s, struct err *e)
{
    buf_adds(s->trace, "commit;");
    return next(s, FAKE_COMMIT, e);
}

enum store_result store_resolve(struct store *s, const struct store_flush *f, struct err *e)
{
    (void)f;
    buf_adds(s->trace, "resolve;");
    return next(s, FAKE_RESOLVE, e);
}

void store_abort(struct store *s)
{
    buf_adds(s->trace, "abort;");
}

enum store_result store_closing(struct store *s, int64_t now_ms, int64_t grace_ms,
                                struct store_closing *out, struct err *e)
{
    buf_addf(s->trace, "closing %lld %lld;", (long long)now_ms, (long long)grace_ms);
    *out = s->closing;
    return next(s, FAKE_CLOSING, e);
}

enum store_result store_check(struct store *s, const struct store_flush *f, struct err *e)
{
    buf_adds(s->trace, "check");
    for (size_t i = 0; i < f->partition_count; i++)
        buf_addf(s->trace, " %d/%lld/%lld", f->partitions[i].partition,
                 (long long)f->partitions[i].epoch, (long long)f->partitions[i].flush_seq);
    buf_addc(s->trace, ';');
    return next(s, FAKE_CHECK, e);
}

enum store_result store_find_rival(struct store *s, const struct store_flush *f, bool *found,
                                   struct err *e)
{
    buf_addf(s->trace, "rival %zu;", f->partition_count);
    *found = s->has_rival;
    return next(s, FAKE_RIVAL, e);
}
