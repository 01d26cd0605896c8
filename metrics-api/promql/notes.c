// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/promql/notes.h"

#include "common/core/timeunit.h"
#include "metrics-api/promql/literal.h"
#include "metrics-api/promql/query.h"

#include <stdarg.h>
#include <stdio.h>

// The note of that text, one that was there or a new one; NULL where there are too many.
static struct note *note_of(struct notes *notes, bool warning, size_t at, struct str text)
{
    size_t others = warning ? notes->warnings : notes->n - notes->warnings;
    for (size_t i = 0; i < notes->n; i++) {
        if (str_eq(notes->v[i].text, text)) {
            notes->v[i].at = at;
            return &notes->v[i];
        }
    }
    if (others == PROMQL_NOTES_MAX)
        return NULL;
    notes->warnings += warning;
    struct note *note = &notes->v[notes->n++];
    *note = (struct note){.text = arena_str(notes->arena, text), .warning = warning, .at = at};
    return note;
}

static struct note *add(struct notes *notes, bool warning, size_t at, const char *fmt, va_list ap)
    PRINTF_LIKE(4, 0);
static struct note *add(struct notes *notes, bool warning, size_t at, const char *fmt, va_list ap)
{
    char text[400];
    int n = snprintf(text, sizeof(text), "PromQL %s: ", warning ? "warning" : "info");
    vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    text_clean(text);
    return note_of(notes, warning, at, str_of(text));
}

void notes_warn(struct notes *notes, size_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(notes, true, at, fmt, ap);
    va_end(ap);
}

void notes_inform(struct notes *notes, size_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(notes, false, at, fmt, ap);
    va_end(ap);
}

void notes_monotonic(struct notes *notes, size_t at, struct str metric, int64_t t_ms,
                     double min_bucket, double max_bucket, double difference)
{
    struct buf text = {0};
    buf_adds(&text,
             "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
             "https://prometheus.io/docs/prometheus/latest/querying/functions/"
             "#histogram_quantile)");
    if (metric.n > 0) {
        buf_adds(&text, " for metric name ");
        quoted_print(metric, &text);
    }
    struct note *note = note_of(notes, false, at, (struct str){text.p, text.n});
    buf_free(&text);
    if (!note)
        return;
    bool first = note->count++ == 0;
    note->min_ms = first ? t_ms : min_i64(note->min_ms, t_ms);
    note->max_ms = first ? t_ms : max_i64(note->max_ms, t_ms);
    note->min_bucket = first || min_bucket < note->min_bucket ? min_bucket : note->min_bucket;
    note->max_bucket = first || max_bucket > note->max_bucket ? max_bucket : note->max_bucket;
    note->max_difference =
        first || difference > note->max_difference ? difference : note->max_difference;
}

static void print_second(int64_t t_ms, struct buf *out)
{
    char text[TIME_RFC3339_MAX];
    int64_t s = t_ms / MS_PER_S - (t_ms % MS_PER_S < 0);
    if (s > INT64_MAX / US_PER_S || s < INT64_MIN / US_PER_S || !time_in_range_us(s * US_PER_S)) {
        buf_addf(out, "%lld", (long long)s);
        return;
    }
    time_format_rfc3339(s * US_PER_S, text);
    buf_adds(out, text);
}

static struct str text_of(const struct notes *notes, const struct note *note, struct str query)
{
    struct buf text = {0};
    buf_add(&text, note->text.p, note->text.n);
    if (note->count > 0) {
        buf_adds(&text, ", from buckets ");
        literal_print_g(note->min_bucket, &text);
        buf_adds(&text, " to ");
        literal_print_g(note->max_bucket, &text);
        buf_addf(&text, ", with a max diff of %.2g, over %zu samples from ", note->max_difference,
                 note->count);
        print_second(note->min_ms, &text);
        buf_adds(&text, " to ");
        print_second(note->max_ms, &text);
    }
    buf_adds(&text, " (");
    query_print_position(query, note->at, &text);
    buf_addc(&text, ')');
    struct str copy = arena_str(notes->arena, (struct str){text.p, text.n});
    buf_free(&text);
    return copy;
}

void notes_texts(const struct notes *notes, struct str query, struct promql_result *result)
{
    size_t infos = notes->n - notes->warnings;
    result->warnings = arena_array(notes->arena, notes->warnings, sizeof(struct str));
    result->infos = arena_array(notes->arena, infos, sizeof(struct str));
    for (size_t i = 0; i < notes->n; i++) {
        struct str text = text_of(notes, &notes->v[i], query);
        if (notes->v[i].warning)
            result->warnings[result->warning_count++] = text;
        else
            result->infos[result->info_count++] = text;
    }
}
