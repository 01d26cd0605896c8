// SPDX-License-Identifier: Apache-2.0
// Lists of fields, by number, from which rows are written. That of the metrics is of
// common/core/metrics_row.h, with a percentile of latency and of time to first token for each that
// was asked for.
#ifndef STREAMLENS_FIELDS_H
#define STREAMLENS_FIELDS_H

#include "common/core/buf.h"
#include "common/core/metrics_row.h"

#define FIELD_NUMBER(name) FIELD_##name,
enum field {
    METRICS_ROW_FIELDS(FIELD_NUMBER, FIELD_NUMBER, FIELD_NUMBER, FIELD_NUMBER, FIELD_NUMBER,
                       FIELD_NUMBER, FIELD_NUMBER, FIELD_NUMBER) FIELD_COUNT
};
#undef FIELD_NUMBER
_Static_assert(FIELD_COUNT <= 64, "struct fields has a bit each");

enum field_type {
    FIELD_TEXT,
    FIELD_TIME,
    FIELD_COUNT_OF, // an integer
    FIELD_NUMBER_OF,
    FIELD_MAYBE,
    FIELD_DECIMAL,
    FIELD_OBJECT,
    FIELD_BOOL,
};
#define FIELD_KEY_MAX 48
struct field_info {
    const char *name;
    // As a member of JSON behind another, `,"name":`, and its length. Of one size, so that it is
    // copied without a call.
    char key[FIELD_KEY_MAX];
    unsigned char key_n;
    enum field_type type;
    size_t offset; // of the member of the row's struct
};
extern const struct field_info field_infos[FIELD_COUNT];
// One of a list; what a macro of it calls for each type of field.
#define FIELD_INFO(type, row, name, member)                                                        \
    {#name, ",\"" #name "\":", sizeof(",\"" #name "\":") - 1, type, offsetof(row, member)},

#define FIELD_BIT(name) (UINT64_C(1) << FIELD_##name)
#define FIELD_LATENCY_PERCENTILES                                                                  \
    (FIELD_BIT(p50_latency_ms) | FIELD_BIT(p90_latency_ms) | FIELD_BIT(p95_latency_ms) |           \
     FIELD_BIT(p99_latency_ms))
#define FIELD_TTFT_PERCENTILES                                                                     \
    (FIELD_BIT(p50_ttft_ms) | FIELD_BIT(p90_ttft_ms) | FIELD_BIT(p95_ttft_ms) |                    \
     FIELD_BIT(p99_ttft_ms))

#define PERCENTILES_MAX 16
// "99.9" is 0.999; its fields are p99.9_latency_ms and p99.9_ttft_ms. digits is as it was written,
// in its shortest form.
struct percentile {
    double q;
    char digits[12];
    bool latency, ttft; // which of the two fields is shown
};

// What a row shows. Where percentiles were asked for, bits has none of the fixed ones.
struct fields {
    uint64_t bits;
    struct percentile percentiles[PERCENTILES_MAX];
    size_t n;
};

// Whether the percentile's field of ttft, or of latency, is shown; and its name, appended.
bool fields_shows(const struct percentile *p, bool ttft);
void fields_add_name(struct buf *out, const struct percentile *p, bool ttft);

#endif
