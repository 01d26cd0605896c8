// SPDX-License-Identifier: Apache-2.0
// Events that are nearly right, made of a fuzzer's bytes: fields of both shapes in any order,
// missing, doubled, unknown and nested; numbers, times and strings of every form, at their borders
// and beyond; and damage at the end. No bytes give a good request, and each byte changes one thing,
// so a search goes from good events to bad ones step by step.
#ifndef STREAMLENS_TESTS_EVENT_MAKER_H
#define STREAMLENS_TESTS_EVENT_MAKER_H

#include "common/core/buf.h"

// An input that begins with this byte (no JSON does) is one for event_make(), without the byte.
#define EVENT_MADE 's'

// Adds an event to *out, of at most EVENT_MADE_MAX bytes.
#define EVENT_MADE_MAX 65536
void event_make(const uint8_t *data, size_t size, struct buf *out);

#endif
