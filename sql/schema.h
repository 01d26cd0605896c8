// SPDX-License-Identifier: Apache-2.0
// The version of the database's schema that this build knows, and the files that make it.
#ifndef STREAMLENS_SQL_SCHEMA_H
#define STREAMLENS_SQL_SCHEMA_H

// The number of the newest file in sql/. A database that is older is refused by every service; one
// that is newer is refused by those for whom it is too new, see SQL_CHECK_VERSION.
#define SQL_SCHEMA_VERSION 10

// One row: the newest version applied, and the oldest version of a program that may still write to
// it (readers need not look at the second). Fails with 42P01 (no such table) where setup never ran.
#define SQL_CHECK_VERSION "SELECT max(version), max(oldest_writer) FROM streamlens_schema"

struct sql_file {
    int version;       // 1, 2, …
    int oldest_writer; // programs that know only an older schema must not write any more
    const char *name;  // "001_init"
    const char *text;
};
extern const struct sql_file sql_files[SQL_SCHEMA_VERSION]; // linked by streamlens-admin alone

#endif
