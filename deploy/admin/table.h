// SPDX-License-Identifier: Apache-2.0
// A table for people: columns as wide as their widest cell. Pure.
#ifndef STREAMLENS_ADMIN_TABLE_H
#define STREAMLENS_ADMIN_TABLE_H

#include "common/core/buf.h"

#define TABLE_COLUMNS_MAX 16

// Zero-initialise, but for `columns`.
struct table {
    size_t columns;
    char **cells; // row after row, owned
    size_t count, room;
};

void table_add(struct table *t, const char *cell); // copied
void table_addf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
// The rows, columns two blanks apart; ends what was begun: the table is empty afterwards.
void table_render(struct table *t, struct buf *out);

#endif
