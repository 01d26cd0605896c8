// SPDX-License-Identifier: Apache-2.0
// Cuts a batch body into its items without reading them: the lines of NDJSON, or the elements of
// one JSON array. Items are passed on as the bytes that were sent, so this finds borders only;
// whether an item is valid JSON is event_parse's to say.
#ifndef STREAMLENS_JSON_SPLIT_H
#define STREAMLENS_JSON_SPLIT_H

#include "common/core/err.h"

struct json_split {
    struct str body;
    size_t at;
    bool array;
    bool begun; // of an array: its bracket has been read
    bool done;
};

// Decides by the first byte that is not white space: '[' begins an array, anything else is NDJSON.
void json_split_init(struct json_split *s, struct str body);

// The next item, without white space around it: 1 and *item, 0 at the end, -1 where the array
// itself is broken (no comma, no closing bracket, bytes behind it); items returned before stay
// valid. Blank NDJSON lines are skipped. After 0 or -1 every further call returns 0.
int json_split_next(struct json_split *s, struct str *item, struct err *e) MUST_CHECK;

#endif
