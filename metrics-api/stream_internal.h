// SPDX-License-Identifier: Apache-2.0
// Shared by stream*.c alone.
#ifndef STREAMLENS_STREAM_INTERNAL_H
#define STREAMLENS_STREAM_INTERNAL_H

#include "metrics-api/stream.h"

#include <sys/queue.h>

#include "metrics-api/position.h"

enum client_state {
    CLIENT_NEW,     // begins where the next look ends
    CLIENT_LIVE,    // has all up to the hub's position
    CLIENT_BEHIND,  // has all up to `at`; waits for its turn to catch up
    CLIENT_READING, // catches up: a request is under way
    CLIENT_TAKING,  // catches up: takes what was sent, then more is read
    CLIENT_JOINING, // has all up to `at`, and waits for the end of the look under way
};

// How rows look for all clients that asked for the same fields; the last row that was rendered.
struct stream_view {
    TAILQ_ENTRY(stream_view) link;
    struct fields fields;
    int wants;
    size_t clients;
    uint64_t row; // hub.row, where `event` is of it
    struct buf event;
};

// Ascending by name in the hub.
struct stream_tenant {
    char *name;
    TAILQ_HEAD(, stream_client) clients;
};

struct stream_catch_up {
    struct repo_request *pending;
    struct repo_key *keys; // owned
    size_t n, cap, next, piece;
    struct position to; // where it ends
    int64_t from_us, to_us;
    const struct repo_meta *meta; // while rows come
    enum { CATCH_FINE, CATCH_AHEAD, CATCH_OTHER, CATCH_TOO_MUCH } verdict;
    bool refused;           // a row of the piece was not taken
    int64_t ahead_since_us; // 0: it is not
    int64_t not_before_us;
    int64_t begun_us, sent_us; // the keys were asked for; the piece that is taken was sent
};

struct stream_client {
    TAILQ_ENTRY(stream_client) link;      // by when they are due a sign of life
    TAILQ_ENTRY(stream_client) of_tenant; // of its tenant
    struct stream_hub *hub;
    struct stream_tenant *tenant;
    struct stream_view *view;
    struct http_stream *stream;
    struct question q;
    char *credential; // owned; NULL with AUTH=none
    enum client_state state;
    struct position at;
    uint64_t told; // hub.looks, when its position was told last
    bool got_rows; // of the look under way
    int64_t life_us;
    struct stream_catch_up catch_up;
};
TAILQ_HEAD(stream_clients, stream_client);

struct stream_hub {
    struct event_base *base;
    struct repo *repo;
    struct auth *auth;
    struct metrics_stats *stats;
    size_t clients_max;
    int64_t query_timeout_us;
    struct event *look_timer, *tick;

    struct stream_clients clients;
    size_t client_count, live_count, catching_count;
    struct stream_tenant **tenants; // owned
    size_t tenant_count;
    TAILQ_HEAD(, stream_view) views;

    // The look under way, and what the last one gave.
    struct repo_request *look;
    struct position position, next;
    const struct repo_meta *meta; // while rows come
    int64_t look_begun_us, ahead_since_us;
    bool again, nudged, found; // found: it had windows that changed
    enum { LOOK_FINE, LOOK_AHEAD, LOOK_OTHER, LOOK_TOO_MUCH } verdict;
    int failures;
    uint64_t looks; // that succeeded
    int64_t closed_through_us;

    uint64_t row; // how many were rendered
    struct buf scratch, event;
};

// stream.c
void stream_client_state(struct stream_client *c, enum client_state state);
void stream_client_behind(struct stream_client *c, const struct position *at);
void stream_client_end(struct stream_client *c, const char *comment); // c is gone
void stream_look_soon(struct stream_hub *h);

// stream_catch_up.c
void stream_catch_up_next(struct stream_hub *h);     // begins with those whose turn it is
void stream_catch_up_go_on(struct stream_client *c); // a piece was taken
void stream_catch_up_clear(struct stream_catch_up *u);
// It has all up to its `at`: joins the others, or catches up with them.
void stream_client_join(struct stream_client *c);

// stream_write.c: each -1 where the client takes no more.
int stream_write_row(struct stream_client *c, const struct repo_meta *meta,
                     const struct fact_row *row, uint64_t number);
int stream_write_hello(struct stream_client *c);
int stream_write_position(struct stream_client *c, const struct position *at);
// from_us INT64_MIN: nobody knows what.
int stream_write_missed(struct stream_client *c, int64_t from_us, int64_t to_us,
                        const char *reason);
int stream_write_text(struct stream_client *c, const char *text);

#endif
