// SPDX-License-Identifier: Apache-2.0
// streamlens-admin setup: topics, schema, pinned settings. Safe to run again, and twice at once.
#ifndef STREAMLENS_ADMIN_SETUP_H
#define STREAMLENS_ADMIN_SETUP_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

// Prints a line for each thing done or found.
int setup_run(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
