// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/samples.h"

#include "metrics-api/prometheus/samples_internal.h"

// Whoever asks for more than some 280,000 years asks for these: as µs they do not overflow.
#define FARTHEST INT64_C(9000000000000000)

static int64_t near(int64_t t)
{
    return max_i64(-FARTHEST, min_i64(t, FARTHEST));
}

// A sample that is of midnight's, or the one behind it (README.md): what is made of both.
static int64_t made_from(int64_t from)
{
    return floor_to(from - 1, DAY) == from - 1 ? from - 1 : from;
}

static int64_t made_to(int64_t to)
{
    int64_t minute = floor_to(to, MINUTE);
    return to > minute && floor_to(minute, DAY) == minute ? minute + MINUTE : to;
}

struct samples_need samples_need(bool gauge, int64_t from_ms, int64_t to_ms)
{
    int64_t from = near(from_ms), to = near(to_ms);
    if (gauge) {
        // The oldest window of which there is a sample from then on ended a minute before.
        int64_t minutes = floor_to(from - 2 * MINUTE, FACTS_BLOCK_MINUTES * MINUTE);
        return (struct samples_need){minutes * US_PER_MS, minutes * US_PER_MS,
                                     floor_to(to, MINUTE) * US_PER_MS};
    }
    from = made_from(from);
    int64_t minutes = floor_to(from - (SAMPLES_FILL_MINUTES + 1) * MINUTE, 60 * MINUTE);
    int64_t hours = min_i64(floor_to(from - 1, DAY), minutes);
    return (struct samples_need){hours * US_PER_MS, minutes * US_PER_MS,
                                 (floor_to(to, MINUTE) + MINUTE) * US_PER_MS};
}

// ---- facts --------------------------------------------------------------------------------------

static size_t rows_of(const struct facts_block *const *blocks, size_t n)
{
    size_t rows = 0;
    for (size_t i = 0; i < n; i++)
        rows += blocks[i]->n;
    return rows;
}

// Adds those that begin in [from, to).
static void add_facts(struct fact_list *l, const struct facts_block *const *blocks, size_t n,
                      int64_t from, int64_t to, int64_t looked_at_from)
{
    for (size_t i = 0; i < n; i++) {
        const struct facts_block *b = blocks[i];
        int64_t unit = facts_unit_us(b->unit) / US_PER_MS, begin = b->start_us / US_PER_MS;
        for (size_t row = 0; row < b->n; row++) {
            int64_t start = begin + b->place[row] * unit;
            if (start >= from && start < to)
                l->v[l->n++] = (struct fact){b, (uint32_t)row, start >= looked_at_from, start};
        }
    }
}

static struct fact_list facts_of(const struct samples_spec *s, int64_t to, struct arena *a)
{
    const struct facts_rows *rows = &s->rows;
    int64_t minutes = rows->minutes_from_us / US_PER_MS, through = s->through_us / US_PER_MS;
    int64_t kept = s->kept_from_us / US_PER_MS, looked_at = floor_to(near(s->from_ms) - 1, DAY);
    struct fact_list l = {0};
    size_t most =
        rows_of(rows->hours, rows->hour_count) + rows_of(rows->minutes, rows->minute_count);
    l.v = arena_array(a, most, sizeof(*l.v));
    if (!s->metric->gauge)
        add_facts(&l, rows->hours, rows->hour_count, kept, minutes, looked_at);
    l.hours = l.n;
    add_facts(&l, rows->minutes, rows->minute_count, max_i64(minutes, kept),
              min_i64(through - MINUTE, to) + 1, looked_at);
    return l;
}

// ---- stamps -------------------------------------------------------------------------------------

struct stamps {
    int64_t from, to; // those wanted
    int64_t *t;
    uint32_t *facts; // of the list, so many lie before
    size_t n;
    size_t *days; // of counters: those that are a minute behind a midnight's
    size_t day_count;
};

static void stamp(struct stamps *s, int64_t t, size_t facts)
{
    if (t < s->from || t > s->to)
        return;
    s->t[s->n] = t;
    s->facts[s->n++] = (uint32_t)facts;
}

static struct stamps stamps_begin(const struct fact_list *l, size_t per_fact, int64_t from,
                                  int64_t to, struct arena *a, struct arena *kept)
{
    struct stamps s = {.from = from, .to = to};
    int64_t minutes = to >= from ? (to - from) / MINUTE + 1 : 0;
    size_t most = (l->n - l->hours) * per_fact;
    if ((uint64_t)minutes < most)
        most = (size_t)minutes;
    s.t = arena_array(kept, most, sizeof(*s.t));
    s.facts = arena_array(a, most, sizeof(*s.facts));
    return s;
}

// Behind a window's end, up to `until`; those before it are `facts`.
static void stamp_behind(struct stamps *s, int64_t end, int64_t until, size_t facts)
{
    until = min_i64(until, end + SAMPLES_FILL_MINUTES * MINUTE);
    for (int64_t t = end + MINUTE; t <= until; t += MINUTE)
        stamp(s, t, facts);
}

static bool begins_day(const struct stamps *s, size_t i)
{
    return i > 0 && s->t[i] == s->t[i - 1] + MINUTE && floor_to(s->t[i - 1], DAY) == s->t[i - 1];
}

static void find_days(struct stamps *s, struct arena *a)
{
    for (size_t i = 0; i < s->n; i++)
        s->day_count += begins_day(s, i);
    s->days = arena_array(a, s->day_count, sizeof(*s->days));
    for (size_t i = 0, n = 0; i < s->n; i++)
        if (begins_day(s, i))
            s->days[n++] = i;
}

static struct stamps counter_stamps(const struct fact_list *l, int64_t from, int64_t to,
                                    int64_t through, struct arena *a, struct arena *kept)
{
    struct stamps s = stamps_begin(l, SAMPLES_FILL_MINUTES + 2, from, to, a, kept);
    for (size_t k = l->hours; k < l->n; k++) {
        int64_t start = l->v[k].start, end = start + MINUTE;
        int64_t next = k + 1 < l->n ? l->v[k + 1].start : INT64_MAX;
        if (k == l->hours || l->v[k - 1].start + MINUTE != start)
            stamp(&s, start, k);
        stamp(&s, end, k + 1);
        stamp_behind(&s, end, min_i64(next - 1, through), k + 1);
    }
    find_days(&s, a);
    return s;
}

// ---- gauges -------------------------------------------------------------------------------------

static double shown(money sum, int64_t divisor)
{
    double v = sum == (int64_t)sum ? (double)(int64_t)sum : (double)sum;
    return divisor == 1 ? v : v / (double)divisor;
}

static size_t make_gauge(const struct samples_spec *spec, const struct fact_list *l,
                         struct arena *a, struct arena *kept, struct samples **out)
{
    struct stamps s = stamps_begin(l, 2, near(spec->from_ms), near(spec->to_ms), a, kept);
    double *v = NULL;
    for (size_t k = 0; k < l->n; k++) {
        int64_t end = l->v[k].start + MINUTE;
        stamp(&s, end, k + 1);
        if ((k + 1 == l->n || l->v[k + 1].start != end) && end < spec->through_us / US_PER_MS)
            stamp(&s, end + MINUTE, 0);
    }
    if (s.n == 0)
        return 0;
    v = arena_array(kept, s.n, sizeof(*v));
    for (size_t i = 0; i < s.n; i++)
        if (s.facts[i])
            v[i] = shown(fact_value(spec->metric, &l->v[s.facts[i] - 1]), spec->metric->divisor);
    *out = arena_alloc(kept, sizeof(**out));
    **out = (struct samples){STR_LIT(""), s.t, v, s.n};
    return 1;
}

// ---- counters -----------------------------------------------------------------------------------

// v[i] of each variant that is wanted (values[variant] not NULL) at each stamp.
static void count_up(struct counted *c, const struct fact_list *l, const struct stamps *s,
                     double *const *values)
{
    int64_t day = INT64_MIN; // none yet
    size_t k = 0;
    for (size_t i = 0; i < s->n; i++) {
        for (; k < s->facts[i]; k++) {
            int64_t its = floor_to(l->v[k].start, DAY);
            if (its != day)
                memset(c->sum, 0, c->n * sizeof(*c->sum));
            day = its;
            counted_add(c, l, k);
        }
        bool counts = floor_to(s->t[i] - 1, DAY) == day;
        for (size_t j = 0; counts && j < c->n; j++)
            if (values[j])
                values[j][i] = shown(c->sum[j], c->metric->divisor);
    }
}

// Whether what began anew at midnight does not look so: i is the minute's behind it.
static bool hides_midnight(const double *v, size_t i)
{
    return v[i] >= v[i - 1] && v[i - 1] > 0;
}

// Those from begin to end, with zeros where they are needed; and n again.
static size_t add_zeros(const struct stamps *s, const double *v, size_t begin, size_t end,
                        int64_t *t, double *with)
{
    size_t n = 0, day = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (day < s->day_count && s->days[day] == i) {
            day++;
            if (hides_midnight(v, i))
                t[n++] = s->t[i - 1] + 1; // and 0; it lies in the range, since both were made
        }
        if (i >= begin && i < end) {
            t[n] = s->t[i];
            with[n++] = v[i];
        }
    }
    return n;
}

// A variant's samples from `first` on, of those that were made for it.
static bool cut(const struct samples_spec *spec, const struct stamps *s, int64_t first,
                const double *v, struct arena *kept, struct samples *out)
{
    int64_t from = max_i64(first, spec->from_ms);
    size_t begin = 0, end = s->n, zeros = 0;
    while (begin < end && s->t[begin] < from)
        begin++;
    while (begin < end && s->t[end - 1] > spec->to_ms)
        end--;
    *out = (struct samples){.t_ms = s->t + begin, .v = v + begin, .n = end - begin};
    for (size_t i = 0; i < s->day_count; i++)
        zeros += hides_midnight(v, s->days[i]);
    if (zeros > 0) {
        int64_t *t = arena_array(kept, out->n + zeros, sizeof(*t));
        double *with = arena_array(kept, out->n + zeros, sizeof(*with));
        *out = (struct samples){.t_ms = t, .v = with};
        out->n = add_zeros(s, v, begin, end, t, with);
    }
    return out->n > 0;
}

static size_t make_counter(const struct samples_spec *spec, const struct fact_list *l,
                           bool (*wants)(void *arg, struct str label), void *arg, struct arena *a,
                           struct arena *kept, struct samples **out)
{
    struct stamps s = counter_stamps(l, made_from(near(spec->from_ms)), made_to(near(spec->to_ms)),
                                     spec->through_us / US_PER_MS, a, kept);
    struct counted c;
    if (s.n == 0)
        return 0;
    counted_begin(&c, spec->metric, l, a, kept);
    double **values = arena_array(a, c.n, sizeof(*values));
    for (size_t j = 0; j < c.n; j++)
        if (!c.labels || !wants || wants(arg, c.labels[j]))
            values[j] = arena_array(kept, s.n, sizeof(*values[j]));
    count_up(&c, l, &s, values);
    *out = arena_array(kept, c.n, sizeof(**out));
    size_t n = 0;
    for (size_t j = 0; j < c.n; j++)
        if (values[j] && cut(spec, &s, c.first[j], values[j], kept, &(*out)[n]))
            (*out)[n++].label = c.labels ? c.labels[j] : STR_LIT("");
    return n;
}

size_t samples_make(const struct samples_spec *spec, bool (*wants)(void *arg, struct str label),
                    void *arg, struct arena *a, struct samples **out)
{
    struct arena scratch = {0};
    struct fact_list l = facts_of(spec, near(spec->to_ms), &scratch);
    size_t n = spec->metric->gauge ? make_gauge(spec, &l, &scratch, a, out)
                                   : make_counter(spec, &l, wants, arg, &scratch, a, out);
    arena_free(&scratch);
    return n;
}
