// SPDX-License-Identifier: Apache-2.0
// A service's event loop: one event_base, and the signals that end it. SIGTERM and SIGINT call
// on_stop once (a second one ends the process at once, exit 1); SIGPIPE is ignored.
#ifndef STREAMLENS_LOOP_H
#define STREAMLENS_LOOP_H

#include "common/core/err.h"

#include <event2/event.h>

struct loop;
struct loop *loop_new(void (*on_stop)(void *arg), void *arg, struct err *e);
struct event_base *loop_base(struct loop *l);
int loop_run(struct loop *l) MUST_CHECK; // until loop_stop()
void loop_stop(struct loop *l);
void loop_free(struct loop *l);

#endif
