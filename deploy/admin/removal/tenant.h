// SPDX-License-Identifier: Apache-2.0
// streamlens-admin tenant delete.
#ifndef STREAMLENS_ADMIN_TENANT_H
#define STREAMLENS_ADMIN_TENANT_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

int tenant_delete(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
