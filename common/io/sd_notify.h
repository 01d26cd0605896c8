// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how the service is, by the protocol of sd_notify(3): READY=1 when it is
// ready for the first time, STATUS= with how it is whenever that changes, WATCHDOG=1 at half of
// WATCHDOG_USEC, STOPPING=1. All of it is sent by the event loop, so that a loop that hangs is
// missed. Without NOTIFY_SOCKET nothing is sent.
#ifndef STREAMLENS_SD_NOTIFY_H
#define STREAMLENS_SD_NOTIFY_H

#include "common/core/err.h"

#include <event2/event.h>

struct sd_notify;

// Whether the service is ready. *how comes empty; what it holds then is sent as the status: why it
// is not ready, or what is degraded, in one line as all errors are. Called once a second.
typedef bool (*sd_notify_ask)(void *arg, struct err *how);

// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; arg is borrowed. NULL where there is nobody
// to tell, which every function takes. A socket that is not a path and not abstract ("@name") is
// warned of and not used, as is one that does not answer: the service itself goes on.
struct sd_notify *sd_notify_new(struct event_base *base, sd_notify_ask ask, void *arg);
// The end has begun. Nobody is asked any more; beats go on.
void sd_notify_stopping(struct sd_notify *n);
void sd_notify_free(struct sd_notify *n);

#endif
