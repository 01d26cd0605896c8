// SPDX-License-Identifier: Apache-2.0
// streamlens-admin settings: the pinned numbers, and changing them on a live system by opening a
// settings epoch (DESIGN 2.2).
#ifndef STREAMLENS_ADMIN_SETTINGS_H
#define STREAMLENS_ADMIN_SETTINGS_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

// Each 0, -1 or ARGS_WRONG.
int settings_list(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int settings_set(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
