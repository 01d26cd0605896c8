// SPDX-License-Identifier: Apache-2.0
// What must come out, computed from the whole log at once: no state, no order of reading, no
// flushes. Written apart from the processor, from DESIGN 3 and 4 rule 3 alone, in the most naive
// way.
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "tests/sim/fake_log.h"

struct oracle_row {
    int tenant, route, model;
    int64_t window_start_us;
    int64_t requests, responses, unanswered, errors, without_latency, prompt_tokens,
        completion_tokens, latency_count, latency_sum_us, latency_max_us, ttft_count, ttft_sum_us,
        finish_stop;
};

struct oracle_letter {
    enum event_kind topic;
    int partition;
    int64_t offset;
    const char *reason;
};

struct oracle {
    struct oracle_row *rows;
    size_t row_count;
    struct oracle_letter *letters;
    size_t letter_count;
};

void oracle_run(struct oracle *o, const struct sim_log *l, int64_t ttl_ms, int64_t skew_ms);
void oracle_free(struct oracle *o);

#endif
