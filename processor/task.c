// SPDX-License-Identifier: Apache-2.0
// Reading order: time, then what a request and a response do, then feed.
#include "processor/task.h"

#include <stdio.h>

#include "common/core/config.h"
#include "common/core/timeunit.h"
#include "processor/replay_ring.h"

#define KEY_IS_HASHED SIZE_MAX
#define RESERVED_MAX ((size_t)1 << 20) // identities: 128 MiB; the table grows to what it takes
#define NAMES_BYTES_MAX (1u << 20)   // of a replay: requests beyond it ask for their series at once
#define LETTER_BYTES_MAX (16u << 20) // a record may be as large as the broker takes, and so its key

struct log_state {
    struct log_position at; // but for last_key, see remember_key()
    char key[EVENT_NAME_MAX];
    size_t key_n; // KEY_IS_HASHED: at.last_key is right
    struct replay_ring ring;
    int64_t barrier;            // replay: P; reached when at.next >= barrier
    struct log_position stored; // replay: what the database holds
    bool cut;                   // replay: does not reach back to R
    int64_t first_ms;           // replay: the time of its first record
    bool full;                  // the next record waits for room in the join table
};

struct task {
    int partition;
    struct task_limits limits;
    struct settings settings;
    struct task_env env;
    bool live;
    struct log_state log[2];
    struct join *join;
    struct dead_letters letters;
    size_t kept_bytes;  // of answers that wait, and
    size_t names_bytes; // of the names of requests that do
    char error[256];
};

// ---- life ----

static struct task *task_alloc(int partition, const struct task_limits *limits,
                               const struct settings *settings, const struct task_env *env)
{
    struct task *t = xcalloc(1, sizeof(*t));
    t->partition = partition;
    t->limits = *limits;
    t->settings = *settings;
    t->env = *env;
    t->join = join_new(&t->settings, limits->max_joins);
    return t;
}

static void log_start(struct log_state *l, int64_t offset)
{
    l->at = (struct log_position){
        .next = offset, .time_ms = TIME_NONE, .replay = offset, .last_offset = -1};
    l->key_n = KEY_IS_HASHED;
    replay_ring_begin(&l->ring, offset);
}

struct task *task_new(int partition, const struct task_limits *limits,
                      const struct settings *settings, const struct task_env *env,
                      const int64_t start[2])
{
    struct task *t = task_alloc(partition, limits, settings, env);
    for (int k = 0; k < 2; k++)
        log_start(&t->log[k], start[k]);
    t->live = true;
    return t;
}

static bool arrived(const struct task *t, int k)
{
    return t->log[k].at.next >= t->log[k].barrier;
}

static void go_live_if_arrived(struct task *t);

// How many records are to be replayed is known, and most of their identities will be remembered at
// its end: the table is made for them at once (12 % of a replay of bench_core).
static void reserve_for_replay(struct task *t)
{
    int64_t records = 0;
    for (int k = 0; k < 2; k++)
        records = max_i64(records, t->log[k].barrier - t->log[k].at.next);
    size_t identities = (size_t)max_i64(records, 0);
    join_reserve(t->join, identities < RESERVED_MAX ? identities : RESERVED_MAX);
}

struct task *task_new_at(int partition, const struct task_limits *limits,
                         const struct settings *settings, const struct task_env *env,
                         const struct position *stored)
{
    struct task *t = task_alloc(partition, limits, settings, env);
    for (int k = 0; k < 2; k++) {
        log_start(&t->log[k], stored->log[k].replay);
        t->log[k].stored = stored->log[k];
        t->log[k].barrier = stored->log[k].next;
        t->log[k].first_ms = TIME_NONE;
    }
    reserve_for_replay(t);
    go_live_if_arrived(t);
    return t;
}

void task_skip_to(struct task *t, enum event_kind topic, int64_t offset)
{
    struct log_state *l = &t->log[topic];
    l->at.next = max_i64(l->at.next, offset);
    l->barrier = max_i64(l->barrier, offset);
    l->cut = true;
    go_live_if_arrived(t);
}

static void drop_asked(struct task *t, const struct join_request *asked)
{
    if (asked->names_n == 0) {
        series_drop(t->env.series, asked->series);
        return;
    }
    t->kept_bytes -= asked->names_n;
    t->names_bytes -= asked->names_n;
    free(asked->names);
}

static void names_to_series(struct join_waiting *w, void *arg)
{
    struct task *t = arg;
    struct join_request asked = w->request;
    if (asked.names_n == 0)
        return;
    int64_t epoch = settings_at(&t->settings, w->time_ms)->series_epoch;
    w->request.series = series_take_kept(t->env.series, asked.names, epoch);
    w->request.names_n = 0;
    drop_asked(t, &asked);
}

static void drop_waiting(struct join_waiting *w, void *arg)
{
    struct task *t = arg;
    if (w->kind == EVENT_REQUEST)
        drop_asked(t, &w->request);
    else
        free(w->response.bytes);
}

void task_free(struct task *t)
{
    if (!t)
        return;
    join_free(t->join, drop_waiting, t);
    dead_letters_free(&t->letters, t->env.letters);
    replay_ring_free(&t->log[0].ring);
    replay_ring_free(&t->log[1].ring);
    free(t);
}

// ---- outputs: all of them are off while the task replays ----

static void dead_letter(struct task *t, const struct task_record *r, const char *reason,
                        const char *detail)
{
    if (t->live)
        dead_letters_add(&t->letters, t->env.letters, t->partition, r, reason, detail);
}

#define COUNT(t, member)                                                                           \
    do {                                                                                           \
        if ((t)->live)                                                                             \
            (t)->env.stats->member++;                                                              \
    } while (0)

static void reject(struct task *t, const struct task_record *r, const char *reason,
                   const struct err *e)
{
    char detail[640];
    snprintf(detail, sizeof(detail), "%s%s%s", e->field, e->field[0] ? ": " : "", e->detail);
    dead_letter(t, r, reason, detail);
}

// The latency, EVENT_ABSENT where there is none to be had.
static int64_t record_latency(struct task *t, struct facts *f, int64_t asked_us,
                              const struct event *answer)
{
    int64_t latency_us = answer->latency_us;
    if (latency_us == EVENT_ABSENT)
        latency_us = answer->timestamp_us - asked_us;
    if (latency_us < 0 || latency_us > EVENT_MAX_MS * US_PER_MS) {
        f->without_latency++;
        COUNT(t, without_latency);
        return EVENT_ABSENT;
    }
    hist_record(&f->latency, latency_us);
    return latency_us;
}

// Its completion tokens, as they are counted.
static int64_t count_usage(struct task *t, struct facts *f, const struct join_request *asked,
                           const struct event *answer)
{
    struct usage u;
    if (usage_of_answer(answer, asked->prompt_tokens, asked->excludes_cached, &u)) {
        f->clamped_usage++;
        COUNT(t, clamped_usage);
    }
    char tier[EVENT_NAME_MAX];
    struct str model = asked->series->model;
    bool other = answer->model.n && !str_eq(answer->model, model);
    struct usage_key key = {
        .model = other ? answer->model : model,
        .asked = other ? model : (struct str){"", 0},
        .tier = usage_tier(answer->service_tier, tier),
        .context_above = usage_context_above(&u),
    };
    usage_lines_add(&f->usage, &key, &u);
    if (answer->cost_pusd != EVENT_ABSENT) {
        f->reported_requests++;
        f->reported_cost = money_add(f->reported_cost, answer->cost_pusd);
    }
    return u.completion_tokens;
}

static void count_answer(struct task *t, const struct join_request *asked,
                         const struct event *answer)
{
    if (!t->live)
        return;
    COUNT(t, responses);
    struct facts *f = window_facts(t->env.deltas, asked->series, asked->timestamp_us);
    facts_prefetch(f);
    f->responses++;
    if (answer->error.n) {
        f->errors++;
        name_counts_add(&f->error_classes, answer->error, 1);
    }
    if (answer->finish_reason.n)
        name_counts_add(&f->finish_reasons, answer->finish_reason, 1);
    int64_t latency_us = record_latency(t, f, asked->timestamp_us, answer);
    if (answer->ttft_us != EVENT_ABSENT)
        hist_record(&f->ttft, answer->ttft_us);
    facts_generated(f, latency_us, answer->ttft_us, count_usage(t, f, asked, answer));
}

// ---- time ----

// Requests whose answer can no longer come, once the response time has passed what they wait for.
static void expire_requests(struct task *t, int64_t response_ms)
{
    struct join_waiting w;
    while (join_expire(t->join, EVENT_REQUEST, response_ms, &w)) {
        if (t->live) {
            window_facts(t->env.deltas, w.request.series, w.request.timestamp_us)->unanswered++;
            COUNT(t, unanswered);
        }
        drop_asked(t, &w.request);
    }
}

static struct str kept_part(const struct join_response *w, size_t at, size_t n)
{
    return n ? (struct str){w->bytes + at, n} : (struct str){0};
}

// A response that waited, as it was fed.
static struct task_record kept_record(const struct join_response *w)
{
    return (struct task_record){
        .topic = EVENT_RESPONSE,
        .offset = w->offset,
        .key = kept_part(w, 0, w->key_n),
        .value = kept_part(w, w->key_n, w->value_n),
        .tenant = kept_part(w, w->key_n + w->value_n, w->tenant_n),
    };
}

static size_t kept_size(const struct join_response *w)
{
    return w->key_n + w->value_n + w->tenant_n + 1;
}

static struct join_response keep_record(struct task *t, const struct task_record *r)
{
    struct join_response w = {r->offset, xmalloc(r->key.n + r->value.n + r->tenant.n + 1), r->key.n,
                              r->value.n, r->tenant.n};
    const struct str parts[] = {r->key, r->value, r->tenant};
    char *at = w.bytes;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].n)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    t->kept_bytes += kept_size(&w);
    return w;
}

static void free_kept(struct task *t, struct join_response *w)
{
    t->kept_bytes -= kept_size(w);
    free(w->bytes);
}

// Responses whose request can no longer come, once the request time has passed what they wait for.
static void expire_responses(struct task *t, int64_t request_ms)
{
    struct join_waiting w;
    while (join_expire(t->join, EVENT_RESPONSE, request_ms, &w)) {
        COUNT(t, unmatched);
        struct task_record r = kept_record(&w.response);
        dead_letter(t, &r, "unmatched",
                    "no request with this request_id within TTL before and skew after it");
        free_kept(t, &w.response);
    }
}

static void advance_time(struct task *t, int k, int64_t time_ms, int64_t offset)
{
    struct log_state *l = &t->log[k];
    if (time_ms <= l->at.time_ms)
        return;
    l->at.time_ms = time_ms;
    if (replay_ring_wants(&l->ring, time_ms))
        replay_ring_add(&l->ring, time_ms, offset,
                        time_ms - settings_replay_from(&t->settings, time_ms));
    if (k == EVENT_RESPONSE)
        expire_requests(t, time_ms);
    else
        expire_responses(t, time_ms);
}

// What a degraded replay cannot know: whether a record that waits was answered by one that is gone,
// or repeats one. It was counted as whatever it was; to count more of it might count it twice.
static void forget_doubtful(struct task *t)
{
    int64_t doubtful_ms = TIME_NONE;
    for (int k = 0; k < 2; k++) {
        const struct log_state *l = &t->log[k];
        int64_t gone_ms = l->first_ms == TIME_NONE ? l->at.time_ms : l->first_ms;
        if (l->cut && gone_ms != TIME_NONE)
            doubtful_ms = max_i64(doubtful_ms, settings_repeat_until(&t->settings, k, gone_ms));
    }
    if (doubtful_ms == TIME_NONE)
        return;
    expire_requests(t, settings_answer_by(&t->settings, doubtful_ms) + 1);
    expire_responses(t, settings_request_by(&t->settings, doubtful_ms) + 1);
}

static void go_live_if_arrived(struct task *t)
{
    if (t->live || !arrived(t, 0) || !arrived(t, 1))
        return;
    // The log may no longer reach back to the record that set the time (a degraded replay): the
    // stored time holds. Still muted, so that nothing is counted again.
    for (int k = 0; k < 2; k++)
        if (t->log[k].stored.time_ms > t->log[k].at.time_ms)
            t->log[k].at.time_ms = t->log[k].stored.time_ms;
    expire_requests(t, t->log[EVENT_RESPONSE].at.time_ms);
    expire_responses(t, t->log[EVENT_REQUEST].at.time_ms);
    forget_doubtful(t);
    for (int k = 0; k < 2; k++) {
        t->log[k].at.last_offset = t->log[k].stored.last_offset;
        t->log[k].at.last_time_ms = t->log[k].stored.last_time_ms;
        t->log[k].at.last_key = t->log[k].stored.last_key;
        t->log[k].key_n = KEY_IS_HASHED;
    }
    join_each(t->join, EVENT_REQUEST, names_to_series, t);
    t->live = true;
}

// ---- records ----

// (authenticated tenant, request_id); names hold no control characters, so NUL keeps the two apart.
static struct hash128 identity_of(const struct task *t, struct str tenant, struct str request_id)
{
    char bytes[2 * EVENT_NAME_MAX + 1];
    assert(tenant.n <= EVENT_NAME_MAX && request_id.n <= EVENT_NAME_MAX);
    if (tenant.n)
        memcpy(bytes, tenant.p, tenant.n);
    bytes[tenant.n] = '\0';
    if (request_id.n)
        memcpy(bytes + tenant.n + 1, request_id.p, request_id.n);
    return hash_keyed128(t->env.key, bytes, tenant.n + 1 + request_id.n);
}

// The key is the request_id, unless somebody wrote to the topic in a way of his own.
void task_expect(const struct task *t, struct task_record *r)
{
    r->identity = (struct hash128){0, 0};
    if (r->tick || r->key.n > EVENT_NAME_MAX || r->tenant.n > EVENT_NAME_MAX)
        return;
    r->identity = identity_of(t, r->tenant, r->key);
    join_prefetch(t->join, r->identity);
}

static struct hash128 identity_of_event(const struct task *t, const struct task_record *r,
                                        const struct event *ev)
{
    bool expected = (r->identity.hi | r->identity.lo) && str_eq(ev->request_id, r->key);
    return expected ? r->identity : identity_of(t, r->tenant, ev->request_id);
}

static uint32_t content_of(const struct task *t, const struct task_record *r)
{
    return (uint32_t)hash_keyed64(t->env.key, r->value.p, r->value.n);
}

static enum join_seen see(struct task *t, const struct task_record *r, struct hash128 identity,
                          uint32_t content, struct str tenant)
{
    int64_t now_ms[2] = {t->log[0].at.time_ms, t->log[1].at.time_ms};
    return join_see(t->join, r->topic, identity, now_ms[r->topic], content,
                    tenant.n ? (uint32_t)hash_keyed64(t->env.key, tenant.p, tenant.n) : 0, now_ms);
}

// Most of what a replay reads has been answered: nobody asks for its series, so a request that
// waits keeps its names until the task goes live (a fifth of bench_core's replay). They take more
// memory than a reference does, hence their share.
static bool keeps_names(const struct task *t)
{
    return !t->live && t->names_bytes < NAMES_BYTES_MAX;
}

// names: NULL where the task keeps_names().
static void request_is_new(struct task *t, const struct event *ev, struct str tenant,
                           const struct series_names *names, struct hash128 identity)
{
    int64_t time_ms = t->log[EVENT_REQUEST].at.time_ms;
    struct join_request asked = {
        .timestamp_us = ev->timestamp_us,
        .prompt_tokens = ev->prompt_tokens,
        .excludes_cached = usage_excludes_cached(ev->provider),
    };
    COUNT(t, requests);
    if (!names) {
        asked.names = series_names_keep(tenant, ev->route, ev->model, &asked.names_n);
        t->kept_bytes += asked.names_n;
        t->names_bytes += asked.names_n;
    } else {
        asked.series = series_take_names(t->env.series, names);
    }
    if (t->live)
        window_facts(t->env.deltas, asked.series, asked.timestamp_us)->requests++;
    struct join_waiting w;
    if (!join_match(t->join, EVENT_REQUEST, identity, time_ms, &w)) {
        join_wait(t->join, &(struct join_waiting){.identity = identity,
                                                  .kind = EVENT_REQUEST,
                                                  .time_ms = time_ms,
                                                  .request = asked});
        // The time of the answers may be past it already; then only this look finds out.
        expire_requests(t, t->log[EVENT_RESPONSE].at.time_ms);
        return;
    }
    // The answer came first. It was kept as bytes, which is rare enough to read them twice. From
    // here on `ev` is void: its strings belonged to the parser.
    struct event answer;
    int rc =
        event_parse(t->env.parser, EVENT_RESPONSE, kept_record(&w.response).value, &answer, NULL);
    assert(rc == 0);
    (void)rc;
    count_answer(t, &asked, &answer);
    free_kept(t, &w.response);
    drop_asked(t, &asked);
}

// Whoever may write to the topic may write any header; a tenant that is no name could not be
// stored.
static int read_event(struct task *t, const struct task_record *r, struct event *ev)
{
    struct err e;
    if ((r->tenant.n == 0 || event_check_name("tenant header", r->tenant, &e) == 0) &&
        event_parse(t->env.parser, r->topic, r->value, ev, &e) == 0)
        return 0;
    COUNT(t, malformed);
    reject(t, r, "malformed", &e);
    return -1;
}

static void take_request(struct task *t, const struct task_record *r)
{
    struct event ev;
    struct err e;
    if (read_event(t, r, &ev) < 0)
        return;
    struct str tenant = r->tenant.n ? r->tenant : ev.tenant_id;
    if (!tenant.n) {
        COUNT(t, missing_tenant);
        err_field(&e, "tenant_id", -1, "is missing, and no authenticated sender gives it");
        reject(t, r, "missing_tenant", &e);
        return;
    }
    if (event_check_time(&ev, r->time_ms * US_PER_MS, EVENT_BOUND_MARGIN_US, &e) < 0) {
        COUNT(t, time_out_of_range);
        reject(t, r, "time_out_of_range", &e);
        return;
    }
    struct series_names names;
    int64_t time_ms = t->log[EVENT_REQUEST].at.time_ms;
    bool keep = keeps_names(t);
    if (!keep)
        series_names_make(&names, t->env.series, tenant, ev.route, ev.model,
                          settings_at(&t->settings, time_ms)->series_epoch);
    struct hash128 identity = identity_of_event(t, r, &ev);
    switch (see(t, r, identity, content_of(t, r), tenant)) {
    case JOIN_NEW:
        request_is_new(t, &ev, tenant, keep ? NULL : &names, identity);
        break;
    case JOIN_DUPLICATE:
        COUNT(t, duplicate_requests);
        break;
    case JOIN_CONFLICTING:
        COUNT(t, conflicting_requests);
        break;
    case JOIN_OTHER_TENANT:
        COUNT(t, id_conflict);
        err_field(&e, "tenant_id", -1,
                  "differs from that of the request seen with this request_id");
        reject(t, r, "id_conflict", &e);
        break;
    }
}

static void response_is_new(struct task *t, const struct task_record *r, const struct event *ev,
                            struct hash128 identity)
{
    int64_t time_ms = t->log[EVENT_RESPONSE].at.time_ms;
    struct join_waiting w;
    if (join_match(t->join, EVENT_RESPONSE, identity, time_ms, &w)) {
        count_answer(t, &w.request, ev);
        drop_asked(t, &w.request);
        return;
    }
    join_wait(t->join, &(struct join_waiting){.identity = identity,
                                              .kind = EVENT_RESPONSE,
                                              .time_ms = time_ms,
                                              .response = keep_record(t, r)});
    // Its request may be too far gone already, then nothing but this look would find out.
    expire_responses(t, t->log[EVENT_REQUEST].at.time_ms);
}

// Of the answer. Meanwhile the request that waits for it is fetched, and then its series: a tenth
// of a backlog (paired runs of tests/bench/replay).
static uint32_t content_and_fetch(const struct task *t, const struct task_record *r,
                                  struct hash128 identity)
{
    const struct join_waiting *asked = join_first_waiting(t->join, identity);
    __builtin_prefetch(asked);
    uint32_t content = content_of(t, r);
    if (asked && asked->kind == EVENT_REQUEST && asked->request.names_n == 0)
        series_prefetch(asked->request.series);
    else if (asked && asked->kind == EVENT_REQUEST)
        __builtin_prefetch(asked->request.names, 1);
    return content;
}

static void take_response(struct task *t, const struct task_record *r)
{
    struct event ev;
    if (read_event(t, r, &ev) < 0)
        return;
    struct hash128 identity = identity_of_event(t, r, &ev);
    uint32_t content = content_and_fetch(t, r, identity);
    switch (see(t, r, identity, content, (struct str){0})) {
    case JOIN_NEW:
        response_is_new(t, r, &ev, identity);
        break;
    case JOIN_DUPLICATE:
        COUNT(t, duplicate_responses);
        break;
    case JOIN_CONFLICTING:
    case JOIN_OTHER_TENANT:
        COUNT(t, conflicting_responses);
        break;
    }
}

// ---- feed ----

static enum task_feed mismatch(struct task *t, const struct task_record *r)
{
    snprintf(
        t->error, sizeof(t->error),
        "%s, partition %d: the record at offset %lld is not the one that was consumed there; the "
        "topic was recreated or truncated; ACCEPT_LOSS=1 goes on without what is lost",
        r->topic == EVENT_REQUEST ? TOPIC_REQUESTS : TOPIC_RESPONSES, t->partition,
        (long long)r->offset);
    return FEED_MISMATCH;
}

// Of thousands of records a position wants one's hash.
static void remember_key(struct log_state *l, struct str key)
{
    if (key.n > sizeof(l->key)) {
        l->at.last_key = (int64_t)hash_stable64(key.p, key.n);
        l->key_n = KEY_IS_HASHED;
        return;
    }
    if (key.n)
        memcpy(l->key, key.p, key.n);
    l->key_n = key.n;
}

static void hash_last_key(struct log_state *l)
{
    if (l->key_n != KEY_IS_HASHED)
        l->at.last_key = (int64_t)hash_stable64(l->key, l->key_n);
    l->key_n = KEY_IS_HASHED;
}

// What a replay can tell of the log before P: the last record consumed is still the same one.
static bool is_same_log(const struct log_state *l, const struct task_record *r)
{
    return r->offset != l->stored.last_offset ||
           (r->time_ms == l->stored.last_time_ms &&
            (int64_t)hash_stable64(r->key.p, r->key.n) == l->stored.last_key);
}

// Offsets may have gaps, so that no record need stand right before the barrier: a record or an end
// of the log beyond it says that there is none left.
static void pass_barrier(struct task *t, int k)
{
    t->log[k].at.next = t->log[k].barrier;
    go_live_if_arrived(t);
}

static bool must_flush(const struct task *t)
{
    const struct dead_letters_load *load = t->env.letters;
    bool cells = window_count(t->env.deltas) >= t->limits.max_cells;
    bool letters = load->count >= t->limits.max_dead_letters || load->bytes >= LETTER_BYTES_MAX;
    t->env.stats->full_of_cells += cells;
    t->env.stats->full_of_letters += letters;
    return cells || letters;
}

// The record cannot be taken for want of room. Each time that a topic comes to wait for that counts
// once, however often it is offered.
//
// Not in a replay: what it rebuilds had room before, but on the way there it also keeps answers and
// repetitions of what lies before R, and could wait for room for ever.
static bool must_wait(struct task *t, const struct task_record *r)
{
    struct log_state *l = &t->log[r->topic];
    bool was_full = l->full;
    l->full = t->live && !r->tick && join_full(t->join, r->topic);
    t->env.stats->full_of_joins += l->full && !was_full;
    return l->full;
}

enum task_feed task_feed(struct task *t, const struct task_record *r)
{
    struct log_state *l = &t->log[r->topic];
    if (r->offset < l->at.next) {
        t->env.stats->skipped_records++;
        return FEED_SKIPPED;
    }
    if (!t->live && r->offset >= l->barrier) {
        pass_barrier(t, r->topic);
        if (!t->live)
            return FEED_HOLD;
    }
    if (t->live && must_flush(t))
        return FEED_FLUSH;
    if (must_wait(t, r))
        return FEED_FULL;
    if (!t->live && !is_same_log(l, r))
        return mismatch(t, r);

    advance_time(t, r->topic, r->time_ms, r->offset);
    if (!t->live) {
        t->env.stats->replayed_records++;
        l->first_ms = l->first_ms == TIME_NONE ? r->time_ms : l->first_ms;
    }
    if (r->tick)
        COUNT(t, ticks);
    else if (r->topic == EVENT_REQUEST)
        take_request(t, r);
    else
        take_response(t, r);
    l->at.next = r->offset + 1;
    l->at.last_offset = r->offset;
    l->at.last_time_ms = r->time_ms;
    remember_key(l, r->key);
    go_live_if_arrived(t);
    return FEED_TAKEN;
}

bool task_at_end(struct task *t, enum event_kind topic, int64_t offset)
{
    if (t->live || arrived(t, topic))
        return true;
    if (offset < t->log[topic].barrier)
        return false;
    pass_barrier(t, topic);
    return true;
}

const char *task_error(const struct task *t)
{
    return t->error;
}

int task_choose(const struct task *t, const struct task_ready ready[2])
{
    bool may[2];
    for (int k = 0; k < 2; k++)
        may[k] = ready[k].has && (t->live || !arrived(t, k));
    if (may[0] && may[1])
        return ready[1].head_ms < ready[0].head_ms ? EVENT_RESPONSE : EVENT_REQUEST;
    for (int k = 0; k < 2; k++) {
        if (!may[k])
            continue;
        const struct log_state *other = &t->log[1 - k];
        bool other_is_done = ready[1 - k].at_end || (!t->live && arrived(t, 1 - k));
        bool is_close = other->at.time_ms != TIME_NONE &&
                        ready[k].head_ms <= other->at.time_ms + task_skew_ms(t);
        return other_is_done || is_close ? k : -1;
    }
    return -1;
}

// ---- what a flush and the wiring ask ----

int task_partition(const struct task *t)
{
    return t->partition;
}

int64_t task_skew_ms(const struct task *t)
{
    return settings_newest(&t->settings)->skew_ms;
}

bool task_is_live(const struct task *t)
{
    return t->live;
}

int64_t task_next_offset(const struct task *t, enum event_kind topic)
{
    return t->log[topic].at.next;
}

int64_t task_time_ms(const struct task *t, enum event_kind topic)
{
    return t->log[topic].at.time_ms;
}

const struct join *task_join(const struct task *t)
{
    return t->join;
}

size_t task_join_bytes(const struct task *t)
{
    return join_bytes(t->join) + t->kept_bytes;
}

bool task_is_full(const struct task *t)
{
    return t->log[0].full || t->log[1].full;
}

void task_position(struct task *t, struct position *out)
{
    int64_t low_ms = min_i64(t->log[0].at.time_ms, t->log[1].at.time_ms);
    int64_t from_ms = settings_replay_from(&t->settings, low_ms);
    for (int k = 0; k < 2; k++) {
        struct log_state *l = &t->log[k];
        if (from_ms != TIME_NONE)
            l->at.replay = replay_ring_offset_for(&l->ring, from_ms);
        hash_last_key(l);
        out->log[k] = l->at;
    }
}

const struct dead_letter *task_dead_letters(const struct task *t, size_t *count)
{
    *count = t->letters.count;
    return t->letters.v;
}

void task_flushed(struct task *t)
{
    dead_letters_clear(&t->letters, t->env.letters);
}

void task_ticks_due(const struct task *t, int64_t now_ms, int64_t want_ms, bool due[2])
{
    for (int k = 0; k < 2; k++) {
        int64_t time_ms = t->log[k].at.time_ms;
        int64_t deadline_ms = join_deadline(t->join, 1 - k);
        bool waited_for = deadline_ms < now_ms && time_ms <= deadline_ms;
        bool wanted = want_ms != TIME_NONE && want_ms <= now_ms && time_ms < want_ms;
        due[k] = t->live && (waited_for || wanted);
    }
}
