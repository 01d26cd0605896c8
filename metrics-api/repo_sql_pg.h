// SPDX-License-Identifier: Apache-2.0
// The statements of repo_pg.c, made once. Whose rows a statement may see stands in MINE, here and
// nowhere else: every other part takes rows of llm_minute, llm_hour and llm_publish by the ids that
// MINE gave.
#ifndef STREAMLENS_REPO_SQL_PG_H
#define STREAMLENS_REPO_SQL_PG_H

#include "common/core/buf.h"
#include "common/io/fact_row_pg.h"

// $1 tenant (NULL: any), $2 and $3 the routes and models (NULL: any), $4 wants.
//
// ROWS: $5 from, $6 to, $7 limit; $8, $9, $10 the window, route and model behind which to begin.
// FACTS: $5, $6 the hours' spans, $7, $8 the minutes', $9, $10 the tail (NULL: none).
// NAMES: $4 the prefix, $5 from, $6 to, $7 limit; $8, $9, $10 the tenant, route and model.
//
// LOOK: $1 tenants (text[]); $5 since when (pg_snapshot; NULL: nothing has changed), $6 the most
// windows that rows are taken of.
// LOOK_KEYS: $4 the most windows, $5 since when; its columns are KEYS_*.
// LOOK_ROWS: $5 series' ids, $6 their windows.
enum repo_statement {
    ROWS_ONE_DESC, // of one route and model
    ROWS_ONE_ASC,
    ROWS_DESC,
    ROWS_ASC,
    FACTS_NAMED, // of some routes and some models of a tenant
    FACTS_TENANT,
    FACTS_ALL, // of all tenants
    LOOK,      // what has changed, of some tenants
    LOOK_KEYS, // which rows have, of some routes and some models of a tenant
    LOOK_ROWS, // rows by their keys
    NAMES_SERIES,
    NAMES_SERIES_ALL,
    NAMES_TENANTS,
    NAMES_TENANTS_ALL,
    NAMES_ROUTES,
    NAMES_ROUTES_ALL,
    NAMES_MODELS,
    NAMES_MODELS_ALL,
    REPO_STATEMENTS
};
#define REPO_PARAMS_MAX 10
int repo_sql_params(enum repo_statement st);
const char *repo_sql(enum repo_statement st);

// The columns of every result. A row with META_* has no names and no facts; the others have no
// META_*.
enum repo_column {
    COLUMN_TENANT,
    COLUMN_ROUTE,
    COLUMN_MODEL,
    COLUMN_WINDOW_US,                                // int8: the length of the pack's windows
    COLUMN_FACTS,                                    // FACT_PACK_PG_NAMES
    COLUMN_META = COLUMN_FACTS + FACT_PACK_PG_COUNT, // int8: 1 where META_* stand
    META_CLOSED_THROUGH,
    META_MINUTES_FROM,
    META_HOURS_FROM,
    META_OPEN, // timestamptz[]
    META_PARTLY,
    META_GAPS_FROM,
    META_GAPS_TO,
    REPO_COLUMNS,
    // of LOOK, beside META_*, which come first there
    LOOK_ABOUT = REPO_COLUMNS, // four: see enum about_column
    // of LOOK_KEYS, whose first row has ABOUT_* alone
    KEYS_SERIES = 0,
    KEYS_STARTS, // timestamptz[]
    KEYS_ABOUT,
    // of NAMES
    COLUMN_FIRST = COLUMN_WINDOW_US,
    COLUMN_LAST,
    COLUMN_SERIES,
    COLUMN_NAMES_CLOSED, // timestamptz: as META_CLOSED_THROUGH, of the same snapshot
};

// What a look says of itself.
enum about_column {
    ABOUT_POSITION, // text, as metrics-api/position.h has it
    ABOUT_WINDOWS,  // int8: how many have changed
    ABOUT_FROM,     // the first of them
    ABOUT_TO,       // the last one's end
};

#endif
