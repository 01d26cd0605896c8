// SPDX-License-Identifier: Apache-2.0
// streamlens-admin reprice: costs of the past, anew by the newest version of the prices.
#ifndef STREAMLENS_ADMIN_REPRICE_H
#define STREAMLENS_ADMIN_REPRICE_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

int reprice_command(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
