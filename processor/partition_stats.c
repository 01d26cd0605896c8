// SPDX-License-Identifier: Apache-2.0
#include "processor/partition_stats.h"

#include <inttypes.h>

#include "processor/task.h"

static const char *const topic_names[2] = {
    [EVENT_REQUEST] = "requests", [EVENT_RESPONSE] = "responses"};

static void add_head(struct buf *out, const char *name, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

// Milliseconds as seconds.
static void add_seconds(struct buf *out, int64_t ms)
{
    uint64_t size = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    buf_addf(out, "%s%" PRIu64 ".%03" PRIu64 "\n", ms < 0 ? "-" : "", size / 1000, size % 1000);
}

// The end is as of the last fetch, and may lie before what was read since.
static int64_t lag_of(const struct partition_topic *t)
{
    return max_i64(t->end - t->next, 0);
}

static void add_lags(const struct partition_stats *v, size_t n, struct buf *out)
{
    static const char name[] = "streamlens_processor_lag_records";
    add_head(out, name, "Records that are in the log and not read yet, as of the last fetch");
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            if (v[i].topic[k].end >= 0)
                buf_addf(out, "%s{topic=\"%s\",partition=\"%d\"} %" PRId64 "\n", name,
                         topic_names[k], v[i].partition, lag_of(&v[i].topic[k]));
}

// A topic that was read to its end is not behind, however long ago its last record came.
static void add_behind(const struct partition_stats *v, size_t n, int64_t now_ms, struct buf *out)
{
    static const char name[] = "streamlens_processor_behind_seconds";
    add_head(out, name, "Age of the last record read, where there are more to read, else 0");
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            const struct partition_topic *t = &v[i].topic[k];
            bool waits = lag_of(t) > 0;
            if (t->end < 0 || (waits && t->time_ms == TIME_NONE))
                continue;
            buf_addf(out, "%s{topic=\"%s\",partition=\"%d\"} ", name, topic_names[k],
                     v[i].partition);
            add_seconds(out, waits ? max_i64(now_ms - t->time_ms, 0) : 0);
        }
}

static void add_apart(const struct partition_stats *v, size_t n, struct buf *out)
{
    static const char name[] = "streamlens_processor_topics_apart_seconds";
    add_head(out, name, "Time of the requests less that of the responses, as they were read");
    for (size_t i = 0; i < n; i++) {
        const struct partition_topic *t = v[i].topic;
        if (t[EVENT_REQUEST].time_ms == TIME_NONE || t[EVENT_RESPONSE].time_ms == TIME_NONE)
            continue;
        buf_addf(out, "%s{partition=\"%d\"} ", name, v[i].partition);
        add_seconds(out, t[EVENT_REQUEST].time_ms - t[EVENT_RESPONSE].time_ms);
    }
}

static void add_fill(const struct partition_stats *v, size_t n, int64_t max_joins, struct buf *out)
{
    static const char name[] = "streamlens_processor_joins_used_ratio";
    add_head(out, name, "Records that wait for their other half, of the MAX_JOINS that may");
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            buf_addf(out, "%s{topic=\"%s\",partition=\"%d\"} %.4f\n", name, topic_names[k],
                     v[i].partition, (double)v[i].topic[k].waiting / (double)max_joins);
}

void partition_stats_render(const struct partition_stats *v, size_t n, int64_t now_ms,
                            int64_t max_joins, struct buf *out)
{
    add_lags(v, n, out);
    add_behind(v, n, now_ms, out);
    add_apart(v, n, out);
    add_fill(v, n, max_joins, out);
}
