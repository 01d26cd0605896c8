// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer. Zero-initialise it to begin; buf_free() leaves it ready for reuse.
#ifndef STREAMLENS_BUF_H
#define STREAMLENS_BUF_H

#include "common/core/base.h"

struct buf {
    char *p; // owned; NULL while empty
    size_t n, cap;
};

void buf_reserve(struct buf *b, size_t more); // room for `more` bytes beyond n
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *cstr);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
// The string as a JSON string literal, quotes included. The input is valid UTF-8; control
// characters, quote and backslash are escaped.
void buf_add_json_str(struct buf *b, struct str s);
void buf_add_base64(struct buf *b, const void *p, size_t n); // the usual alphabet, padded
void buf_clear(struct buf *b);                               // keeps the memory
void buf_free(struct buf *b);
// Hands the NUL-terminated bytes over; the caller frees them. The buffer is empty afterwards.
char *buf_steal(struct buf *b);

#endif
