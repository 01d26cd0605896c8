// SPDX-License-Identifier: Apache-2.0
// streamlens-admin price: the catalogue (common/core/price.h) as an operator sees and changes it.
#ifndef STREAMLENS_ADMIN_PRICE_H
#define STREAMLENS_ADMIN_PRICE_H

#include <stdio.h>

#include "common/core/config.h"
#include "deploy/admin/args.h"

// Each 0, -1 or ARGS_WRONG. What a file's reader refuses is named with its line and column.
int price_list(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int price_show(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int price_resolve(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
// Compares with the catalogue where the database can be reached, and says so where not.
int price_check(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
// All cards that change something, as one version, or nothing.
int price_set(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

// Takes somebody else's list: all that changes as one version, or nothing; or says what that would
// be. Prices that look like a slip of the unit stop it.
int price_import(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int price_diff(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

// Makes the catalogue what it was as of a version, by adding one.
int price_restore(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;
int price_versions(const struct config *c, const struct args *a, struct err *e) MUST_CHECK;

void price_help_columns(FILE *to);

#endif
