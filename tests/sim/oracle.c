// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/oracle.h"

struct judged {
    const struct sim_record *r;
    int64_t time; // running maximum
    bool survives, matched;
};

static void letter(struct oracle *o, enum event_kind k, int partition, const struct sim_record *r,
                   const char *reason)
{
    o->letters = xrealloc(o->letters, (o->letter_count + 1) * sizeof(*o->letters));
    o->letters[o->letter_count++] = (struct oracle_letter){k, partition, r->offset, reason};
}

// Which records of one topic-partition count; the rest are ticks, duplicates or dead letters.
static struct judged *judge(struct oracle *o, const struct sim_log *l, enum event_kind k, int p,
                            int64_t d)
{
    const struct sim_topic *t = &l->topic[k][p];
    struct judged *js = xcalloc(t->n, sizeof(*js));
    int64_t time = INT64_MIN;
    for (size_t i = 0; i < t->n; i++) {
        const struct truth *x = &t->v[i].truth;
        time = max_i64(time, t->v[i].time_ms);
        js[i] = (struct judged){&t->v[i], time, false, false};
        if (x->tick)
            continue;
        if (x->malformed || x->time_out_of_range) {
            letter(o, k, p, &t->v[i], x->malformed ? "malformed" : "time_out_of_range");
            continue;
        }
        js[i].survives = true;
        bool same_tenant = false; // an answer names none, so there every sighting is alike
        for (size_t n = i; n-- > 0;) {
            const struct truth *y = &js[n].r->truth;
            if (y->tick || y->malformed || y->time_out_of_range || y->id != x->id ||
                time - js[n].time > d)
                continue;
            js[i].survives = false;
            same_tenant = same_tenant || k == EVENT_RESPONSE || y->tenant == x->tenant;
        }
        if (!js[i].survives && !same_tenant)
            letter(o, k, p, &t->v[i], "id_conflict");
    }
    return js;
}

static struct oracle_row *row(struct oracle *o, const struct truth *x)
{
    int64_t start = x->timestamp_us - ((x->timestamp_us % 60000000) + 60000000) % 60000000;
    for (size_t i = 0; i < o->row_count; i++)
        if (o->rows[i].tenant == x->tenant && o->rows[i].route == x->route &&
            o->rows[i].model == x->model && o->rows[i].window_start_us == start)
            return &o->rows[i];
    o->rows = xrealloc(o->rows, (o->row_count + 1) * sizeof(*o->rows));
    o->rows[o->row_count] = (struct oracle_row){
        .tenant = x->tenant, .route = x->route, .model = x->model, .window_start_us = start};
    return &o->rows[o->row_count++];
}

static void answer(struct oracle_row *w, const struct truth *q, const struct truth *a)
{
    int64_t latency = a->latency_us >= 0 ? a->latency_us : a->timestamp_us - q->timestamp_us;
    w->responses++;
    w->errors += a->error && a->error[0];
    w->finish_stop += a->finish && strcmp(a->finish, "stop") == 0;
    w->prompt_tokens += a->prompt_tokens >= 0 ? a->prompt_tokens : max_i64(0, q->prompt_tokens);
    w->completion_tokens += max_i64(0, a->completion_tokens);
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
    }
}

void oracle_run(struct oracle *o, const struct sim_log *l, int64_t ttl, int64_t skew)
{
    for (int p = 0; p < l->partitions; p++) {
        size_t nq = l->topic[0][p].n, na = l->topic[1][p].n;
        struct judged *q = judge(o, l, EVENT_REQUEST, p, ttl + skew);
        struct judged *a = judge(o, l, EVENT_RESPONSE, p, ttl + skew);
        int64_t q_time = nq ? q[nq - 1].time : INT64_MIN, a_time = na ? a[na - 1].time : INT64_MIN;
        for (size_t i = 0; i < nq; i++) {
            if (!q[i].survives)
                continue;
            struct oracle_row *w = row(o, &q[i].r->truth);
            w->requests++;
            for (size_t n = 0; n < na && !q[i].matched; n++)
                if (a[n].survives && a[n].r->truth.id == q[i].r->truth.id &&
                    a[n].time - q[i].time >= -skew && a[n].time - q[i].time <= ttl) {
                    q[i].matched = a[n].matched = true;
                    answer(w, &q[i].r->truth, &a[n].r->truth);
                }
            w->unanswered += !q[i].matched && a_time > q[i].time + ttl;
        }
        for (size_t n = 0; n < na; n++)
            if (a[n].survives && !a[n].matched && q_time > a[n].time + skew)
                letter(o, EVENT_RESPONSE, p, a[n].r, "unmatched");
        free(q);
        free(a);
    }
}

void oracle_free(struct oracle *o)
{
    free(o->rows);
    free(o->letters);
    *o = (struct oracle){0};
}
