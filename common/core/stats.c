// SPDX-License-Identifier: Apache-2.0
#include "common/core/stats.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_BOUND_US INT64_C(100)

void stats_observe_us(struct stats_histogram *h, int64_t us)
{
    if (us < 0)
        us = 0; // a clock that stepped back
    size_t i = 0;
    while (i < STATS_BUCKETS && us > FIRST_BOUND_US << i)
        i++;
    h->bucket[i]++;
    h->count++;
    h->sum_us = add_sat_i64(h->sum_us, us);
}

static void add_histogram(struct stats_histogram *into, const struct stats_histogram *from)
{
    for (size_t i = 0; i < ARRAY_LEN(into->bucket); i++)
        into->bucket[i] += from->bucket[i];
    into->count += from->count;
    into->sum_us = add_sat_i64(into->sum_us, from->sum_us);
}

void stats_add(const struct stats_desc *d, size_t n, void *into, const void *from)
{
    for (size_t i = 0; i < n; i++) {
        void *to = (char *)into + d[i].offset;
        const void *value = (const char *)from + d[i].offset;
        if (d[i].type == STATS_HISTOGRAM)
            add_histogram(to, value);
        else
            *(int64_t *)to += *(const int64_t *)value;
    }
}

// The format escapes a backslash and a line feed in help. Labels come from the lists already
// written as the format wants them, but for a line feed, which C turned into the byte.
static void add_escaped(struct buf *out, const char *s, bool backslash_too)
{
    for (; *s; s++) {
        if (*s == '\n')
            buf_adds(out, "\\n");
        else if (*s == '\\' && backslash_too)
            buf_adds(out, "\\\\");
        else
            buf_addc(out, *s);
    }
}

// name_suffix{labels,le="bound"} without the value; labels and le may be absent.
static void add_sample(struct buf *out, const struct stats_desc *d, const char *suffix,
                       const char *le)
{
    buf_adds(out, d->name);
    buf_adds(out, suffix);
    bool labels = d->labels && *d->labels;
    if (labels || le) {
        buf_addc(out, '{');
        if (labels)
            add_escaped(out, d->labels, false);
        if (le)
            buf_addf(out, "%sle=\"%s\"", labels ? "," : "", le);
        buf_addc(out, '}');
    }
    buf_addc(out, ' ');
}

static void render_histogram(const struct stats_desc *d, const struct stats_histogram *h,
                             struct buf *out)
{
    int64_t cumulative = 0;
    for (size_t i = 0; i < ARRAY_LEN(h->bucket); i++) {
        char le[32] = "+Inf";
        if (i < STATS_BUCKETS)
            snprintf(le, sizeof(le), "%.10g", (double)(FIRST_BOUND_US << i) / 1e6);
        cumulative += h->bucket[i];
        add_sample(out, d, "_bucket", le);
        buf_addf(out, "%" PRId64 "\n", cumulative);
    }
    add_sample(out, d, "_sum", NULL);
    buf_addf(out, "%" PRId64 ".%06" PRId64 "\n", h->sum_us / 1000000, h->sum_us % 1000000);
    add_sample(out, d, "_count", NULL);
    buf_addf(out, "%" PRId64 "\n", h->count);
}

static void render_head(const struct stats_desc *d, struct buf *out)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    buf_addf(out, "# HELP %s ", d->name);
    add_escaped(out, d->help, true);
    buf_addf(out, "\n# TYPE %s %s\n", d->name, type_names[d->type]);
}

void stats_render(const struct stats_desc *d, size_t n, const void *stats, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const void *value = (const char *)stats + d[i].offset;
        if (i == 0 || strcmp(d[i].name, d[i - 1].name) != 0)
            render_head(&d[i], out);
        if (d[i].type == STATS_HISTOGRAM) {
            render_histogram(&d[i], value, out);
            continue;
        }
        add_sample(out, &d[i], "", NULL);
        buf_addf(out, "%" PRId64 "\n", *(const int64_t *)value);
    }
}
