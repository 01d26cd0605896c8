// SPDX-License-Identifier: Apache-2.0
// streamlens-admin republish.
#ifndef STREAMLENS_ADMIN_REPUBLISH_H
#define STREAMLENS_ADMIN_REPUBLISH_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

int republish_run(const struct config *c, const struct args *a, struct err *e);

#endif
