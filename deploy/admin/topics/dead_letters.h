// SPDX-License-Identifier: Apache-2.0
// streamlens-admin dead-letters.
#ifndef STREAMLENS_ADMIN_DEAD_LETTERS_H
#define STREAMLENS_ADMIN_DEAD_LETTERS_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

int dead_letters_run(const struct config *c, const struct args *a, struct err *e);

#endif
