// SPDX-License-Identifier: Apache-2.0
// The input as operations on a join table: three bytes each, topic and time in the first, identity
// in the second, content and tenant in the third. After each the table must have answered as the
// naive model does. Before them stand the settings: TTL and skew in two bytes, up to three more
// epochs in three each.
#include "tests/fuzz/fuzz.h"

#include "tests/support/join_model.h"

#define OPERATIONS 300
#define START_MS 1000

// Returns how many bytes it took, 0 where there are not enough.
static size_t read_settings(const uint8_t *data, size_t n, struct settings *s)
{
    if (n < 2)
        return 0;
    size_t more = data[1] >> 6, at = 2;
    int64_t from_ms = START_MS;
    *s = (struct settings){1, {{1, TIME_NONE, data[0], data[1] % 64, 1}}};
    if (n < at + 3 * more)
        return 0;
    for (; s->count <= more; s->count++, at += 3) {
        from_ms += 1 + 4 * data[at];
        s->epochs[s->count] = (struct settings_epoch){(int64_t)s->count + 1, from_ms, data[at + 1],
                                                      data[at + 2] % 64, 1};
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct settings settings;
    size_t header = read_settings(data, n, &settings);
    if (header == 0)
        return 0;
    struct join_pair p;
    int64_t time_ms[2] = {START_MS, START_MS};
    join_pair_init(&p, &settings);
    for (size_t at = header, done = 0; at + 3 <= n && done < OPERATIONS; at += 3, done++) {
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
