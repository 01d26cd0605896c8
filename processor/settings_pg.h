// SPDX-License-Identifier: Apache-2.0
// The settings epochs in the database: the newest one, and those of a partition.
#ifndef STREAMLENS_SETTINGS_PG_H
#define STREAMLENS_SETTINGS_PG_H

#include "processor/db_pg.h"

enum store_result settings_read_newest(struct db *db, struct store_settings *out,
                                       struct err *e) MUST_CHECK;
// The newest SETTINGS_EPOCHS_MAX that hold for records of the partition.
enum store_result settings_read(struct db *db, int partition, struct settings *out,
                                struct err *e) MUST_CHECK;

#endif
