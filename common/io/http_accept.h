// SPDX-License-Identifier: Apache-2.0
// What a client says it takes or has: the values of Accept, Accept-Encoding and If-None-Match
// (RFC 9110 12.5.1, 12.5.3, 13.1.2), several fields of a name joined by commas. Pure.
//
// What cannot be understood is passed over as if it did not stand there, but weights are also read
// where their leading zero is missing, and a lone `*` is any media type, for widespread clients
// write that. Where something is named twice the first one holds.
#ifndef STREAMLENS_HTTP_ACCEPT_H
#define STREAMLENS_HTTP_ACCEPT_H

#include "common/core/base.h"

#define HTTP_ACCEPT_TYPES_MAX 16

// Whether gzip is taken, and no less gladly than no coding at all where the client weighs both. A
// field that is not there ({ NULL, 0 }) takes none.
bool http_accept_gzip(struct str accept_encoding);

// Which of the media types ("text/csv", without parameters; the most wanted of ours first) the
// client takes most gladly; -1: none. Of those it takes alike the first. The most specific range
// that fits a type has its weight; parameters of ranges are not looked at. The first where there is
// no field, or none of it can be understood.
int http_accept_best(struct str accept, const char *const types[], size_t n);

// Whether the entity tag ("\"x\"" or "W/\"x\"") is among those listed, weakly compared, or any is.
bool http_etag_is_listed(struct str if_none_match, const char *etag);

#endif
