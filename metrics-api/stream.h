// SPDX-License-Identifier: Apache-2.0
// GET /v1/stream: windows as flushes change them, as Server-Sent Events. One loop.
//
// However many clients there are, one look at a time reads what has changed of all their tenants,
// from the position of the look before; notifications are what it is begun for, and where none
// comes it is begun all the same. Rows are handed on as they come, and once all of them were,
// `position` gives the look's own as the event's id. So a client that comes back with the last id
// it saw, here or at another process, gets what it has not got in whole: rows may come twice, none
// is left out.
//
// Who comes back, or was too slow to take a look's rows, catches up by itself: the keys of what has
// changed since its position, then their rows by pieces, each once the piece before was taken. So a
// slow client gets each row's newest revision, and misses but those between. Who is further behind
// than that reaches is told so (`missed`) and goes on from there.
//
// Bounds: STREAM_MAX_CLIENTS; what a client has not taken, max_stream_bytes of the HTTP server;
// STREAM_CATCH_UPS_MAX clients catch up at once, with at most STREAM_KEYS_MAX keys each. A look's
// rows are not kept.
#ifndef STREAMLENS_STREAM_H
#define STREAMLENS_STREAM_H

#include "common/core/config.h"
#include "common/io/auth.h"
#include "common/io/http_server.h"
#include "metrics-api/metrics_stats.h"
#include "metrics-api/repo.h"

#define STREAM_LOOK_LEAST_US (250 * US_PER_MS) // from one look's begin to the next one's
#define STREAM_LOOK_EVERY_US (5 * US_PER_S)    // without any notification
#define STREAM_COMMENT_US (15 * US_PER_S)      // from one sign of life to the next
#define STREAM_RETRY_MS 2000                   // how long a client is told to wait
#define STREAM_WINDOWS_MAX 1440                // changed since a position: beyond, it is too old
#define STREAM_KEYS_MAX 10000
#define STREAM_CATCH_UPS_MAX 64
#define STREAM_PIECE_ROWS 100
#define STREAM_TAKE_US (30 * US_PER_S)  // a piece that is not taken by then ends the stream
#define STREAM_AHEAD_US (60 * US_PER_S) // how long a database may lack what a position has

struct stream_hub;
// Borrows all.
struct stream_hub *stream_new(struct event_base *base, struct repo *repo, struct auth *auth,
                              const struct config *c, struct metrics_stats *stats);
void stream_free(struct stream_hub *h); // no stream is there any more, but those of a free server

// Answers x with a stream, or why there is none. Takes what q owns over and leaves it empty. The
// request's credential is judged again with each sign of life.
void stream_begin(struct stream_hub *h, struct http_exchange *x, struct question *q);

// Something may have changed.
void stream_nudge(struct stream_hub *h);

#endif
