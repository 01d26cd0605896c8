// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/fields.h"

#define INFO(type, name, member) FIELD_INFO(type, struct metrics_row, name, member)
#define TEXT_INFO(name) INFO(FIELD_TEXT, name, name)
#define TIME_INFO(name) INFO(FIELD_TIME, name, name##_us)
#define COUNT_INFO(name) INFO(FIELD_COUNT_OF, name, name)
#define NUMBER_INFO(name) INFO(FIELD_NUMBER_OF, name, name)
#define MAYBE_INFO(name) INFO(FIELD_MAYBE, name, name)
#define DECIMAL_INFO(name) INFO(FIELD_DECIMAL, name, name)
#define OBJECT_INFO(name) INFO(FIELD_OBJECT, name, name)
#define BOOL_INFO(name) INFO(FIELD_BOOL, name, name)

const struct field_info field_infos[FIELD_COUNT] = {
    METRICS_ROW_FIELDS(TEXT_INFO, TIME_INFO, COUNT_INFO, NUMBER_INFO, MAYBE_INFO, DECIMAL_INFO,
                       OBJECT_INFO, BOOL_INFO)};

bool fields_shows(const struct percentile *p, bool ttft)
{
    return ttft ? p->ttft : p->latency;
}

void fields_add_name(struct buf *out, const struct percentile *p, bool ttft)
{
    buf_addc(out, 'p');
    buf_adds(out, p->digits);
    buf_adds(out, ttft ? "_ttft_ms" : "_latency_ms");
}
