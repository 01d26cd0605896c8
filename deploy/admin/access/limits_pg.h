// SPDX-License-Identifier: Apache-2.0
// Limits of tenants in the database (common/core/tenant_limit.h).
#ifndef STREAMLENS_ADMIN_LIMITS_PG_H
#define STREAMLENS_ADMIN_LIMITS_PG_H

#include "common/core/config.h"

enum limit_column {
    LIMIT_EVENTS_PER_SECOND,
    LIMIT_EVENTS_BURST,
    LIMIT_BYTES_PER_SECOND,
    LIMIT_BYTES_BURST,
    LIMIT_COLUMNS
};
const char *limit_column_name(enum limit_column column);

struct limit_row {
    char *tenant;                  // owned where the row was read
    int64_t number[LIMIT_COLUMNS]; // 0: none
    int64_t changed_us;
};
void limit_row_clear(struct limit_row *row);

struct limits_db;
struct limits_db *limits_db_open(const struct config *c, struct err *e) MUST_CHECK;
void limits_db_close(struct limits_db *l); // what was not kept is undone

// Ordered by tenant. tenant NULL: all. The caller clears the rows and frees them.
int limits_db_list(struct limits_db *l, const char *tenant, struct limit_row **rows, size_t *count,
                   struct err *e) MUST_CHECK;

// Holds off other changes until limits_db_keep(). row->number is what the tenant has, or none.
int limits_db_begin(struct limits_db *l, const char *tenant, struct limit_row *row,
                    struct err *e) MUST_CHECK;
// Refused where the services could not keep one more.
int limits_db_keep(struct limits_db *l, const struct limit_row *row, struct err *e) MUST_CHECK;

// -1 where there is none.
int limits_db_remove(struct limits_db *l, const char *tenant, struct err *e) MUST_CHECK;

#endif
