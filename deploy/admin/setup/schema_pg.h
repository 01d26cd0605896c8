// SPDX-License-Identifier: Apache-2.0
// What setup does in PostgreSQL: the schema's files, and the numbers pinned for ever.
#ifndef STREAMLENS_ADMIN_SCHEMA_PG_H
#define STREAMLENS_ADMIN_SCHEMA_PG_H

#include "common/core/config.h"
#include "common/core/err.h"

struct schema;

// Connects and takes the lock that lets one setup work at a time; waits for the other to finish.
struct schema *schema_open(const struct config *c, struct err *e) MUST_CHECK;
void schema_close(struct schema *s);

// The numbers of the newest settings epoch: found false where nothing is pinned yet.
struct schema_pins {
    bool found;
    struct config_pinned numbers;
    char topic_prefix[256];
};
int schema_read_pins(struct schema *s, struct schema_pins *out, struct err *e) MUST_CHECK;

// Applies what is missing, printing a line for each file.
int schema_apply(struct schema *s, struct err *e) MUST_CHECK;
// Writes the installation, settings epoch 1 and the position rows, where they are not there.
int schema_pin(struct schema *s, const struct schema_pins *pins, struct err *e) MUST_CHECK;

#endif
