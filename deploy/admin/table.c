// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/table.h"

#include <stdarg.h>
#include <stdio.h>

static void take(struct table *t, char *cell)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->cells = xrealloc(t->cells, t->room * sizeof(*t->cells));
    }
    t->cells[t->count++] = cell;
}

void table_add(struct table *t, const char *cell)
{
    take(t, xstrdup(cell));
}

void table_addf(struct table *t, const char *fmt, ...)
{
    char *cell;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&cell, fmt, args) < 0)
        abort(); // no memory
    va_end(args);
    take(t, cell);
}

// Characters, not bytes: names may be in any script. Wide ones count as one.
static size_t width(const char *utf8)
{
    size_t n = 0;
    for (; *utf8; utf8++)
        n += ((unsigned char)*utf8 & 0xc0) != 0x80;
    return n;
}

void table_render(struct table *t, struct buf *out)
{
    assert(t->columns > 0 && t->columns <= TABLE_COLUMNS_MAX && t->count % t->columns == 0);
    size_t widest[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->count; i++) {
        size_t n = width(t->cells[i]), *most = &widest[i % t->columns];
        *most = n > *most ? n : *most;
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % t->columns;
        buf_adds(out, t->cells[i]);
        for (size_t n = width(t->cells[i]); column + 1 < t->columns && n < widest[column] + 2; n++)
            buf_addc(out, ' ');
        if (column + 1 == t->columns) {
            while (out->n > 0 && out->p[out->n - 1] == ' ')
                out->n--;
            buf_addc(out, '\n');
        }
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){.columns = t->columns};
}
