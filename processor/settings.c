// SPDX-License-Identifier: Apache-2.0
#include "processor/settings.h"

const struct settings_epoch *settings_newest(const struct settings *s)
{
    return &s->epochs[s->count - 1];
}

const struct settings_epoch *settings_at(const struct settings *s, int64_t time_ms)
{
    size_t i = s->count - 1;
    while (i > 0 && s->epochs[i].from_ms > time_ms)
        i--;
    return &s->epochs[i];
}

static int64_t wait_of(const struct settings_epoch *e, enum event_kind kind)
{
    return kind == EVENT_REQUEST ? e->ttl_ms : e->skew_ms;
}

// The last instant of an epoch.
static int64_t last_of(const struct settings *s, size_t i)
{
    return i + 1 < s->count ? s->epochs[i + 1].from_ms - 1 : INT64_MAX;
}

// Until which time of the other topic a record of the kind waits: its own epoch's wait, and no less
// than that of the last record of any epoch before.
static int64_t waits_until(const struct settings *s, enum event_kind kind, int64_t time_ms)
{
    int64_t until_ms = INT64_MIN;
    for (size_t i = 0; i < s->count && s->epochs[i].from_ms <= time_ms; i++) {
        int64_t last_ms = min_i64(last_of(s, i), time_ms);
        until_ms = max_i64(until_ms, last_ms + wait_of(&s->epochs[i], kind));
    }
    return until_ms;
}

// The least time of a record that waits until then or longer.
static int64_t waits_from(const struct settings *s, enum event_kind kind, int64_t until_ms)
{
    for (size_t i = 0;; i++) {
        int64_t from_ms = max_i64(s->epochs[i].from_ms, until_ms - wait_of(&s->epochs[i], kind));
        if (from_ms <= last_of(s, i))
            return from_ms;
    }
}

int64_t settings_answer_by(const struct settings *s, int64_t request_ms)
{
    return waits_until(s, EVENT_REQUEST, request_ms);
}

int64_t settings_request_by(const struct settings *s, int64_t response_ms)
{
    return waits_until(s, EVENT_RESPONSE, response_ms);
}

int64_t settings_repeat_until(const struct settings *s, enum event_kind kind, int64_t time_ms)
{
    return waits_until(s, 1 - kind, waits_until(s, kind, time_ms));
}

int64_t settings_remembered_from(const struct settings *s, enum event_kind kind, int64_t now_ms)
{
    return now_ms == TIME_NONE ? TIME_NONE : waits_from(s, kind, waits_from(s, 1 - kind, now_ms));
}

int64_t settings_replay_from(const struct settings *s, int64_t time_ms)
{
    if (time_ms == TIME_NONE)
        return TIME_NONE;
    int64_t from_ms = INT64_MAX;
    for (int k = 0; k < 2; k++)
        from_ms = min_i64(from_ms,
                          settings_remembered_from(s, k, settings_remembered_from(s, k, time_ms)));
    return from_ms;
}
