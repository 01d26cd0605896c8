// SPDX-License-Identifier: Apache-2.0
// The body of a POST: whether it is of a kind that is taken, and its bytes without their gzip.
#ifndef STREAMLENS_INGEST_BODY_H
#define STREAMLENS_INGEST_BODY_H

#include "common/io/http_server.h"
#include "ingest-api/ingest_stats.h"

// Inflates into one buffer, kept from request to request: so all requests together need room for
// one inflated body, and what is read from it is to be copied before the next.
struct body;
struct body *body_new(struct ingest_stats *stats); // borrowed
void body_free(struct body *b);

// Looks at Content-Type and Content-Encoding. Answers 415 and returns false where the body is none
// that body_read() and ingest.h can read.
bool body_check_header(struct body *b, struct http_exchange *x) MUST_CHECK;

// The body, inflated where it came as gzip; *out lives until the next call, and no longer than x.
// Answers and returns false where it is no gzip (400), or is larger than max_bytes or beyond
// GUNZIP_MAX_RATIO (413).
bool body_read(struct body *b, struct http_exchange *x, size_t max_bytes,
               struct str *out) MUST_CHECK;

#endif
