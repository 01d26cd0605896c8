// SPDX-License-Identifier: Apache-2.0
// The input as operations on a join table: three bytes each, topic and time in the first, identity
// in the second, content and tenant in the third. After each the table must have answered as the
// naive model does. The first two bytes choose TTL and skew.
#include "tests/fuzz/fuzz.h"

#include "tests/support/join_model.h"

#define OPERATIONS 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct join_pair p;
    int64_t time_ms[2] = {1000, 1000};
    join_pair_init(&p, &(struct settings){1, {{1, TIME_NONE, data[0], data[1] % 64, 1}}});
    for (size_t at = 2, done = 0; at + 3 <= n && done < OPERATIONS; at += 3, done++) {
        enum event_kind kind = data[at] & 1;
        // Steps of 0 to 31 ms, and now and then one beyond what is remembered.
        time_ms[kind] += data[at] >> 2 < 32 ? data[at] >> 2 : (data[at] >> 2) * 16;
        if (data[at] & 2)
            join_pair_tick(&p, kind, time_ms[kind]);
        else
            join_pair_feed(&p, kind, data[at + 1], time_ms[kind], data[at + 2] & 3u,
                           data[at + 2] >> 2 & 1u);
        // The check is quadratic, so a long input is checked now and then and at its end.
        if (done < 32 || done % 32 == 0)
            FUZZ_CHECK(join_pair_check(&p)[0] == '\0');
    }
    FUZZ_CHECK(join_pair_check(&p)[0] == '\0');
    join_pair_free(&p);
    return 0;
}
