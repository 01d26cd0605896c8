// SPDX-License-Identifier: Apache-2.0
// A sink without a log: what becomes of a record is written in its key.
//
//   large…  the topic will never take it         busy…   the queue is full
//   away…   the log cannot be reached            never…  nothing is heard until the deadline
//   hold…   acknowledged at fake_sink_release()  any other key: acknowledged at once
#ifndef STREAMLENS_FAKE_SINK_H
#define STREAMLENS_FAKE_SINK_H

#include "ingest-api/sink.h"

#include <event2/event.h>

struct sink *fake_sink_new(struct event_base *base);
// Acknowledges every held record.
void fake_sink_release(struct sink *s);
// From here on it is not ready, and acknowledges nothing.
void fake_sink_break(struct sink *s);

#endif
