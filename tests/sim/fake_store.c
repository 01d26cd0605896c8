// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_store.h"

#include "processor/window.h"

enum txn { TXN_NONE, TXN_OPEN, TXN_WRITTEN, TXN_IN_DOUBT };

// The server's side of a connection.
struct backend {
    struct backend *next;
    struct store *client; // NULL once the process is dead or has closed the connection
    enum txn txn;
    int64_t token;
    struct store_flush flush; // borrowed from the process until the COMMIT is in doubt
    struct fake_cell *cells;  // owned
    // In doubt: copies, since the process may be gone when it lands, and whether it lands.
    struct store_partition *partitions;
    struct facts *facts;
    bool landed;
    // Instead, of a client that is no store; arg is owned.
    void (*landing)(struct fake_db *db, const void *arg);
    void *arg;
};

struct store {
    struct fake_db *db;
    struct fuse *fuse;
    int64_t token;
    int owner_id;
    struct backend *backend; // NULL while there is no connection
};

#define DEAD STORE_RETRY // what a dead process is told; nobody reads it

static bool fault(struct store *s, struct err *e)
{
    if (!random_chance(s->db->random, s->db->fault_percent))
        return false;
    err_set(e, "injected fault");
    return true;
}

// ---- sessions ----

static void end_transaction(struct fake_db *db, struct backend *b)
{
    for (int p = 0; p < db->partitions; p++)
        if (db->locked_by[p] == b)
            db->locked_by[p] = NULL;
    for (size_t i = 0; b->facts && i < b->flush.cell_count; i++)
        facts_clear(&b->facts[i]);
    free(b->facts);
    free(b->partitions);
    free(b->cells);
    free(b->arg);
    b->arg = NULL;
    b->facts = NULL;
    b->partitions = NULL;
    b->cells = NULL;
    b->txn = TXN_NONE;
}

static void carry_out(struct fake_db *db, const struct backend *b)
{
    if (b->landing) {
        b->landing(db, b->arg);
        return;
    }
    fake_db_flush(db, b->token, b->flush.partitions, b->flush.partition_count, b->cells,
                  b->flush.cell_count);
}

// Whatever the session was doing is over: a COMMIT under way has landed or has not.
static void terminate(struct fake_db *db, struct backend *b)
{
    if (b->txn == TXN_IN_DOUBT && b->landed)
        carry_out(db, b);
    end_transaction(db, b);
    if (b->client)
        b->client->backend = NULL;
    struct backend **link = &db->backends;
    while (*link != b)
        link = &(*link)->next;
    *link = b->next;
    free(b);
}

static struct backend *connected(struct store *s)
{
    if (s->backend)
        return s->backend;
    struct backend *b = xcalloc(1, sizeof(*b));
    *b = (struct backend){.next = s->db->backends, .client = s, .token = s->token};
    s->db->backends = s->backend = b;
    return b;
}

// The connection is cut. The server may not notice for a while what it did not hear.
static void disconnect(struct store *s)
{
    struct backend *b = s->backend;
    if (!b)
        return;
    b->client = NULL;
    s->backend = NULL;
    if (b->txn == TXN_NONE || (b->txn != TXN_IN_DOUBT && random_chance(s->db->random, 70)))
        terminate(s->db, b);
}

void fake_store_leave_in_doubt(struct fake_db *db, bool lands,
                               void (*landing)(struct fake_db *db, const void *arg),
                               const void *arg, size_t n)
{
    assert(!db->locked_by[0]);
    struct backend *b = xcalloc(1, sizeof(*b));
    *b = (struct backend){.next = db->backends,
                          .txn = TXN_IN_DOUBT,
                          .landed = lands,
                          .landing = landing,
                          .arg = xmemdup(arg, n)};
    db->backends = db->locked_by[0] = b;
}

void fake_store_end_silent(struct fake_db *db, int partition)
{
    struct backend *b = db->locked_by[partition];
    if (b && !b->client)
        terminate(db, b);
}

void fake_store_let_sessions_pass(struct fake_db *db)
{
    for (struct backend *b = db->backends, *next; b; b = next) {
        next = b->next;
        bool is_over = !b->client || b->txn == TXN_IN_DOUBT;
        if (is_over && random_chance(db->random, 10))
            terminate(db, b);
    }
}

void fake_store_end_sessions(struct fake_db *db)
{
    while (db->backends)
        terminate(db, db->backends);
}

// ---- life ----

struct store *fake_store_new(struct fake_db *db, int64_t token, int owner_id, struct fuse *fuse)
{
    struct store *s = xcalloc(1, sizeof(*s));
    *s = (struct store){.db = db, .token = token, .owner_id = owner_id, .fuse = fuse};
    return s;
}

// Borrowed batches end with the process: what is not in doubt cannot be carried out any more, but
// its locks may stay.
void fake_store_free(struct store *s)
{
    if (!s)
        return;
    disconnect(s);
    free(s);
}

void store_abort(struct store *s)
{
    if (!fuse_acts(s->fuse) || !s->backend)
        return;
    if (s->backend->txn == TXN_IN_DOUBT)
        disconnect(s);
    else
        end_transaction(s->db, s->backend);
}

enum store_result store_settings(struct store *s, struct store_settings *out, struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_RETRY;
    const struct fake_epoch *newest = fake_db_newest(s->db);
    *out = (struct store_settings){s->db->partitions, newest->ttl_ms, newest->skew_ms,
                                   newest->max_series, newest->epoch};
    return STORE_OK;
}

// ---- ownership ----

enum store_result store_claim(struct store *s, int partition, int64_t held_epoch, struct claim *out,
                              struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_RETRY;
    if (s->db->locked_by[partition])
        terminate(s->db, s->db->locked_by[partition]);
    (void)connected(s);
    struct fake_position *row = &s->db->now.position[partition];
    bool kept = held_epoch != 0 && row->epoch == held_epoch && row->token == s->token;
    if (!kept) {
        row->epoch = max_i64(row->epoch, held_epoch) + 1;
        row->token = s->token;
    }
    row->owner_id = s->owner_id;
    *out = (struct claim){
        .partition = partition,
        .epoch = row->epoch,
        .flush_seq = row->flush_seq,
        .kept = kept,
        .stored = row->stored,
        .position = row->position,
        .settings = row->settings,
    };
    // The answer may be lost although it is done.
    return s->fuse->dead || fault(s, e) ? STORE_RETRY : STORE_OK;
}

enum standing { STANDS_NOT_IN, STANDS_IN, STANDS_FENCED };

static enum standing standing_of(const struct store *s, const struct store_flush *f)
{
    size_t in = 0;
    for (size_t i = 0; i < f->partition_count; i++) {
        const struct store_partition *p = &f->partitions[i];
        const struct fake_position *row = &s->db->now.position[p->partition];
        int64_t ahead = row->flush_seq - p->flush_seq;
        if (row->epoch != p->epoch || row->token != s->token || (ahead != 0 && ahead != 1))
            return STANDS_FENCED;
        in += ahead == 1;
    }
    return in == 0 ? STANDS_NOT_IN : in == f->partition_count ? STANDS_IN : STANDS_FENCED;
}

static bool is_locked(const struct store *s, const struct store_flush *f)
{
    for (size_t i = 0; i < f->partition_count; i++) {
        const struct backend *b = s->db->locked_by[f->partitions[i].partition];
        if (b && b != s->backend)
            return true;
    }
    return false;
}

// ---- a flush ----

// Series and windows are made in a transaction of their own, before the fence: they stay though the
// flush is void.
static void resolve_cells(struct store *s, struct backend *b, const struct store_flush *f)
{
    b->cells = xcalloc(f->cell_count, sizeof(*b->cells));
    for (size_t i = 0; i < f->cell_count; i++) {
        const struct store_cell *c = &f->cells[i];
        int series = fake_db_resolve(s->db, c->series);
        c->series->store_id = series;
        fake_db_make_window(s->db, c->window_start_us);
        b->cells[i] = (struct fake_cell){series, c->window_start_us, c->facts};
    }
}

enum store_result store_begin(struct store *s, const struct store_flush *f, struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return DEAD;
    for (size_t i = 1; i < f->partition_count; i++)
        if (f->partitions[i - 1].partition >= f->partitions[i].partition)
            fake_db_violated(s->db, "position rows are not locked in partition order");
    struct backend *b = connected(s);
    assert(b->txn == TXN_NONE);
    resolve_cells(s, b, f);
    if (fault(s, e) || is_locked(s, f)) {
        end_transaction(s->db, b);
        return STORE_RETRY;
    }
    if (standing_of(s, f) != STANDS_NOT_IN) {
        end_transaction(s->db, b);
        return STORE_FENCED;
    }
    for (size_t i = 0; i < f->partition_count; i++)
        s->db->locked_by[f->partitions[i].partition] = b;
    b->txn = TXN_OPEN;
    b->flush = *f;
    return STORE_OK;
}

enum store_result store_write(struct store *s, const struct store_flush *f, struct err *e)
{
    (void)f; // as it was at store_begin
    if (!fuse_acts(s->fuse))
        return DEAD;
    struct backend *b = s->backend;
    // A claim may have ended this session since.
    if (!b || fault(s, e)) {
        if (b)
            end_transaction(s->db, b);
        return err_set(e, "the connection is lost"), STORE_RETRY;
    }
    b->txn = TXN_WRITTEN;
    return STORE_OK;
}

// From here on the session needs what it was told though the process may be gone.
static void leave_in_doubt(struct store *s)
{
    struct backend *b = s->backend;
    struct store_flush *f = &b->flush;
    enum lost_commit how = s->db->next_commit;
    b->txn = TXN_IN_DOUBT;
    b->landed =
        how == COMMIT_BY_CHANCE ? random_chance(s->db->random, 50) : how == COMMIT_LANDS_UNHEARD;
    s->db->next_commit = COMMIT_BY_CHANCE;
    b->partitions = xmemdup(f->partitions, f->partition_count * sizeof(*f->partitions));
    f->partitions = b->partitions;
    b->facts = xcalloc(f->cell_count, sizeof(*b->facts));
    for (size_t i = 0; i < f->cell_count; i++) {
        facts_add(&b->facts[i], b->cells[i].facts);
        b->cells[i].facts = &b->facts[i];
    }
}

enum store_result store_commit(struct store *s, struct err *e)
{
    bool was_dead = s->fuse->dead;
    bool acts = fuse_acts(s->fuse);
    struct backend *b = s->backend;
    if (was_dead)
        return DEAD;
    if (!b) // ended before it heard of the COMMIT, which nobody here can know
        return err_set(e, "the connection is lost"), STORE_UNKNOWN;
    assert(b->txn == TXN_WRITTEN);
    bool lost = s->db->next_commit != COMMIT_BY_CHANCE || fault(s, e);
    if (acts && (s->fuse->dead || !lost)) {
        carry_out(s->db, b);
        end_transaction(s->db, b);
        return STORE_OK;
    }
    if (acts) {
        leave_in_doubt(s);
        if (random_chance(s->db->random, 30)) // noticed at once
            terminate(s->db, b);
    }
    return STORE_UNKNOWN;
}

enum store_result store_resolve(struct store *s, const struct store_flush *f, struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_UNKNOWN;
    if (s->backend)
        terminate(s->db, s->backend);
    if (is_locked(s, f))
        return err_set(e, "lock timeout"), STORE_UNKNOWN;
    (void)connected(s);
    enum standing standing = standing_of(s, f);
    return standing == STANDS_IN       ? STORE_OK
           : standing == STANDS_NOT_IN ? STORE_RETRY
                                       : STORE_FENCED;
}

enum store_result store_check(struct store *s, const struct store_flush *f, struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_RETRY;
    return standing_of(s, f) == STANDS_NOT_IN ? STORE_OK : STORE_FENCED;
}

// ---- closing ----

enum store_result store_closing(struct store *s, int64_t now_ms, int64_t grace_ms,
                                struct store_closing *out, struct err *e)
{
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_RETRY;
    *out = (struct store_closing){TIME_NONE, fake_db_progress(s->db)};
    for (size_t i = 0; i < s->db->now.windows.n; i++) {
        const struct fake_window *w = &s->db->now.windows.v[i];
        int64_t at_ms = (w->start_us + WINDOW_US) / 1000 + grace_ms;
        if (!w->complete && at_ms <= now_ms)
            out->want_ms = max_i64(out->want_ms, at_ms);
    }
    return STORE_OK;
}

enum store_result store_find_rival(struct store *s, const struct store_flush *f, bool *found,
                                   struct err *e)
{
    *found = false;
    if (!fuse_acts(s->fuse) || fault(s, e))
        return STORE_RETRY;
    for (size_t i = 0; i < f->partition_count; i++) {
        const struct fake_position *row = &s->db->now.position[f->partitions[i].partition];
        *found = *found || (row->epoch > f->partitions[i].epoch && row->token != 0 &&
                            row->token != s->token && s->owner_id && row->owner_id == s->owner_id);
    }
    return STORE_OK;
}
