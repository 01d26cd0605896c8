// SPDX-License-Identifier: Apache-2.0
// Bytes of a request body to validated records: what may be appended to the log, and why the rest
// may not. Pure: the time is an argument, and nothing is sent from here.
//
// A record's value is the event exactly as it was sent, and its key the request_id as decoded.
#ifndef STREAMLENS_INGEST_H
#define STREAMLENS_INGEST_H

#include "common/core/buf.h"
#include "common/core/err.h"
#include "common/core/event.h"

struct ingest_limits {
    size_t max_event_bytes;  // one event, alone or in a batch
    size_t max_batch_events; // items of a batch, good or bad
};

struct ingest_record {
    enum event_kind kind;
    size_t index; // position in the batch; 0 for a single event
    struct str key, value;
    struct str tenant; // of the sender's credential, whatever the value says; absent without one
};

// Which items of a batch were refused and why. The counts are exact; the list ends after
// INGEST_ERRORS_LISTED, so that a large bad batch does not make a larger answer.
#define INGEST_ERRORS_LISTED 100
struct ingest_report {
    size_t accepted, rejected;
    size_t listed;
    struct buf errors; // the listed ones, as JSON objects with commas between
};
void ingest_report_add(struct ingest_report *r, size_t index, const struct err *e);
// The members "accepted", "rejected" and "errors" of a JSON object, without its braces.
void ingest_report_render(const struct ingest_report *r, struct buf *out);
void ingest_report_free(struct ingest_report *r);

// A reader holds the memory that the records of the last call point into.
struct ingest;
struct ingest *ingest_new(const struct ingest_limits *limits);
void ingest_free(struct ingest *in);

// Whose event it is: `tenant` is the one that the sender's credential names, and lives as long as
// the records do. An event may leave its tenant_id out then, and must not name another. Where
// `tenant` is absent a request must name one.
enum ingest_verdict {
    INGEST_TAKEN,
    INGEST_MALFORMED,
    INGEST_OTHER_TENANT, // well-formed, and it names a tenant that is not the sender's
};

// One event of the given kind. *out lives until the next call; where it is not taken, e names the
// field.
enum ingest_verdict ingest_single(struct ingest *in, enum event_kind kind, struct str body,
                                  struct str tenant, int64_t now_us, struct ingest_record *out,
                                  struct err *e) MUST_CHECK;

// The items of a batch (NDJSON or a JSON array), each with its "type". Good ones come as *count
// records in the order sent, that live until the next call; the others go to the report, which the
// caller zero-initialised and frees. An array that breaks off counts as one more bad item, at its
// end. Offsets of errors count from the item's beginning, and that of a broken array from the
// body's. Returns 0, or -1 where the batch has more than max_batch_events items: then no record is
// given.
int ingest_batch(struct ingest *in, struct str body, struct str tenant, int64_t now_us,
                 const struct ingest_record **records, size_t *count, struct ingest_report *report,
                 struct err *e) MUST_CHECK;

#endif
