// SPDX-License-Identifier: Apache-2.0
// A question's way to its answer: reads the rows it needs through the repo, folds and renders them.
// From one event loop.
#ifndef STREAMLENS_ANSWER_H
#define STREAMLENS_ANSWER_H

#include "metrics-api/answered.h"
#include "metrics-api/question.h"
#include "metrics-api/repo.h"

// a is the callee's to take over; what it leaves is cleared afterwards.
typedef void (*answer_done)(void *arg, struct answer *a);

struct answerer;
// Borrows all. memory_bytes: for the cells of all questions that are under way; one of them gets at
// most a quarter of it.
struct answerer *answerer_new(struct event_base *base, struct repo *repo,
                              const struct hash_key *hash_key, size_t memory_bytes);
void answerer_free(struct answerer *an);

// Takes what q owns over and leaves it empty. done is called once, never from within this call; the
// handle is good until then, or until answer_cancel().
struct answering;
struct answering *answer_begin(struct answerer *an, struct question *q, answer_done done,
                               void *arg);
void answer_cancel(struct answering *g);

#endif
