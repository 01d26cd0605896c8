// SPDX-License-Identifier: Apache-2.0
// Shared by answer*.c alone: one question under way.
#ifndef STREAMLENS_ANSWER_INTERNAL_H
#define STREAMLENS_ANSWER_INTERNAL_H

#include "metrics-api/answer.h"

#include <event2/event.h>

struct answerer {
    struct event_base *base;
    struct repo *repo;
    const struct hash_key *hash_key;
    struct plan_kept kept; // as the last answer saw it
    size_t memory_bytes;
    size_t bytes; // of cells under way
};

// What one kind of question does; its state is of a size of its own, behind the shared one.
struct answer_kind {
    size_t size;
    // Sends the first request; -1: answering.out has the error.
    int (*begin)(struct answering *g);
    void (*clear)(struct answering *g); // frees what is its own
};
extern const struct answer_kind answer_rows, answer_cells, answer_names, answer_prices;

struct answering {
    struct answerer *an;
    struct question q;
    const struct answer_kind *kind;
    struct repo_request *pending; // NULL: none
    struct event *refused;        // where begin() failed: done is called from the loop
    struct answer out;
    answer_done done;
    void *arg;
};

// Ends the question with what is in `out`; g is gone.
void answer_end(struct answering *g);
// Ends it where the repo said anything but OK (STOPPED: out.err says why, and out.status).
void answer_end_bad(struct answering *g, enum repo_status status, const struct err *e);

// What of the facts a row's fields need: bits of common/io/fact_row_pg.h. stored: rows that have
// their quantiles with them.
int answer_wants(const struct question *q, bool stored);

// Sets complete, closed and lossy of a row, by what was read with it.
void answer_judge(const struct repo_meta *meta, struct fact_row *row);

// Rows on their way into the body, and what is told about them.
struct answer_writer {
    struct answering *g;
    int64_t closed_through_us;
    struct render render;
    struct buf scratch;
};
// rows: about how many will come.
void answer_write_begin(struct answer_writer *w, struct answering *g, int64_t closed_through_us,
                        const char *name, size_t rows);
void answer_write_row(struct answer_writer *w, const struct fact_row *row, const double *latency_ms,
                      const double *ttft_ms);
// Closes the list; a JSON object stays open, for members of the caller's own.
void answer_write_rows_end(struct answer_writer *w);
// answer_write_about() and frees; rc not 0: there is no answer, frees alone.
void answer_write_end(struct answer_writer *w, int rc);

// The members that every answer has, and the brace: it is whole then.
void answer_write_about(struct answering *g, int64_t closed_through_us);
void answer_add_time(struct buf *out, int64_t t_us); // as a JSON string
void answer_add_cursor(struct answering *g, const struct fold_place *last);

#endif
