// SPDX-License-Identifier: Apache-2.0
// streamlens-admin key: API keys for clients (common/core/api_key.h).
#ifndef STREAMLENS_ADMIN_KEY_H
#define STREAMLENS_ADMIN_KEY_H

#include "common/core/config.h"
#include "deploy/admin/args.h"

// create and rotate print the key alone on standard output, all else on standard error, so that
// KEY=$(streamlens-admin key create …) holds it. No other command prints a key or its hash. 0, -1,
// or ARGS_WRONG.
int key_create(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int key_list(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int key_revoke(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int key_rotate(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

#endif
