// SPDX-License-Identifier: Apache-2.0
// Rows as JSON, NDJSON (one object a line) and CSV (RFC 4180, a header line). Pure; appends to a
// buffer.
//
// In CSV a text that a spreadsheet would take for a formula (it begins with =, +, -, @, tab or CR)
// gets a ' in front; what is null is empty ("" where it is all of the line); an object is its JSON.
//
// The percentiles that were asked for come behind the fields: those of latency, then those of time
// to first token. A text that is absent (a name not grouped by) is null, and so are an instant
// INT64_MIN and updated_at 0: no row.
#ifndef STREAMLENS_RENDER_H
#define STREAMLENS_RENDER_H

#include "common/core/buf.h"
#include "common/core/metrics_json.h"
#include "metrics-api/fields.h"

enum render_format { RENDER_JSON, RENDER_NDJSON, RENDER_CSV };
const char *render_media_type(enum render_format f); // "text/csv; charset=utf-8; header=present" …

struct render {
    enum render_format format;
    const struct field_info *infos; // the list; borrowed
    const struct fields *fields;    // which of it; borrowed
    struct buf *out;                // borrowed
    size_t rows;
    struct metrics_json times;
};
// JSON: `{"NAME":[`. CSV: the header line.
void render_begin(struct render *r, const char *name);
// row: the list's struct. latency_ms, ttft_ms: of fields->percentiles, NAN where nothing was
// measured; NULL where n is 0.
void render_row(struct render *r, const void *row, const double *latency_ms, const double *ttft_ms);
// A row of the metrics of which only names and times are known: every other field null.
void render_empty_row(struct render *r, const struct metrics_row *row);
// A row's members as JSON, without the braces; fields that are not among `known`, bits, are null.
void render_members(struct render *r, const void *row, uint64_t known);
// JSON: `],"count":N`: the caller adds members and the brace. Otherwise nothing.
void render_end(struct render *r);

#endif
