// SPDX-License-Identifier: Apache-2.0
// What must come out, computed from the whole log at once: no state, no order of reading, no
// flushes. Written apart from the processor, from DESIGN 3 and 4 rule 3 alone, in the most naive
// way.
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "processor/settings.h"
#include "tests/sim/fake_log.h"

// Every number of a row that is added up, so that rows can be summed and compared by inclusion.
#define ORACLE_SUMS(X)                                                                             \
    X(requests)                                                                                    \
    X(responses)                                                                                   \
    X(unanswered)                                                                                  \
    X(errors)                                                                                      \
    X(without_latency)                                                                             \
    X(latency_count)                                                                               \
    X(latency_sum_us)                                                                              \
    X(ttft_count)                                                                                  \
    X(ttft_sum_us)                                                                                 \
    X(generation_us)                                                                               \
    X(generation_tokens)                                                                           \
    X(finish_stop)                                                                                 \
    X(clamped_usage)                                                                               \
    X(reported_requests)                                                                           \
    X(reported_pusd)
// And those of a usage line.
#define ORACLE_USAGE(X)                                                                            \
    X(requests)                                                                                    \
    X(prompt)                                                                                      \
    X(cached)                                                                                      \
    X(written_5m)                                                                                  \
    X(written_1h)                                                                                  \
    X(completion)                                                                                  \
    X(reasoning)

#define ORACLE_MEMBER(name) int64_t name;
struct oracle_sums {
    ORACLE_SUMS(ORACLE_MEMBER)
    int64_t latency_max_us; // the greatest, not the sum
};

struct oracle_line {
    char model[16], asked[16], tier[16];
    int64_t above;
    struct oracle_usage {
        ORACLE_USAGE(ORACLE_MEMBER)
    } usage;
};
#undef ORACLE_MEMBER

// Lines as they come, one a key, without a cap.
struct oracle_lines {
    struct oracle_line *v; // owned
    size_t n;
};
void oracle_lines_add(struct oracle_lines *l, const struct oracle_line *line);

struct oracle_row {
    int tenant, route, model;
    int64_t window_start_us, series_epoch;
    int64_t request_records; // also those that repeat another
    struct oracle_sums sums;
    struct oracle_lines lines;
};

struct oracle_letter {
    enum event_kind topic;
    int partition;
    int64_t offset;
    const char *reason;
    char tenant[16]; // of the sender, "" without one
};

struct oracle {
    struct oracle_row *rows;
    size_t row_count;
    struct oracle_letter *letters;
    size_t letter_count;
    bool ambiguous; // a record fits two: the rule itself would be wrong
};

// settings: of each partition. Records that are lost do not exist.
void oracle_run(struct oracle *o, const struct sim_log *l, const struct settings *settings);
void oracle_free(struct oracle *o);

#endif
