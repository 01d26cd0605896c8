// SPDX-License-Identifier: Apache-2.0
// What an answer is, once it is there: to be sent, and perhaps to be kept (cache.h).
#ifndef STREAMLENS_ANSWERED_H
#define STREAMLENS_ANSWERED_H

#include "common/core/buf.h"
#include "common/core/err.h"
#include "common/core/timeunit.h"
#include "metrics-api/render.h"

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
    // Of windows before it alone, all closed; INT64_MAX: of what may still change.
    int64_t settled_to_us;
};
static inline void answer_clear(struct answer *a)
{
    buf_free(&a->body);
    buf_free(&a->about.next_cursor);
    *a = (struct answer){0};
}

#endif
