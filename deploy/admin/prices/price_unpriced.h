// SPDX-License-Identifier: Apache-2.0
// streamlens-admin price unpriced: names in usage that have no price.
#ifndef STREAMLENS_ADMIN_PRICE_UNPRICED_H
#define STREAMLENS_ADMIN_PRICE_UNPRICED_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

// 0, -1 or ARGS_WRONG.
int price_unpriced(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
