// SPDX-License-Identifier: Apache-2.0
// A question's way to its answer: reads the rows it needs through the repo, folds and renders them.
// From one event loop.
#ifndef STREAMLENS_ANSWER_H
#define STREAMLENS_ANSWER_H

#include "metrics-api/question.h"
#include "metrics-api/repo.h"

enum answer_status {
    ANSWER_OK,
    ANSWER_WRONG,       // the question cannot be answered as it is: err names the parameter
    ANSWER_UNAVAILABLE, // ask again later
    ANSWER_FAILED,      // err is for the log
};

// What is told beside the rows, in the body of JSON and in header fields.
struct answer_about {
    char data_through[TIME_RFC3339_MAX + 1]; // "": nothing has closed yet
    bool open_windows;                       // windows that are not complete are among the rows
    struct buf next_cursor;                  // owned, NUL behind it; empty: there is nothing more
};
// The relative error of percentiles: half of the last of 2 significant digits, and the width of a
// bucket (common/core/hist.h).
#define ANSWER_PERCENTILE_ERROR "0.01"

struct answer {
    enum answer_status status;
    struct err err; // not with ANSWER_OK
    enum render_format format;
    struct buf body; // owned
    struct answer_about about;
    size_t rows;
    // Of windows before it alone, all closed; INT64_MAX: of windows that may still change.
    int64_t settled_to_us;
};
static inline void answer_clear(struct answer *a)
{
    buf_free(&a->body);
    buf_free(&a->about.next_cursor);
    *a = (struct answer){0};
}

// a is the callee's to take over; what it leaves is cleared afterwards.
typedef void (*answer_done)(void *arg, struct answer *a);

struct answerer;
// Borrows all.
struct answerer *answerer_new(struct event_base *base, struct repo *repo,
                              const struct hash_key *hash_key);
void answerer_free(struct answerer *an);

// Takes what q owns over and leaves it empty. done is called once, never from within this call; the
// handle is good until then, or until answer_cancel().
struct answering;
struct answering *answer_begin(struct answerer *an, struct question *q, answer_done done,
                               void *arg);
void answer_cancel(struct answering *g);

#endif
