// SPDX-License-Identifier: Apache-2.0
// One line an event on standard error: text or JSON (LOG_FORMAT). Fields are given as key, value
// pairs; control bytes are escaped. Never log a body, a key or a token.
#ifndef STREAMLENS_LOG_H
#define STREAMLENS_LOG_H

#include "common/core/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

// program is borrowed for ever. Unknown names fall back to text and info (config checks them
// before).
void log_init(const char *program, const char *format, const char *level);
bool log_enabled(enum log_level level);

// The event is a short fixed phrase ("broker unreachable"); what varies goes into the fields:
//   log_info("listening", "addr", "127.0.0.1", "port", log_num(8080));
// Pairs end with NULL, which the macros add. Values are borrowed C strings.
void log_write(enum log_level level, const char *event, ...) __attribute__((sentinel));
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__, (char *)NULL)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__, (char *)NULL)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__, (char *)NULL)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__, (char *)NULL)

// The number as text, in one of 16 rotating buffers: good until the log call it is an argument of.
const char *log_num(int64_t n);

// At most one true every interval for each static state: if (log_limit(&state, now_us, 1000000)) …
struct log_limit {
    int64_t last_us;
    int64_t suppressed; // since the last true
};
bool log_limit(struct log_limit *l, int64_t now_us, int64_t interval_us);

#endif
