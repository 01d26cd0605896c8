// SPDX-License-Identifier: Apache-2.0
// Corrections of the past as people and programs read them. Pure. Amounts are USD, exact.
#ifndef STREAMLENS_ADMIN_REPRICE_SHOW_H
#define STREAMLENS_ADMIN_REPRICE_SHOW_H

#include "deploy/admin/reprice/reprice_diff.h"

struct reprice_request {
    int64_t from_us, to_us;     // windows that begin in [from, to)
    const char *tenant, *model; // NULL: all
    int64_t version;            // of the catalogue
};

struct reprice_counts {
    int64_t rows, hours, hours_left; // sql/010_costs.sql
    money cost_change;
};

struct reprice_record {
    int64_t id;
    struct reprice_request request;
    int64_t next_hour_us; // the hours before it are done
    struct reprice_counts counts;
    char *tenant, *model, *created_by;           // owned; request points into them
    int64_t created_us, updated_us, finished_us; // INT64_MIN: not finished
};

// How much of the range lies before an instant, in percent.
double reprice_percent(const struct reprice_request *r, int64_t next_hour_us);

// What the rows of minutes hold together, and what they would by the versions that they name.
struct reprice_stored {
    money stored, by_versions;
};

// What changes, per model, an ordered one. Text: a table of the models that change, at most
// REPRICE_MODELS_SHOWN; JSON: one object on a line, of all models.
#define REPRICE_MODELS_SHOWN 50
void reprice_add_diff_text(struct buf *out, const struct reprice_diff *d,
                           const struct reprice_stored *s);
void reprice_add_diff_json(struct buf *out, const struct reprice_request *r,
                           const struct reprice_diff *d, const struct reprice_stored *s);

// What a correction did, all of it, and what this run of it took.
struct reprice_result {
    int64_t id;
    bool went_on;
    struct reprice_counts counts;
    int64_t rows_read; // by this run
    double seconds;
};
void reprice_add_result_text(struct buf *out, const struct reprice_result *r);
void reprice_add_result_json(struct buf *out, const struct reprice_result *r);

void reprice_add_list_text(struct buf *out, const struct reprice_record *v, size_t n);
void reprice_add_list_json(struct buf *out, const struct reprice_record *v, size_t n);

#endif
