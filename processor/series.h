// SPDX-License-Identifier: Apache-2.0
// The dictionary of (tenant, route, model, series epoch): one entry for each that an open request
// (of a replay: only some, see task.c) or an unflushed delta refers to, by counted references.
// Entries that nobody refers to are kept for a while, since most names come again at once: at most
// SERIES_UNUSED more than are in use.
//
// Which row a series belongs to is decided within an epoch of the cap (DESIGN 4, rule 9), so names
// that were asked for in two of them are two entries here, whether or not both mean one row.
#ifndef STREAMLENS_SERIES_H
#define STREAMLENS_SERIES_H

#include "common/core/event.h"
#include "common/core/hash.h"

struct window_cell;

struct series {
    struct str tenant, route, model; // each with a NUL behind it
    // The store's to set. The row's series id once it is resolved, 0 before; over the tenant's cap
    // it is the id of __other__. It holds for the connection over which it was asked for.
    int64_t store_id, store_connection;
    // What each record of it touches lies together.
    int64_t epoch;            // settings_epoch.series_epoch of the requests
    uint64_t hash;            // of names and epoch, for whoever keeps tables of series
    struct window_cell *cell; // window.c's: the last one that was counted in, or NULL
    uint32_t references;
};

#define SERIES_OTHER "__other__" // route and model of what is over a tenant's cap
#define SERIES_UNUSED 1024

struct series_table;
struct series_table *series_table_new(const struct hash_key *key); // key is borrowed
void series_table_free(struct series_table *t);
// Names (without NUL, at most EVENT_NAME_MAX bytes each) and an epoch. Making it has the memory
// fetched that taking their entry needs. Not to be copied: the names point into it.
struct series_names {
    struct str tenant, route, model;
    int64_t epoch;
    uint64_t hash;
    uint32_t n;
    char bytes[3 * (EVENT_NAME_MAX + 1)]; // all in a row, each with a NUL
};
void series_names_make(struct series_names *names, const struct series_table *t, struct str tenant,
                       struct str route, struct str model, int64_t epoch);
// Their entry, made if need be, with one more reference.
struct series *series_take_names(struct series_table *t, const struct series_names *names);
struct series *series_take(struct series_table *t, struct str tenant, struct str route,
                           struct str model, int64_t epoch);
// The names alone, *n bytes with a NUL behind each, for whoever finds out later whether their entry
// is wanted; to be freed. And the entry of names that were kept so.
char *series_names_keep(struct str tenant, struct str route, struct str model, uint16_t *n);
struct series *series_take_kept(struct series_table *t, const char *kept, int64_t epoch);
struct series *series_ref(struct series *s); // one more reference
// Has the memory fetched that counting something of it needs.
void series_prefetch(const struct series *s);
// With the last reference the entry forgets its store_id: whoever takes it again resolves it again.
void series_drop(struct series_table *t, struct series *s);
size_t series_count(const struct series_table *t); // that are referred to
size_t series_unused(const struct series_table *t);

#endif
