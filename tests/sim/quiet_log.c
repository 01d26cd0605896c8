// SPDX-License-Identifier: Apache-2.0
// common/io/log.h for simulated processes: silent, and without a clock.
#include "common/io/log.h"

void log_init(const char *program, const char *format, const char *level)
{
    (void)program;
    (void)format;
    (void)level;
}

bool log_enabled(enum log_level level)
{
    (void)level;
    return false;
}

void log_write(enum log_level level, const char *event, ...)
{
    (void)level;
    (void)event;
}

const char *log_num(int64_t n)
{
    (void)n;
    return "";
}

bool log_limit(struct log_limit *l, int64_t now_us, int64_t interval_us)
{
    (void)l;
    (void)now_us;
    (void)interval_us;
    return false;
}
