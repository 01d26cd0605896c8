// SPDX-License-Identifier: Apache-2.0
// One client's way from its own position to where the others are: the keys of all rows that have
// changed since, then rounds of a piece of them each. It has all up to where the keys were read
// once the last piece was sent; what changes meanwhile is the next round's.
#include "metrics-api/stream_internal.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#define AHEAD_AGAIN_US (US_PER_S / 2)
#define RETRY_US US_PER_S

static void send_piece(struct stream_client *c);

void stream_catch_up_clear(struct stream_catch_up *u)
{
    if (u->pending)
        repo_cancel(u->pending);
    free(u->keys);
    position_clear(&u->to);
    int64_t ahead_since_us = u->ahead_since_us, not_before_us = u->not_before_us;
    *u = (struct stream_catch_up){.ahead_since_us = ahead_since_us, .not_before_us = not_before_us};
}

// Tries again later, from the same position.
static void wait_again(struct stream_client *c, int64_t us)
{
    c->catch_up.not_before_us = clock_mono_us() + us;
    stream_client_state(c, CLIENT_BEHIND);
}

void stream_client_join(struct stream_client *c)
{
    struct stream_hub *h = c->hub;
    if (h->look) {
        stream_client_state(c, CLIENT_JOINING);
    } else if (h->live_count == 0) {
        position_copy(&h->position, &c->at);
        stream_client_state(c, CLIENT_LIVE);
        stream_look_soon(h);
    } else if (position_same_database(&c->at, &h->position) &&
               position_covers(&c->at, &h->position)) {
        stream_client_state(c, CLIENT_LIVE);
    } else {
        stream_client_state(c, CLIENT_BEHIND);
    }
}

// All was sent, or told to be missed.
static void finish(struct stream_client *c)
{
    position_copy(&c->at, &c->catch_up.to);
    c->catch_up.ahead_since_us = 0;
    if (stream_write_position(c, &c->at) != 0)
        stream_client_state(c, CLIENT_BEHIND);
    else
        stream_client_join(c);
}

static void miss(struct stream_client *c, int64_t from_us, int64_t to_us, const char *reason)
{
    if (stream_write_missed(c, from_us, to_us, reason) != 0)
        stream_client_state(c, CLIENT_BEHIND); // and is found out again
    else
        finish(c);
}

// ---- rows ---------------------------------------------------------------------------------------

static int on_rows_look(void *arg, const struct repo_meta *meta, UNUSED const struct repo_look *l)
{
    struct stream_client *c = arg;
    c->catch_up.meta = meta;
    return 0;
}

static int on_row(void *arg, const struct fact_row *row)
{
    struct stream_client *c = arg;
    if (!c->catch_up.refused)
        c->catch_up.refused = stream_write_row(c, c->catch_up.meta, row, ++c->hub->row) != 0;
    return 0;
}

// A row that does not even fit alone is told to be missed.
static void skip_row(struct stream_client *c)
{
    struct stream_catch_up *u = &c->catch_up;
    int64_t start_us = u->keys[u->next].window_start_us;
    if (stream_write_missed(c, start_us, start_us + US_PER_MIN, "too_large") == 0)
        u->next++;
}

// A piece was read.
static void go_on(struct stream_client *c)
{
    struct stream_catch_up *u = &c->catch_up;
    if (!u->refused)
        u->next += min_i64((int64_t)u->piece, (int64_t)(u->n - u->next));
    else if (u->piece > 1)
        u->piece /= 2; // taken again, once what was sent of it is gone
    else if (http_stream_pending(c->stream) == 0)
        skip_row(c);
    if (u->next == u->n) {
        finish(c);
        return;
    }
    u->sent_us = clock_mono_us();
    stream_client_state(c, CLIENT_TAKING);
    if (http_stream_pending(c->stream) == 0)
        send_piece(c);
}

static void on_rows_done(void *arg, enum repo_status status, UNUSED const struct repo_meta *meta,
                         const struct err *e)
{
    struct stream_client *c = arg;
    c->catch_up.pending = NULL;
    if (status == REPO_FAILED)
        log_error("query failed", "detail", e->detail);
    if (status == REPO_OK)
        go_on(c);
    else
        wait_again(c, RETRY_US);
    stream_catch_up_next(c->hub);
}

static void send_piece(struct stream_client *c)
{
    struct stream_catch_up *u = &c->catch_up;
    struct repo_look_reader reader = {
        .on_look = on_rows_look, .on_row = on_row, .done = on_rows_done, .arg = c};
    size_t left = u->n - u->next;
    u->refused = false;
    stream_client_state(c, CLIENT_READING);
    u->pending = repo_look_rows(c->hub->repo, &c->q, u->keys + u->next,
                                left < u->piece ? left : u->piece, c->view->wants, &reader);
}

void stream_catch_up_go_on(struct stream_client *c)
{
    if (c->state == CLIENT_TAKING)
        send_piece(c);
}

// ---- keys ---------------------------------------------------------------------------------------

static int on_look(void *arg, UNUSED const struct repo_meta *meta, const struct repo_look *look)
{
    struct stream_client *c = arg;
    struct stream_catch_up *u = &c->catch_up;
    struct err e;
    position_clear(&u->to);
    if (position_parse(&u->to, str_of(look->position), &e) != 0) {
        log_error("a position is not understood", "detail", look->position);
        return -1;
    }
    u->from_us = look->from_us;
    u->to_us = look->to_us;
    if (!position_same_database(&u->to, &c->at))
        u->verdict = CATCH_OTHER;
    else if (!position_covers(&u->to, &c->at))
        u->verdict = CATCH_AHEAD;
    else if (look->windows > STREAM_WINDOWS_MAX || u->to.xmax - c->at.xmin >= 2000000000)
        u->verdict = CATCH_TOO_MUCH;
    return u->verdict == CATCH_FINE ? 0 : -1;
}

static int on_key(void *arg, int64_t series_id, int64_t window_start_us)
{
    struct stream_client *c = arg;
    struct stream_catch_up *u = &c->catch_up;
    if (u->n == STREAM_KEYS_MAX) {
        u->verdict = CATCH_TOO_MUCH;
        return -1;
    }
    if (u->n == u->cap) {
        u->cap = u->cap ? u->cap * 2 : 64;
        u->keys = xrealloc(u->keys, u->cap * sizeof(*u->keys));
    }
    u->keys[u->n++] = (struct repo_key){series_id, window_start_us};
    return 0;
}

static void stopped(struct stream_client *c)
{
    struct stream_catch_up *u = &c->catch_up;
    int64_t now_us = clock_mono_us();
    if (u->verdict == CATCH_AHEAD && u->ahead_since_us == 0)
        u->ahead_since_us = now_us;
    if (u->verdict == CATCH_TOO_MUCH)
        miss(c, u->from_us, u->to_us, "too_far_behind");
    else if (u->verdict == CATCH_AHEAD && now_us < u->ahead_since_us + STREAM_AHEAD_US)
        wait_again(c, AHEAD_AGAIN_US);
    else if (position_is_set(&u->to))
        miss(c, INT64_MIN, INT64_MIN, "other_database");
    else
        wait_again(c, RETRY_US);
}

static int by_window(const void *a, const void *b)
{
    const struct repo_key *x = a, *y = b;
    if (x->window_start_us != y->window_start_us)
        return x->window_start_us < y->window_start_us ? -1 : 1;
    return (x->series_id > y->series_id) - (x->series_id < y->series_id);
}

static void on_keys_done(void *arg, enum repo_status status, UNUSED const struct repo_meta *meta,
                         const struct err *e)
{
    struct stream_client *c = arg;
    struct stream_catch_up *u = &c->catch_up;
    u->pending = NULL;
    if (status == REPO_STOPPED) {
        stopped(c);
    } else if (status != REPO_OK) {
        if (status == REPO_FAILED)
            log_error("query failed", "detail", e->detail);
        bool too_long = clock_mono_us() >= u->begun_us + c->hub->query_timeout_us;
        if (too_long && position_is_set(&u->to))
            miss(c, u->from_us, u->to_us, "too_far_behind");
        else
            wait_again(c, RETRY_US);
    } else if (u->n == 0) {
        finish(c);
    } else {
        qsort(u->keys, u->n, sizeof(*u->keys), by_window);
        send_piece(c);
    }
    stream_catch_up_next(c->hub);
}

static void begin(struct stream_client *c)
{
    struct repo_look_reader reader = {
        .on_look = on_look, .on_key = on_key, .done = on_keys_done, .arg = c};
    struct buf since = {0};
    stream_client_state(c, CLIENT_READING);
    c->hub->stats->stream_catch_ups++;
    c->catch_up.piece = STREAM_PIECE_ROWS;
    c->catch_up.begun_us = clock_mono_us();
    position_snapshot(&c->at, &since);
    buf_addc(&since, '\0');
    c->catch_up.pending = repo_look_keys(c->hub->repo, &c->q, since.p, STREAM_WINDOWS_MAX, &reader);
    buf_free(&since);
}

void stream_catch_up_next(struct stream_hub *h)
{
    struct stream_client *c;
    int64_t now_us = clock_mono_us();
    TAILQ_FOREACH(c, &h->clients, link)
    {
        if (h->catching_count >= STREAM_CATCH_UPS_MAX)
            return;
        if (c->state == CLIENT_BEHIND && now_us >= c->catch_up.not_before_us &&
            http_stream_pending(c->stream) == 0)
            begin(c);
    }
}
