// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/summary.h"

#include <math.h>

#include "common/core/metrics_json.h"

#define ADD_LIT(out, s) buf_add(out, s, sizeof(s) - 1)

// An integer is written with all its digits, which a double may not have.
struct measure {
    bool whole;
    int64_t count;
    double value; // NAN: null
};

static struct measure measure_of(const struct metrics_row *row, const struct field_info *field)
{
    struct measure m = {.value = NAN};
    if (!row)
        return m;
    const char *at = (const char *)row + field->offset;
    if (field->type == FIELD_COUNT_OF) {
        memcpy(&m.count, at, sizeof(m.count));
        m.whole = true;
        m.value = (double)m.count;
    } else {
        memcpy(&m.value, at, sizeof(m.value));
    }
    return m;
}

static void add_measure(struct buf *out, const struct measure *m)
{
    if (m->whole)
        metrics_json_int(out, m->count);
    else
        metrics_json_double(out, m->value);
}

static void add_change(struct buf *out, const struct measure *now, const struct measure *before)
{
    ADD_LIT(out, "\":{\"now\":");
    add_measure(out, now);
    ADD_LIT(out, ",\"before\":");
    add_measure(out, before);
    ADD_LIT(out, ",\"change\":");
    double difference = now->whole && before->whole ? (double)((__int128)now->count - before->count)
                                                    : now->value - before->value;
    metrics_json_double(out, difference / before->value); // null where it is not finite
    buf_addc(out, '}');
}

static void begin_member(struct buf *out, size_t from)
{
    if (out->n > from)
        buf_addc(out, ',');
    buf_addc(out, '"');
}

static void add_percentiles(struct buf *out, size_t from, const struct fields *fields, bool ttft,
                            const double *now, const double *before)
{
    for (size_t i = 0; i < fields->n; i++) {
        if (!fields_shows(&fields->percentiles[i], ttft))
            continue;
        begin_member(out, from);
        fields_add_name(out, &fields->percentiles[i], ttft);
        add_change(out, &(struct measure){.value = now ? now[i] : NAN},
                   &(struct measure){.value = before ? before[i] : NAN});
    }
}

void summary_add(struct buf *out, const struct fields *fields, const struct summary_side *now,
                 const struct summary_side *before)
{
    const uint64_t no_measures =
        FIELD_BIT(price_version) | FIELD_BIT(revision) | FIELD_BIT(publish_seq) | FIELD_BIT(late);
    size_t from = out->n;
    for (int i = 0; i < FIELD_COUNT; i++) {
        const struct field_info *field = &field_infos[i];
        bool number = field->type == FIELD_COUNT_OF || field->type == FIELD_NUMBER_OF ||
                      field->type == FIELD_MAYBE;
        if (!number || !((fields->bits & ~no_measures) >> i & 1))
            continue;
        struct measure m_now = measure_of(now->row, field);
        struct measure m_before = measure_of(before->row, field);
        begin_member(out, from);
        buf_adds(out, field->name);
        add_change(out, &m_now, &m_before);
    }
    add_percentiles(out, from, fields, false, now->latency_ms, before->latency_ms);
    add_percentiles(out, from, fields, true, now->ttft_ms, before->ttft_ms);
}
