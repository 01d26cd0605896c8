// SPDX-License-Identifier: Apache-2.0
// streamlens-admin limit: how much tenants may send (common/core/tenant_limit.h).
#ifndef STREAMLENS_ADMIN_LIMIT_H
#define STREAMLENS_ADMIN_LIMIT_H

#include <stdio.h>

#include "common/core/config.h"
#include "deploy/admin/args.h"

// 0, -1, or ARGS_WRONG.
int limit_set(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int limit_list(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int limit_remove(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

void limit_help_columns(FILE *to);

#endif
