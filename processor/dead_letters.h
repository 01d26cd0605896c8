// SPDX-License-Identifier: Apache-2.0
// The dead letters of a task, until a flush has handed them in.
#ifndef STREAMLENS_DEAD_LETTERS_H
#define STREAMLENS_DEAD_LETTERS_H

#include "processor/emit.h"
#include "processor/record.h"

// What the tasks of one instance hold of them together: the records' keys and values in bytes.
// Starts zeroed.
struct dead_letters_load {
    size_t count, bytes;
};

struct dead_letters {
    struct dead_letter *v; // owned, as are their bytes
    size_t count, cap;
};

// Zero-initialise it to begin. The record is copied; the reason is not, the detail (may be NULL)
// is.
void dead_letters_add(struct dead_letters *l, struct dead_letters_load *load, int partition,
                      const struct task_record *r, const char *reason, const char *detail);
void dead_letters_clear(struct dead_letters *l,
                        struct dead_letters_load *load); // empty and valid again
void dead_letters_free(struct dead_letters *l, struct dead_letters_load *load);

#endif
