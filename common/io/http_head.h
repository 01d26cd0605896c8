// SPDX-License-Identifier: Apache-2.0
// The outer form of a request's head: where it ends, its lines, the request line. Pure. What stands
// in the header fields is llhttp's and http_parse.c's business.
//
// This is done here because llhttp takes a bare LF for a line end in places, unfolds obs-fold, and
// knows no limits; and because a whole head in one piece needs no reassembly of split tokens.
#ifndef STREAMLENS_HTTP_HEAD_H
#define STREAMLENS_HTTP_HEAD_H

#include "common/core/base.h"

struct http_scan {
    size_t line;   // offset where the line being read begins
    bool has_line; // the request line is behind us
};

// Looks at the first n bytes of input, which begin at the request line; is called again with more.
// 0: more is needed. >0 and *status 0: the head is that many bytes. Else *status is the answer
// (400, 414, 431) and *why says what is wrong.
// With has_line set from the start it finds the end of a block of fields without a request line.
size_t http_scan_head(struct http_scan *s, const char *p, size_t n, size_t max_target,
                      size_t max_head, int *status, const char **why);

struct http_request_line {
    struct str method, target;
    int major, minor;
};
// The line without its CRLF. NULL, or what is wrong with it.
const char *http_parse_request_line(struct str line, struct http_request_line *out);

// origin-form and absolute-form are taken apart; anything else ("*") is a path that no route has.
// False where an absolute-form names no host, or a user beside it.
bool http_split_target(struct str target, struct str *path, struct str *query) MUST_CHECK;

// Lines that passed the scan, the empty one at the end included: each is "name:…", without control
// characters.
bool http_are_fields(const char *p, size_t n);

bool http_is_token(struct str s); // RFC 9110 5.6.2, at least one character
// The same, and makes it small letters as far as it is one.
bool http_lower_token(char *p, size_t n);
bool http_is_host(struct str value); // HOST[:PORT] of a Host field, may be empty

#endif
