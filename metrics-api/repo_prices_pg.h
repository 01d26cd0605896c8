// SPDX-License-Identifier: Apache-2.0
// The price catalogue in memory, as of the version that is the newest when somebody asks: that is
// looked up with each question, and the catalogue read anew where it is another. One reading at a
// time, for all who wait for it. It holds the cards of all tenants: whose may be shown is
// price_book.h's matter.
#ifndef STREAMLENS_REPO_PRICES_PG_H
#define STREAMLENS_REPO_PRICES_PG_H

#include "common/io/pg_async.h"
#include "metrics-api/repo.h"

enum { PRICES_VERSION, PRICES_CATALOGUE, PRICES_STATEMENTS };
extern const struct pg_statement repo_prices_statements[PRICES_STATEMENTS];

// first: the number of the first of its statements in the pool, which is borrowed and ends before.
struct repo_prices *repo_prices_new(struct pg_pool *pool, size_t first);
void repo_prices_free(struct repo_prices *p);

#endif
