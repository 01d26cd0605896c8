// SPDX-License-Identifier: Apache-2.0
// The clients, and the looks that are shared by all of them.
#include "metrics-api/stream_internal.h"

#include <stdio.h>

#include "common/io/clock.h"
#include "common/io/log.h"
#include "metrics-api/answer_internal.h"

#define TICK_US (US_PER_S / 2)
#define LOOK_AGAIN_US (US_PER_S / 2) // a standby may be later than what was notified
#define FAILURES_MAX 3               // looks that took too long, in a row

static struct timeval timeval_of(int64_t us)
{
    return (struct timeval){.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
}

// ---- tenants and views --------------------------------------------------------------------------

static int str_order(struct str a, struct str b)
{
    // Of C strings and of columns that are not null: p is there, be it with no bytes.
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker)
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static size_t tenant_place(const struct stream_hub *h, struct str name)
{
    size_t low = 0, high = h->tenant_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (str_order(str_of(h->tenants[mid]->name), name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct stream_tenant *tenant_find(const struct stream_hub *h, struct str name)
{
    size_t at = tenant_place(h, name);
    bool is = at < h->tenant_count && str_eq(str_of(h->tenants[at]->name), name);
    return is ? h->tenants[at] : NULL;
}

static struct stream_tenant *tenant_get(struct stream_hub *h, const char *name)
{
    struct stream_tenant *t = tenant_find(h, str_of(name));
    if (t)
        return t;
    size_t at = tenant_place(h, str_of(name));
    t = xcalloc(1, sizeof(*t));
    t->name = xstrdup(name);
    TAILQ_INIT(&t->clients);
    h->tenants = xrealloc(h->tenants, (h->tenant_count + 1) * sizeof(*h->tenants));
    memmove(&h->tenants[at + 1], &h->tenants[at], (h->tenant_count - at) * sizeof(*h->tenants));
    h->tenants[at] = t;
    h->tenant_count++;
    return t;
}

static void tenant_drop(struct stream_hub *h, struct stream_tenant *t)
{
    if (!TAILQ_EMPTY(&t->clients))
        return;
    size_t at = tenant_place(h, str_of(t->name));
    h->tenant_count--;
    memmove(&h->tenants[at], &h->tenants[at + 1], (h->tenant_count - at) * sizeof(*h->tenants));
    free(t->name);
    free(t);
}

// Fields of streams are those of rows: no percentiles of their own.
static struct stream_view *view_get(struct stream_hub *h, const struct question *q)
{
    struct stream_view *v;
    TAILQ_FOREACH(v, &h->views, link)
    {
        if (v->fields.bits == q->fields.bits)
            break;
    }
    if (!v) {
        v = xcalloc(1, sizeof(*v));
        v->fields = q->fields;
        v->wants = answer_wants(q, true);
        TAILQ_INSERT_TAIL(&h->views, v, link);
    }
    v->clients++;
    return v;
}

static void view_drop(struct stream_hub *h, struct stream_view *v)
{
    if (--v->clients > 0)
        return;
    TAILQ_REMOVE(&h->views, v, link);
    buf_free(&v->event);
    free(v);
}

// ---- a client -----------------------------------------------------------------------------------

static bool is_catching(enum client_state state)
{
    return state == CLIENT_READING || state == CLIENT_TAKING;
}

void stream_client_state(struct stream_client *c, enum client_state state)
{
    struct stream_hub *h = c->hub;
    h->live_count += (size_t)(state == CLIENT_LIVE) - (size_t)(c->state == CLIENT_LIVE);
    h->catching_count += (size_t)is_catching(state) - (size_t)is_catching(c->state);
    if (is_catching(c->state) && !is_catching(state))
        stream_catch_up_clear(&c->catch_up);
    if (state == CLIENT_LIVE)
        position_clear(&c->at);
    c->state = state;
}

void stream_client_behind(struct stream_client *c, const struct position *at)
{
    position_copy(&c->at, at);
    c->hub->stats->stream_behind++;
    stream_client_state(c, CLIENT_BEHIND);
}

static void client_free(struct stream_client *c)
{
    struct stream_hub *h = c->hub;
    stream_client_state(c, CLIENT_NEW);
    TAILQ_REMOVE(&h->clients, c, link);
    TAILQ_REMOVE(&c->tenant->clients, c, of_tenant);
    tenant_drop(h, c->tenant);
    view_drop(h, c->view);
    h->stats->stream_clients = (int64_t)--h->client_count;
    http_stream_end(c->stream);
    question_clear(&c->q);
    position_clear(&c->at);
    free(c->credential);
    free(c);
}

void stream_client_end(struct stream_client *c, const char *comment)
{
    (void)stream_write_text(c, comment); // who takes nothing more is not told
    client_free(c);
}

static void on_gone(void *arg)
{
    client_free(arg);
}

static void on_stop(void *arg)
{
    stream_client_end(arg, ": goodbye\n\n");
}

static void on_drained(void *arg)
{
    struct stream_client *c = arg;
    if (c->state == CLIENT_TAKING)
        stream_catch_up_go_on(c);
    else if (c->state == CLIENT_BEHIND)
        stream_catch_up_next(c->hub);
}

static struct stream_client *client_new(struct stream_hub *h, struct http_stream *stream,
                                        struct question *q)
{
    struct stream_client *c = xcalloc(1, sizeof(*c));
    c->hub = h;
    c->stream = stream;
    c->q = *q;
    *q = (struct question){.endpoint = ENDPOINT_STREAM};
    c->tenant = tenant_get(h, c->q.tenant_id);
    c->view = view_get(h, &c->q);
    c->life_us = clock_mono_us() + STREAM_COMMENT_US;
    TAILQ_INSERT_TAIL(&h->clients, c, link);
    TAILQ_INSERT_TAIL(&c->tenant->clients, c, of_tenant);
    h->stats->stream_clients = (int64_t)++h->client_count;
    http_stream_on_gone(stream, on_gone, c);
    http_stream_on_stop(stream, on_stop, c);
    http_stream_on_drained(stream, on_drained, c);
    return c;
}

// The field is what a browser sends by itself; where there is none the parameter holds.
static int read_since(struct http_exchange *x, const struct question *q, struct position *at,
                      struct err *e)
{
    struct str id = http_header(x, "last-event-id");
    *at = (struct position){0};
    if (id.n == 0)
        id = str_of(q->last_event_id);
    return id.n == 0 ? 0 : position_parse(at, id, e);
}

static struct http_stream *open_stream(struct http_exchange *x)
{
    http_add_header(x, "Cache-Control", "no-store");
    http_add_header(x, "X-Accel-Buffering", "no"); // nginx would keep events back
    return http_reply_stream(x, 200, "text/event-stream");
}

void stream_begin(struct stream_hub *h, struct http_exchange *x, struct question *q)
{
    struct position at;
    struct err e;
    char retry[32];
    if (read_since(x, q, &at, &e) != 0) {
        h->stats->answers_bad_request++;
        http_problem(x, 400, &e);
        return;
    }
    if (h->client_count >= h->clients_max) {
        h->stats->answers_unavailable++;
        http_add_header(x, "Retry-After", "5");
        http_problemf(x, 503, "there are STREAM_MAX_CLIENTS streams already");
        position_clear(&at);
        return;
    }
    char *credential = auth_keep(h->auth, x);
    struct http_stream *stream = open_stream(x);
    if (!stream) {
        free(credential);
        position_clear(&at);
        return;
    }
    h->stats->answers_ok++;
    struct stream_client *c = client_new(h, stream, q);
    c->credential = credential;
    c->at = at;
    snprintf(retry, sizeof(retry), "retry: %d\n\n", STREAM_RETRY_MS);
    (void)stream_write_text(c, retry); // nothing waits yet
    if (position_is_set(&at))
        stream_client_state(c, CLIENT_BEHIND); // once the head is taken
    else
        stream_look_soon(h);
}

// ---- looks --------------------------------------------------------------------------------------

// Without any, all are meant.
static bool names_have(const struct question_names *names, struct str name)
{
    size_t low = 0, high = names->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct str at = str_of(names->v[mid]);
        int order = str_order(at, name);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return names->n == 0;
}

static void hand_on(struct stream_client *c, const struct fact_row *row)
{
    struct stream_hub *h = c->hub;
    if (c->state != CLIENT_LIVE || !names_have(&c->q.routes, row->route) ||
        !names_have(&c->q.models, row->model))
        return;
    if (stream_write_row(c, h->meta, row, h->row) != 0)
        stream_client_behind(c, &h->position);
    else
        c->got_rows = true;
}

static int on_row(void *arg, const struct fact_row *row)
{
    struct stream_hub *h = arg;
    struct stream_client *c;
    struct stream_tenant *t = tenant_find(h, row->tenant_id);
    h->row++;
    if (!t)
        return 0;
    TAILQ_FOREACH(c, &t->clients, of_tenant)
    {
        hand_on(c, row);
    }
    return 0;
}

static int on_look(void *arg, const struct repo_meta *meta, const struct repo_look *look)
{
    struct stream_hub *h = arg;
    struct err e;
    position_clear(&h->next);
    if (position_parse(&h->next, str_of(look->position), &e) != 0) {
        log_error("a position is not understood", "detail", look->position);
        return -1;
    }
    h->meta = meta;
    h->found = look->windows > 0;
    h->closed_through_us = meta->closed_through_us;
    if (!position_is_set(&h->position))
        return 0;
    if (!position_same_database(&h->next, &h->position))
        h->verdict = LOOK_OTHER;
    else if (!position_covers(&h->next, &h->position))
        h->verdict = LOOK_AHEAD;
    else if (look->windows > STREAM_WINDOWS_MAX)
        h->verdict = LOOK_TOO_MUCH;
    return h->verdict == LOOK_FINE ? 0 : -1;
}

// Everybody finds out alone what it has missed.
static void all_behind(struct stream_hub *h)
{
    struct stream_client *c;
    TAILQ_FOREACH(c, &h->clients, link)
    {
        if (c->state == CLIENT_LIVE)
            stream_client_behind(c, &h->position);
    }
    position_clear(&h->position);
}

// After a look that gave everything: who was there has all up to its position.
static void settle(struct stream_client *c)
{
    struct stream_hub *h = c->hub;
    bool got_rows = c->got_rows;
    c->got_rows = false;
    if (c->state == CLIENT_LIVE && got_rows) {
        if (stream_write_position(c, &h->next) != 0)
            stream_client_behind(c, &h->next);
        else
            c->told = h->looks;
    }
}

static void admit(struct stream_client *c)
{
    struct stream_hub *h = c->hub;
    if (c->state == CLIENT_JOINING) {
        bool has_all =
            position_same_database(&c->at, &h->position) && position_covers(&c->at, &h->position);
        stream_client_state(c, has_all ? CLIENT_LIVE : CLIENT_BEHIND);
    } else if (c->state == CLIENT_NEW && stream_write_hello(c) == 0) {
        stream_client_state(c, CLIENT_LIVE);
        c->told = h->looks;
    }
}

static void look_ended(struct stream_hub *h)
{
    struct stream_client *c;
    h->looks++;
    h->failures = 0;
    h->ahead_since_us = 0;
    h->stats->stream_looks++;
    TAILQ_FOREACH(c, &h->clients, link)
    {
        settle(c);
    }
    position_copy(&h->position, &h->next);
    TAILQ_FOREACH(c, &h->clients, link)
    {
        admit(c);
    }
}

static void look_stopped(struct stream_hub *h)
{
    int64_t now_us = clock_mono_us();
    if (h->verdict == LOOK_AHEAD && h->ahead_since_us == 0)
        h->ahead_since_us = now_us;
    if (h->verdict != LOOK_AHEAD || now_us >= h->ahead_since_us + STREAM_AHEAD_US)
        all_behind(h);
}

static void look_failed(struct stream_hub *h, enum repo_status status, const struct err *e)
{
    h->stats->stream_looks_failed++;
    if (status == REPO_FAILED)
        log_error("query failed", "detail", e->detail);
    if (clock_mono_us() >= h->look_begun_us + h->query_timeout_us && ++h->failures >= FAILURES_MAX)
        all_behind(h);
}

static void look_in(struct stream_hub *h, int64_t us)
{
    struct timeval tv = timeval_of(max_i64(us, 0));
    event_add(h->look_timer, &tv);
}

static void on_done(void *arg, enum repo_status status, UNUSED const struct repo_meta *meta,
                    const struct err *e)
{
    struct stream_hub *h = arg;
    int64_t least_us = h->look_begun_us + STREAM_LOOK_LEAST_US - clock_mono_us();
    h->look = NULL;
    h->meta = NULL;
    if (status == REPO_OK)
        look_ended(h);
    else if (status == REPO_STOPPED)
        look_stopped(h);
    else
        look_failed(h, status, e);
    if (status != REPO_OK)
        look_in(h, LOOK_AGAIN_US);
    else if (h->again)
        look_in(h, least_us);
    else if (h->nudged && !h->found)
        look_in(h, LOOK_AGAIN_US);
    else
        look_in(h, STREAM_LOOK_EVERY_US);
    h->nudged = h->again;
    h->again = false;
    stream_catch_up_next(h);
}

static void look_begin(struct stream_hub *h)
{
    struct repo_look_reader reader = {
        .on_look = on_look, .on_row = on_row, .done = on_done, .arg = h};
    const char **tenants = xcalloc(h->tenant_count + 1, sizeof(*tenants));
    struct buf since = {0};
    struct stream_view *v;
    int wants = 0;
    for (size_t i = 0; i < h->tenant_count; i++)
        tenants[i] = h->tenants[i]->name;
    TAILQ_FOREACH(v, &h->views, link)
    {
        wants |= v->wants;
    }
    if (h->live_count == 0)
        position_clear(&h->position); // nobody needs what has changed since
    if (position_is_set(&h->position)) {
        position_snapshot(&h->position, &since);
        buf_addc(&since, '\0');
    }
    h->verdict = LOOK_FINE;
    h->look_begun_us = clock_mono_us();
    h->look =
        repo_look(h->repo, tenants, h->tenant_count, since.p, STREAM_WINDOWS_MAX, wants, &reader);
    free(tenants);
    buf_free(&since);
}

static void on_look_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct stream_hub *h = arg;
    if (!h->look && h->client_count > 0)
        look_begin(h);
}

void stream_look_soon(struct stream_hub *h)
{
    if (h->look)
        h->again = true;
    else
        look_in(h, h->look_begun_us + STREAM_LOOK_LEAST_US - clock_mono_us());
}

void stream_nudge(struct stream_hub *h)
{
    if (h->client_count == 0)
        return;
    if (!h->look)
        h->nudged = true;
    stream_look_soon(h);
}

// ---- signs of life ------------------------------------------------------------------------------

static bool may_still_see(struct stream_client *c)
{
    struct auth_identity who;
    if (!c->credential)
        return true;
    return auth_holds(c->hub->auth, c->credential, SCOPE_READ | SCOPE_ADMIN, &who) &&
           ((who.scopes & SCOPE_ADMIN) != 0 || str_eq(who.tenant, str_of(c->q.tenant_id)));
}

// A quiet client's position moves on all the same, so that it need not catch up with days.
static void sign_of_life(struct stream_client *c)
{
    struct stream_hub *h = c->hub;
    TAILQ_REMOVE(&h->clients, c, link);
    TAILQ_INSERT_TAIL(&h->clients, c, link);
    c->life_us = clock_mono_us() + STREAM_COMMENT_US;
    if (!may_still_see(c)) {
        stream_client_end(c, ": the credential does not hold any more\n\n");
        return;
    }
    (void)stream_write_text(c, ":\n\n"); // who is behind knows that it lives
    if (c->state != CLIENT_LIVE || h->look || c->told == h->looks)
        return;
    if (stream_write_position(c, &h->position) == 0)
        c->told = h->looks;
}

static void on_tick(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct stream_hub *h = arg;
    struct stream_client *c, *next;
    int64_t now_us = clock_mono_us();
    while ((c = TAILQ_FIRST(&h->clients)) && c->life_us <= now_us)
        sign_of_life(c);
    for (c = TAILQ_FIRST(&h->clients); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->state == CLIENT_TAKING && now_us >= c->catch_up.sent_us + STREAM_TAKE_US)
            stream_client_end(c, ": too slow\n\n");
        else if (c->state == CLIENT_TAKING && http_stream_pending(c->stream) == 0)
            stream_catch_up_go_on(c);
    }
    stream_catch_up_next(h);
}

// ---- the hub ------------------------------------------------------------------------------------

struct stream_hub *stream_new(struct event_base *base, struct repo *repo, struct auth *auth,
                              const struct config *c, struct metrics_stats *stats)
{
    struct stream_hub *h = xcalloc(1, sizeof(*h));
    struct timeval tv = timeval_of(TICK_US);
    h->base = base;
    h->repo = repo;
    h->auth = auth;
    h->stats = stats;
    h->clients_max = (size_t)c->stream_max_clients;
    h->query_timeout_us = c->query_timeout_ms * US_PER_MS;
    h->closed_through_us = INT64_MIN;
    TAILQ_INIT(&h->clients);
    TAILQ_INIT(&h->views);
    h->look_timer = evtimer_new(base, on_look_timer, h);
    h->tick = event_new(base, -1, EV_PERSIST, on_tick, h);
    event_add(h->tick, &tv);
    return h;
}

void stream_free(struct stream_hub *h)
{
    struct stream_client *c;
    if (!h)
        return;
    while ((c = TAILQ_FIRST(&h->clients)))
        client_free(c);
    if (h->look)
        repo_cancel(h->look);
    event_free(h->look_timer);
    event_free(h->tick);
    position_clear(&h->position);
    position_clear(&h->next);
    buf_free(&h->scratch);
    buf_free(&h->event);
    free(h->tenants);
    free(h);
}
