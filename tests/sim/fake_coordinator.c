// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fake_coordinator.h"

enum txn_state { TXN_IS_OPEN, TXN_IS_COMMITTED, TXN_IS_ABORTED };

struct entry {
    int64_t key, value;
    int txn;        // number of its transaction
    bool is_marker; // of the transaction's end
};

struct topic_log {
    struct entry *v; // owned; the offset is the index
    size_t n, cap;
};

struct txn {
    enum txn_state state;
    int id;
    int64_t began_ms;
    bool touched[COORDINATOR_TOPICS];
    int64_t first[COORDINATOR_TOPICS]; // its first record, where touched
    bool is_poisoned;                  // a record of it was not taken
    bool in_doubt, will_commit;        // its end was asked for, and carried out unheard, or later
};

struct coordinator {
    struct random *random;
    int fault_percent;
    enum lost_end next_commit;
    int64_t timeout_ms, now_ms;
    struct topic_log topics[COORDINATOR_TOPICS];
    struct txn *txns; // owned
    size_t txn_count, txn_cap;
    size_t ended;                   // all before have
    int64_t epoch[COORDINATOR_IDS]; // of the newest producer
};

struct producer {
    struct coordinator *c;
    int id;
    int64_t epoch; // 0 before it is initialised
    int txn;       // -1 = none
};

struct coordinator *coordinator_new(struct random *random, int64_t transaction_timeout_ms)
{
    struct coordinator *c = xcalloc(1, sizeof(*c));
    c->random = random;
    c->timeout_ms = transaction_timeout_ms;
    return c;
}

void coordinator_free(struct coordinator *c)
{
    if (!c)
        return;
    for (int t = 0; t < COORDINATOR_TOPICS; t++)
        free(c->topics[t].v);
    free(c->txns);
    free(c);
}

void coordinator_set_faults(struct coordinator *c, int percent)
{
    c->fault_percent = percent;
}

void coordinator_lose_commit(struct coordinator *c, enum lost_end how)
{
    c->next_commit = how;
}

// ---- the logs ----

static void append(struct coordinator *c, int topic, const struct entry *e)
{
    struct topic_log *t = &c->topics[topic];
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->v = xrealloc(t->v, t->cap * sizeof(*t->v));
    }
    t->v[t->n++] = *e;
}

static void end_txn(struct coordinator *c, int number, bool commit)
{
    struct txn *txn = &c->txns[number];
    assert(txn->state == TXN_IS_OPEN);
    txn->state = commit ? TXN_IS_COMMITTED : TXN_IS_ABORTED;
    txn->in_doubt = false;
    for (int t = 0; t < COORDINATOR_TOPICS; t++)
        if (txn->touched[t])
            append(c, t, &(struct entry){.txn = number, .is_marker = true});
    while (c->ended < c->txn_count && c->txns[c->ended].state != TXN_IS_OPEN)
        c->ended++;
}

int64_t coordinator_end(const struct coordinator *c, int topic, enum isolation isolation)
{
    int64_t end = (int64_t)c->topics[topic].n;
    for (size_t i = c->ended; isolation == READ_COMMITTED && i < c->txn_count; i++)
        if (c->txns[i].state == TXN_IS_OPEN && c->txns[i].touched[topic])
            end = min_i64(end, c->txns[i].first[topic]);
    return end;
}

bool coordinator_read(const struct coordinator *c, int topic, enum isolation isolation,
                      int64_t offset, struct coordinator_record *out)
{
    const struct topic_log *t = &c->topics[topic];
    int64_t end = coordinator_end(c, topic, isolation);
    for (; offset < end; offset++) {
        const struct entry *e = &t->v[offset];
        bool visible = isolation == READ_UNCOMMITTED || c->txns[e->txn].state == TXN_IS_COMMITTED;
        if (e->is_marker || !visible)
            continue;
        *out = (struct coordinator_record){offset, e->key, e->value};
        return true;
    }
    return false;
}

// ---- the coordinator's own ----

// What was asked for and not answered happens before anything else of the id does.
static void settle_doubt(struct coordinator *c, int number)
{
    if (c->txns[number].state == TXN_IS_OPEN && c->txns[number].in_doubt)
        end_txn(c, number, c->txns[number].will_commit);
}

void coordinator_pass(struct coordinator *c, int64_t now_ms)
{
    assert(now_ms >= c->now_ms);
    c->now_ms = now_ms;
    for (size_t i = c->ended; i < c->txn_count; i++) {
        const struct txn *txn = &c->txns[i];
        if (txn->state != TXN_IS_OPEN)
            continue;
        if (txn->in_doubt && random_chance(c->random, 5))
            settle_doubt(c, (int)i);
        else if (!txn->in_doubt && now_ms - txn->began_ms > c->timeout_ms)
            end_txn(c, (int)i, false);
    }
}

static bool fault(struct coordinator *c)
{
    return random_chance(c->random, c->fault_percent);
}

// ---- producers ----

struct producer *producer_new(struct coordinator *c, int transactional_id)
{
    assert(transactional_id >= 0 && transactional_id < COORDINATOR_IDS);
    struct producer *p = xcalloc(1, sizeof(*p));
    *p = (struct producer){.c = c, .id = transactional_id, .txn = -1};
    return p;
}

void producer_free(struct producer *p)
{
    free(p);
}

enum txn_result producer_init(struct producer *p)
{
    struct coordinator *c = p->c;
    assert(p->epoch == 0);
    if (fault(c))
        return TXN_RETRY;
    for (size_t i = c->ended; i < c->txn_count; i++) {
        if (c->txns[i].id != p->id || c->txns[i].state != TXN_IS_OPEN)
            continue;
        settle_doubt(c, (int)i);
        if (c->txns[i].state == TXN_IS_OPEN)
            end_txn(c, (int)i, false);
    }
    c->epoch[p->id]++;
    if (fault(c)) // the answer is lost: the next attempt takes a newer epoch
        return TXN_RETRY;
    p->epoch = c->epoch[p->id];
    return TXN_OK;
}

static bool is_fenced(const struct producer *p)
{
    return p->epoch != p->c->epoch[p->id];
}

enum txn_result producer_begin(struct producer *p)
{
    struct coordinator *c = p->c;
    assert(p->epoch > 0 && p->txn < 0);
    if (is_fenced(p))
        return TXN_FENCED;
    if (c->txn_count == c->txn_cap) {
        c->txn_cap = c->txn_cap ? c->txn_cap * 2 : 16;
        c->txns = xrealloc(c->txns, c->txn_cap * sizeof(*c->txns));
    }
    c->txns[c->txn_count] = (struct txn){.id = p->id, .began_ms = c->now_ms};
    p->txn = (int)c->txn_count++;
    return TXN_OK;
}

// A transaction that timed out was aborted behind its producer's back.
static enum txn_result standing_of(const struct producer *p)
{
    assert(p->txn >= 0);
    if (is_fenced(p))
        return TXN_FENCED;
    const struct txn *txn = &p->c->txns[p->txn];
    return txn->state == TXN_IS_OPEN && !txn->is_poisoned ? TXN_OK : TXN_ABORT;
}

enum txn_result producer_send(struct producer *p, int topic, int64_t key, int64_t value)
{
    enum txn_result rc = standing_of(p);
    if (rc != TXN_OK)
        return rc;
    struct txn *txn = &p->c->txns[p->txn];
    txn->is_poisoned = fault(p->c);
    if (txn->is_poisoned)
        return TXN_ABORT;
    if (!txn->touched[topic])
        txn->first[topic] = (int64_t)p->c->topics[topic].n;
    txn->touched[topic] = true;
    append(p->c, topic, &(struct entry){.key = key, .value = value, .txn = p->txn});
    return TXN_OK;
}

static enum txn_result leave_in_doubt(struct producer *p, bool will_commit, bool at_once)
{
    p->c->txns[p->txn].in_doubt = true;
    p->c->txns[p->txn].will_commit = will_commit;
    if (at_once)
        settle_doubt(p->c, p->txn);
    return TXN_UNKNOWN;
}

enum txn_result producer_commit(struct producer *p)
{
    struct coordinator *c = p->c;
    enum txn_result rc = standing_of(p);
    if (rc != TXN_OK)
        return rc;
    enum lost_end how = c->next_commit;
    c->next_commit = END_BY_CHANCE;
    if (how != END_BY_CHANCE)
        return leave_in_doubt(p, how == END_COMMITTED || how == END_COMMITS_LATER,
                              how == END_COMMITTED || how == END_ABORTED);
    if (fault(c)) {
        if (random_chance(c->random, 40))
            return TXN_RETRY;
        bool will_commit = random_chance(c->random, 50);
        return leave_in_doubt(p, will_commit, random_chance(c->random, 50));
    }
    end_txn(c, p->txn, true);
    p->txn = -1;
    return TXN_OK;
}

enum txn_result producer_abort(struct producer *p)
{
    if (is_fenced(p))
        return TXN_FENCED;
    if (fault(p->c))
        return TXN_RETRY;
    if (p->c->txns[p->txn].state == TXN_IS_OPEN) // else it timed out
        end_txn(p->c, p->txn, false);
    p->txn = -1;
    return TXN_OK;
}
