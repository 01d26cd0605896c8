// SPDX-License-Identifier: Apache-2.0
// The price catalogue out of PostgreSQL (sql/002_prices.sql). Only the text of the statement and
// the reading of its result: whose connection it runs over, and how it waits, is the caller's.
#ifndef STREAMLENS_PRICE_PG_H
#define STREAMLENS_PRICE_PG_H

#include "common/core/price.h"

#include <libpq-fe.h>

// All lines of all cards, and the versions that have none.
extern const char price_pg_select[];

// Adds what the statement gave, in text format as a simple query gives it, to a catalogue that is
// still empty. Its version is then the greatest of llm_price_version. -1: a card that price.h does
// not admit, which e names, or more than CATALOGUE_CARDS_MAX; the catalogue then has the versions
// before the one that this is about, whole, and its version is the last of them.
int price_pg_read(const PGresult *result, struct catalogue *into, struct err *e) MUST_CHECK;

#endif
