// SPDX-License-Identifier: Apache-2.0
// Series that have windows in a range, as they were read, and where each is in the list. Pure.
#ifndef STREAMLENS_PROMETHEUS_SERIES_NAMES_H
#define STREAMLENS_PROMETHEUS_SERIES_NAMES_H

#include "common/core/fact_row.h"
#include "common/core/hash.h"
#include "metrics-api/promql/arena.h"

#define SERIES_NAMES_MAX 20000 // series of a query

struct series_name {
    struct str tenant_id, route, model; // with a NUL behind
    int64_t first_us, last_us;          // starts of its first and last window in the range
};

// Zero-initialise it but for hash_key (borrowed: names are strangers') to begin.
struct series_names {
    const struct hash_key *hash_key;
    struct series_name *v; // owned
    size_t n;
    bool more; // than SERIES_NAMES_MAX: those are left out
    struct arena arena;
    uint32_t *table; // places in v plus 1, by hash; 0: free. Owned.
    size_t table_size;
};
// A row of repo_names(): names, first and last. Each series comes once.
void series_names_add(struct series_names *s, const struct fact_row *row);
// Its place; SIZE_MAX: it is none of them.
size_t series_names_find(const struct series_names *s, struct str tenant_id, struct str route,
                         struct str model);
void series_names_clear(struct series_names *s);

#endif
