// SPDX-License-Identifier: Apache-2.0
// Made-up traffic, one event at a time: the same for the same settings. Half of it requests, half
// answers, of the sizes that real clients send: requests of 170 to 500 bytes, answers of 130 to
// 260. 320.
#ifndef STREAMLENS_TESTS_TRAFFIC_H
#define STREAMLENS_TESTS_TRAFFIC_H

#include "common/core/buf.h"
#include "common/core/event.h"

#define TRAFFIC_PER_TENANT 200 // series
#define TRAFFIC_ANSWER_MS 4000 // the latest that an answer is, disorder apart

struct traffic_settings {
    uint64_t seed; // ids of two seeds are never the same
    uint64_t pairs;
    unsigned series;
    unsigned duplicate_permille; // of events: sent again within 5 s, byte by byte
    unsigned disorder_ms;        // events come up to so much later than they say
    int64_t start_us;            // when the first request is asked, since 1970
    double pairs_per_s;
    bool answers; // else requests alone
};

struct traffic_event {
    enum event_kind kind;
    int64_t due_us;        // when it is to be sent; never less than of the event before
    struct str key, value; // hold until the next call
};

struct traffic;
struct traffic *traffic_new(const struct traffic_settings *s);   // copied
bool traffic_next(struct traffic *t, struct traffic_event *out); // false: that was all
void traffic_free(struct traffic *t);

// The settings that programs share, as options of getopt_long().
#define TRAFFIC_USAGE                                                                              \
    "  --series N        10000, evenly used\n"                                                     \
    "  --duplicates P    1 percent\n"                                                              \
    "  --disorder MS     200\n"                                                                    \
    "  --seed N          1\n"                                                                      \
    "  --no-answers      requests alone\n"
#define TRAFFIC_OPTIONS                                                                            \
    {"series", 1, NULL, 'S'}, {"duplicates", 1, NULL, 'D'}, {"disorder", 1, NULL, 'O'},            \
        {"seed", 1, NULL, 'E'},                                                                    \
    {                                                                                              \
        "no-answers", 0, NULL, 'N'                                                                 \
    }
#define TRAFFIC_DEFAULTS                                                                           \
    {                                                                                              \
        .seed = 1, .series = 10000, .duplicate_permille = 10, .disorder_ms = 200, .answers = true  \
    }
// False: not one of them, or out of bounds.
bool traffic_option(struct traffic_settings *s, int option, const char *value);
// A number of the whole text, within the bounds.
bool traffic_number(const char *text, double min, double max, double *out);

#endif
