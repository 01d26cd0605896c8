// SPDX-License-Identifier: Apache-2.0
// The price catalogue in the database: read as a whole, added to a version at a time.
#ifndef STREAMLENS_ADMIN_PRICES_PG_H
#define STREAMLENS_ADMIN_PRICES_PG_H

#include "common/core/config.h"
#include "common/core/price.h"
#include "deploy/admin/db_pg.h"

struct prices;
struct prices *prices_open(const struct config *c, struct err *e) MUST_CHECK;
void prices_close(struct prices *p); // what was begun and not added is undone

// Reads the catalogue as it is; what the functions below give is of the last reading.
int prices_read(struct prices *p, struct err *e) MUST_CHECK;
// The same, and until prices_add or prices_close nobody else adds a version. Reading goes on.
int prices_begin(struct prices *p, struct err *e) MUST_CHECK;

const struct catalogue *prices_catalogue(const struct prices *p);
int64_t prices_now_us(const struct prices *p); // the database's clock

enum prices_origin {
    PRICES_DEFAULT, // the catalogue that comes along
    PRICES_SET,     // an operator's own word
    PRICES_IMPORT,  // a list of somebody else
    PRICES_RESTORE, // what held as of an earlier version
};
const char *prices_origin_name(enum prices_origin origin); // "default", "set", …

struct prices_version {
    int64_t version, created_us;
    enum prices_origin origin;
    int64_t restores; // PRICES_RESTORE: the earlier version; else 0
    const char *note;
};
// NULL where there is none.
const struct prices_version *prices_version(const struct prices *p, int64_t version);
size_t prices_version_count(const struct prices *p);
const struct prices_version *prices_version_at(const struct prices *p, size_t i);

// Whose word a card is: that of its version, and of a restored card that of the one that it was
// copied from. PRICES_RESTORE where it only takes back what came later.
enum prices_origin prices_origin_of(const struct prices *p, const struct price_card *card);

// After prices_begin: adds the cards as one new version, and commits. The cards were checked. Of
// `head` origin, restores and note are read.
int prices_add(struct prices *p, const struct prices_version *head, const struct price_card *cards,
               size_t count, int64_t *version, struct err *e) MUST_CHECK;

struct db *prices_db(const struct prices *p); // for other statements before prices_begin

#endif
