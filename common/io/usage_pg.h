// SPDX-License-Identifier: Apache-2.0
// Usage lines as PostgreSQL's llm_usage[] (sql/001_init.sql), in binary form.
#ifndef STREAMLENS_USAGE_PG_H
#define STREAMLENS_USAGE_PG_H

#include "common/io/pg_binary.h"
#include "common/core/usage_lines.h"

// A field of COPY. type: what llm_usage is to this database. `other` is a line of its own.
void usage_pg_write(struct buf *b, Oid type, const struct usage_lines *l);
// Adds the field's lines into l.
int usage_pg_read(struct usage_lines *l, struct str field, struct err *e) MUST_CHECK;

#endif
