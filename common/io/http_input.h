// SPDX-License-Identifier: Apache-2.0
// What a connection has read and not parsed, always in one piece. Pure.
//
// Nearly every read brings whole requests, which are parsed where the read put them: only what is
// left over then is copied, and nothing is allocated for the rest. (With an evbuffer a request cost
// an allocation, a copy and a dozen calls: see tests/bench/PROFILES.md.)
#ifndef STREAMLENS_HTTP_INPUT_H
#define STREAMLENS_HTTP_INPUT_H

#include "common/core/buf.h"

// Zero-initialise it to begin.
struct http_input {
    const char *p; // the bytes that are not parsed
    size_t n;
    struct buf kept; // where they lie between two reads
};

// Bytes behind those that are there. Where there are none the new ones are only pointed to, and
// must stay as they are until http_input_keep().
void http_input_add(struct http_input *in, const char *p, size_t n);
void http_input_drain(struct http_input *in, size_t n); // n <= in->n
// Copies what is left, unless it has been; gives the memory back where nothing is.
void http_input_keep(struct http_input *in);
void http_input_free(struct http_input *in);

#endif
