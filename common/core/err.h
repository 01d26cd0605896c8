// SPDX-License-Identifier: Apache-2.0
// A caller-owned error: what went wrong, for a person, and where. Functions that can fail return 0
// or a negative number and fill the struct err they were given; the caller decides what to do.
#ifndef STREAMLENS_ERR_H
#define STREAMLENS_ERR_H

#include "common/core/base.h"

struct err {
    char field[64];   // the field or setting at fault, "" where none
    char detail[512]; // one sentence: what is wrong and what is wanted
    int64_t offset;   // byte offset in the input, -1 where it has no meaning
};

// Fills e (no field, no offset) and returns -1, so that it can stand in a return statement.
// e may be NULL.
int err_set(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

// The same, naming the field or setting.
int err_field(struct err *e, const char *field, int64_t offset, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
