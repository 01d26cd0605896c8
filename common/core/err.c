// SPDX-License-Identifier: Apache-2.0
#include "common/core/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    e->field[0] = '\0';
    e->offset = -1;
    vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
    va_end(ap);
    return -1;
}

int err_field(struct err *e, const char *field, int64_t offset, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    snprintf(e->field, sizeof(e->field), "%s", field);
    e->offset = offset;
    vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
    va_end(ap);
    return -1;
}
