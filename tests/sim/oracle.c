// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <strings.h>

struct judged {
    const struct sim_record *r;
    int64_t time; // running maximum
    bool survives, matched;
    int before; // the record of the same identity before this one, -1 = none
};

// ---- settings, read from the words of processor/settings.h ----

static const struct settings_epoch *epoch_of(const struct settings *s, int64_t t)
{
    const struct settings_epoch *e = &s->epochs[0];
    for (size_t i = 1; i < s->count; i++)
        if (s->epochs[i].from_ms <= t)
            e = &s->epochs[i];
    return e;
}

// How long a record waits by its own epoch, and no shorter than the last one before any border.
static int64_t waits_until(const struct settings *s, enum event_kind k, int64_t t)
{
#define WAIT(e) (k == EVENT_REQUEST ? (e)->ttl_ms : (e)->skew_ms)
    int64_t until = t + WAIT(epoch_of(s, t));
    for (size_t i = 1; i < s->count; i++)
        if (s->epochs[i].from_ms <= t)
            until = max_i64(until, s->epochs[i].from_ms - 1 + WAIT(&s->epochs[i - 1]));
#undef WAIT
    return until;
}

static bool fits(const struct settings *s, int64_t request, int64_t response)
{
    return response <= waits_until(s, EVENT_REQUEST, request) &&
           request <= waits_until(s, EVENT_RESPONSE, response);
}

// Whether one partner, the last that the earlier of the two could have, would fit both.
static bool repeats(const struct settings *s, enum event_kind k, int64_t later, int64_t earlier)
{
    int64_t partner = waits_until(s, k, earlier);
    return k == EVENT_REQUEST ? fits(s, later, partner) : fits(s, partner, later);
}

// ---- which records count ----

// Why the record counts nowhere and uses up no id, NULL where it does.
static const char *fault_of(enum event_kind k, const struct truth *x)
{
    bool nobodys = k == EVENT_REQUEST && truth_tenant(x) == SIM_NOBODY;
    return x->malformed           ? "malformed"
           : nobodys              ? "missing_tenant"
           : x->time_out_of_range ? "time_out_of_range"
                                  : NULL;
}

static void letter(struct oracle *o, enum event_kind k, int partition, const struct sim_record *r,
                   const char *reason)
{
    o->letters = xrealloc(o->letters, (o->letter_count + 1) * sizeof(*o->letters));
    struct oracle_letter *l = &o->letters[o->letter_count++];
    *l = (struct oracle_letter){k, partition, r->offset, reason, ""};
    if (r->truth.sender != SIM_NOBODY)
        snprintf(l->tenant, sizeof(l->tenant), "t%d", r->truth.sender);
}

// The newest record of each identity so far, by topic; -1 = none.
struct identities {
    int *of[2]; // owned
};

static struct identities identities_of(const struct sim_log *l, int p)
{
    int count = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < l->topic[k][p].n; i++)
            if (l->topic[k][p].v[i].identity >= count)
                count = l->topic[k][p].v[i].identity + 1;
    struct identities last;
    for (int k = 0; k < 2; k++) {
        last.of[k] = xmalloc((size_t)count * sizeof(int) + 1);
        memset(last.of[k], 0xff, (size_t)count * sizeof(int));
    }
    return last;
}

// Which records of one topic-partition count; the rest are ticks, duplicates or dead letters.
static struct judged *judge(struct oracle *o, const struct sim_log *l, enum event_kind k, int p,
                            const struct settings *s, const struct identities *last)
{
    const struct sim_topic *t = &l->topic[k][p];
    struct judged *js = xcalloc(t->n, sizeof(*js));
    int64_t time = INT64_MIN;
    for (size_t i = 0; i < t->n; i++) {
        const struct truth *x = &t->v[i].truth;
        if (!t->v[i].lost)
            time = max_i64(time, t->v[i].time_ms);
        js[i] = (struct judged){&t->v[i], time, false, false, -1};
        if (x->tick || t->v[i].lost)
            continue;
        if (fault_of(k, x)) {
            letter(o, k, p, &t->v[i], fault_of(k, x));
            continue;
        }
        js[i].survives = true;
        js[i].before = last->of[k][t->v[i].identity];
        last->of[k][t->v[i].identity] = (int)i;
        bool same_tenant = false; // an answer names none, so there every sighting is alike
        for (int n = js[i].before; n >= 0; n = js[n].before) {
            const struct truth *y = &js[n].r->truth;
            if (!repeats(s, k, time, js[n].time))
                continue;
            js[i].survives = false;
            same_tenant = same_tenant || k == EVENT_RESPONSE || truth_tenant(y) == truth_tenant(x);
        }
        if (!js[i].survives && !same_tenant)
            letter(o, k, p, &t->v[i], "id_conflict");
    }
    return js;
}

static struct oracle_row *row(struct oracle *o, const struct truth *x, int64_t series_epoch)
{
    int64_t start = x->timestamp_us - ((x->timestamp_us % 60000000) + 60000000) % 60000000;
    for (size_t i = 0; i < o->row_count; i++)
        if (o->rows[i].tenant == truth_tenant(x) && o->rows[i].route == x->route &&
            o->rows[i].model == x->model && o->rows[i].window_start_us == start &&
            o->rows[i].series_epoch == series_epoch)
            return &o->rows[i];
    o->rows = xrealloc(o->rows, (o->row_count + 1) * sizeof(*o->rows));
    o->rows[o->row_count] = (struct oracle_row){
        .tenant = truth_tenant(x),
        .route = x->route,
        .model = x->model,
        .window_start_us = start,
        .series_epoch = series_epoch,
    };
    return &o->rows[o->row_count++];
}

void oracle_lines_add(struct oracle_lines *l, const struct oracle_line *line)
{
    size_t i = 0;
    while (i < l->n &&
           (strcmp(l->v[i].model, line->model) != 0 || strcmp(l->v[i].asked, line->asked) != 0 ||
            strcmp(l->v[i].tier, line->tier) != 0 || l->v[i].above != line->above))
        i++;
    if (i == l->n) {
        l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
        l->v[l->n++] = *line;
        return;
    }
#define ADD(name) l->v[i].usage.name += line->usage.name;
    ORACLE_USAGE(ADD)
#undef ADD
}

// The line that one answer makes. *clamped: what it says contradicts itself.
static struct oracle_line line_of(const struct truth *q, const struct truth *a, bool *clamped)
{
    struct oracle_line l = {.usage.requests = 1};
    int answered_by = a->answered_by != SIM_NOBODY ? a->answered_by : q->model;
    sim_model_name(answered_by, l.model);
    if (answered_by != q->model)
        sim_model_name(q->model, l.asked);
    for (size_t i = 0; a->tier && strcasecmp(a->tier, "default") != 0 && a->tier[i]; i++)
        l.tier[i] = (char)(a->tier[i] | 0x20); // letters alone
    struct oracle_usage *u = &l.usage;
    u->cached = max_i64(0, a->cached_prompt_tokens);
    u->written_1h = max_i64(0, a->cache_write_1h_tokens);
    int64_t written = max_i64(a->cache_write_tokens, u->written_1h);
    u->written_5m = written - u->written_1h;
    u->reasoning = max_i64(0, a->reasoning_tokens);
    u->completion = max_i64(a->completion_tokens, u->reasoning);
    int64_t prompt = a->prompt_tokens >= 0 ? a->prompt_tokens : q->prompt_tokens;
    bool beside = q->provider && strcmp(q->provider, "openai") != 0; // the others are of that kind
    int64_t whole =
        beside ? max_i64(0, prompt) + u->cached + written : max_i64(prompt, u->cached + written);
    u->prompt = whole - u->cached - written;
    *clamped = (a->cache_write_tokens >= 0 && a->cache_write_tokens < written) ||
               (a->completion_tokens >= 0 && a->completion_tokens < u->completion) ||
               (!beside && prompt >= 0 && prompt < whole);
    l.above = whole <= 32000     ? 0
              : whole <= 100000  ? 32000
              : whole <= 128000  ? 100000
              : whole <= 200000  ? 128000
              : whole <= 256000  ? 200000
              : whole <= 272000  ? 256000
              : whole <= 512000  ? 272000
              : whole <= 1000000 ? 512000
                                 : 1000000;
    return l;
}

static void answer(struct oracle_row *row, const struct truth *q, const struct truth *a)
{
    struct oracle_sums *w = &row->sums;
    int64_t latency = a->latency_us >= 0 ? a->latency_us : a->timestamp_us - q->timestamp_us;
    bool clamped;
    struct oracle_line line = line_of(q, a, &clamped);
    oracle_lines_add(&row->lines, &line);
    w->clamped_usage += clamped;
    w->reported_requests += a->cost_pusd >= 0;
    w->reported_pusd += max_i64(0, a->cost_pusd);
    w->responses++;
    w->errors += a->error && a->error[0];
    w->finish_stop += a->finish && strcmp(a->finish, "stop") == 0;
    if (latency < 0) {
        w->without_latency++;
    } else {
        w->latency_count++;
        w->latency_sum_us += latency;
        w->latency_max_us = max_i64(w->latency_max_us, latency);
    }
    if (a->ttft_us >= 0) {
        w->ttft_count++;
        w->ttft_sum_us += a->ttft_us;
        if (latency > a->ttft_us && line.usage.completion > 0) {
            w->generation_us += latency - a->ttft_us;
            w->generation_tokens += line.usage.completion;
        }
    }
}

// The answer that fits, NULL where none does.
static struct judged *partner_of(struct oracle *o, const struct settings *s, const struct judged *q,
                                 struct judged *answers, int newest)
{
    struct judged *found = NULL;
    for (int n = newest; n >= 0; n = answers[n].before) {
        if (!answers[n].survives || !fits(s, q->time, answers[n].time))
            continue;
        o->ambiguous = o->ambiguous || found || answers[n].matched;
        found = &answers[n];
    }
    return found;
}

static void run_partition(struct oracle *o, const struct sim_log *l, int p,
                          const struct settings *s)
{
    size_t nq = l->topic[0][p].n, na = l->topic[1][p].n;
    struct identities last = identities_of(l, p);
    struct judged *q = judge(o, l, EVENT_REQUEST, p, s, &last);
    struct judged *a = judge(o, l, EVENT_RESPONSE, p, s, &last);
    int64_t q_time = nq ? q[nq - 1].time : INT64_MIN, a_time = na ? a[na - 1].time : INT64_MIN;
    for (size_t i = 0; i < nq; i++) {
        if (q[i].r->lost || q[i].r->truth.tick || fault_of(EVENT_REQUEST, &q[i].r->truth))
            continue;
        struct oracle_row *w = row(o, &q[i].r->truth, epoch_of(s, q[i].time)->series_epoch);
        w->request_records++;
        if (!q[i].survives)
            continue;
        w->sums.requests++;
        struct judged *mine = partner_of(o, s, &q[i], a, last.of[EVENT_RESPONSE][q[i].r->identity]);
        if (mine) {
            mine->matched = true;
            answer(w, &q[i].r->truth, &mine->r->truth);
        }
        w->sums.unanswered += !mine && a_time > waits_until(s, EVENT_REQUEST, q[i].time);
    }
    for (size_t n = 0; n < na; n++)
        if (a[n].survives && !a[n].matched && q_time > waits_until(s, EVENT_RESPONSE, a[n].time))
            letter(o, EVENT_RESPONSE, p, a[n].r, "unmatched");
    free(q);
    free(a);
    free(last.of[0]);
    free(last.of[1]);
}

void oracle_run(struct oracle *o, const struct sim_log *l, const struct settings *settings)
{
    for (int p = 0; p < l->partitions; p++)
        run_partition(o, l, p, &settings[p]);
}

void oracle_free(struct oracle *o)
{
    for (size_t i = 0; i < o->row_count; i++)
        free(o->rows[i].lines.v);
    free(o->rows);
    free(o->letters);
    *o = (struct oracle){0};
}
