// SPDX-License-Identifier: Apache-2.0
// Where the keys of an event stand in its bytes: what an error is about. Goes by quotes and
// brackets alone, so the bytes may be no JSON. Slower than it could be: only errors ask.
#ifndef STREAMLENS_EVENT_KEYS_H
#define STREAMLENS_EVENT_KEYS_H

#include "common/core/base.h"

// The offset behind the string whose opening quote is at `at`, or the end of the bytes.
static inline size_t event_string_end(struct str bytes, size_t at)
{
    for (at++; at < bytes.n && bytes.p[at] != '"'; at++) {
        if (bytes.p[at] == '\\')
            at++;
    }
    return at < bytes.n ? at + 1 : bytes.n;
}

// The outermost object's last key that begins before `offset`: the field that an error there
// belongs to. "" where there is none, or where it cannot stand in an error: of printable ASCII
// without blanks, once its escapes are read, and shorter than `size`.
void event_key_before(struct str bytes, size_t offset, char *field, size_t size);

// Where the value of the outermost object's key `field` begins; -1 where there is no such key.
int64_t event_value_offset(struct str bytes, const char *field);

#endif
