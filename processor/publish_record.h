// SPDX-License-Identifier: Apache-2.0
// A row of the metrics as a record of llm.metrics (DESIGN 2.2 and 2.4). Pure; deploy/schemas/
// describes the value.
#ifndef STREAMLENS_PUBLISH_RECORD_H
#define STREAMLENS_PUBLISH_RECORD_H

#include "common/core/metrics_json.h"
#include "processor/publish_store.h"

// Appends one record to the batch:
//   key    tenant|route|model, where `|` in a part is %7C and `%` is %25; nothing else is changed
//   value  a JSON object: the row's fields, then latency_hdr and ttft_hdr, base64 of HdrHistogram's
//          compressed V2 form, null where there is none
// The histograms come in the uncompressed form, as they are stored; p NULL: there is none. j: see
// metrics_json.h; one for a batch does.
void publish_record_add(struct publish_batch *b, struct metrics_json *j,
                        const struct metrics_row *row, int64_t due_ms, struct str latency_hdr,
                        struct str ttft_hdr);

#endif
