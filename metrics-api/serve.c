// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/serve.h"

#include <stdio.h>
#include <sys/queue.h>

#include "common/core/gzip.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "metrics-api/cache.h"
#include "metrics-api/compress.h"

#define RETRY_AFTER_S "1" // the pool tries again at least that often
#define FLIGHT_BUCKETS 1024

// One who waits.
struct asker {
    TAILQ_ENTRY(asker) link;
    struct flight *flight;
    struct http_exchange *x;
    int64_t begun_us;
};
TAILQ_HEAD(asker_list, asker);

// A question that is being answered, for all who ask it.
struct flight {
    struct flight *next; // in its bucket
    struct serve *serve;
    struct buf question;
    struct asker_list askers;
    struct answering *answering;
    bool keeps;           // the cache may have its answer
    struct cached cached; // but for its answer
};

struct serve {
    struct answerer *answerer;
    struct cache *cache;
    struct freshness freshness;
    const struct hash_key *hash_key;
    int gzip_level;
    struct metrics_stats *stats;
    struct flight *flights[FLIGHT_BUCKETS];
};

struct serve *serve_new(struct answerer *an, const struct config *c,
                        const struct hash_key *hash_key, struct metrics_stats *stats)
{
    struct serve *s = xcalloc(1, sizeof(*s));
    s->answerer = an;
    s->cache = cache_new((size_t)c->cache_bytes, c->cache_max_age_ms * US_PER_MS, hash_key);
    s->hash_key = hash_key;
    s->gzip_level = (int)c->http_gzip_level;
    s->stats = stats;
    return s;
}

void serve_free(struct serve *s)
{
    if (!s)
        return;
    cache_free(s->cache);
    free(s);
}

void serve_listening(struct serve *s, bool up)
{
    if (up)
        freshness_up(&s->freshness);
    else
        freshness_down(&s->freshness);
}

void serve_notified(struct serve *s, const char *payload)
{
    freshness_notify(&s->freshness, payload);
}

const struct freshness *serve_freshness(const struct serve *s)
{
    return &s->freshness;
}

// ---- answers ------------------------------------------------------------------------------------

static const struct buf *compressed(struct serve *s, struct cached *c, bool in_cache)
{
    if (c->gzip.n == 0) {
        const struct buf *body = &c->answer.body;
        gzip_compress((struct str){body->p, body->n}, s->gzip_level, &c->gzip);
        if (in_cache)
            cache_grew(s->cache, c, c->gzip.cap);
    }
    return &c->gzip;
}

static void add_about(struct http_exchange *x, const struct answer_about *about)
{
    if (about->data_through[0])
        http_add_header(x, "StreamLens-Data-Through", about->data_through);
    http_add_header(x, "StreamLens-Open-Windows", about->open_windows ? "true" : "false");
    http_add_header(x, "StreamLens-Percentile-Error", ANSWER_PERCENTILE_ERROR);
    if (about->next_cursor.n > 0)
        http_add_header(x, "StreamLens-Next-Cursor", about->next_cursor.p);
}

static void reply(struct serve *s, struct http_exchange *x, struct cached *c, bool in_cache)
{
    const struct buf *body = &c->answer.body;
    bool zip = compress_pays(s->gzip_level, body->n) && http_accepts_gzip(x);
    const char *etag = zip ? c->etag_gzip : c->etag;
    http_add_header(x, "ETag", etag);
    // Always to be asked about: what is long past may be priced anew.
    http_add_header(x, "Cache-Control", "private, no-cache");
    if (s->gzip_level > 0)
        http_add_header(x, "Vary", "Accept, Accept-Encoding");
    else
        http_add_header(x, "Vary", "Accept");
    s->stats->answers_ok++;
    s->stats->rows += (int64_t)c->answer.rows;
    if (http_not_modified(x, etag)) {
        http_reply(x, 304, NULL, NULL, 0);
        return;
    }
    add_about(x, &c->answer.about);
    if (zip) {
        body = compressed(s, c, in_cache);
        http_add_header(x, "Content-Encoding", "gzip");
    }
    http_reply(x, 200, render_media_type(c->answer.format), body->p, body->n);
}

static void reply_bad(struct serve *s, struct http_exchange *x, const struct answer *a)
{
    if (a->status == ANSWER_WRONG) {
        s->stats->answers_bad_request++;
        http_problem(x, 400, &a->err);
    } else if (a->status == ANSWER_UNAVAILABLE) {
        s->stats->answers_unavailable++;
        http_add_header(x, "Retry-After", RETRY_AFTER_S);
        http_problem(x, 503, &a->err);
    } else {
        // What PostgreSQL says of our statement is for the log, not for strangers.
        s->stats->answers_failed++;
        http_problemf(x, 500, "the database refused the query");
    }
}

// ---- flights ------------------------------------------------------------------------------------

static struct flight **flight_bucket(struct serve *s, struct str question)
{
    return &s->flights[hash_keyed64(s->hash_key, question.p, question.n) % FLIGHT_BUCKETS];
}

// The youngest of that question.
static struct flight *flight_find(struct serve *s, struct str question)
{
    struct flight *f = *flight_bucket(s, question);
    while (f && !str_eq((struct str){f->question.p, f->question.n}, question))
        f = f->next;
    return f;
}

static void flight_remove(struct flight *f)
{
    struct flight **at = flight_bucket(f->serve, (struct str){f->question.p, f->question.n});
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
}

static void flight_free(struct flight *f)
{
    cached_clear(&f->cached);
    buf_free(&f->question);
    free(f);
}

static void answered(void *arg, struct answer *a)
{
    struct flight *f = arg;
    struct serve *s = f->serve;
    struct cached *c = &f->cached;
    bool fine = a->status == ANSWER_OK; // no rows as NDJSON are no bytes
    flight_remove(f);                   // whoever asks from now on sees what has changed meanwhile
    if (a->status == ANSWER_FAILED)
        log_error("query failed", "detail", a->err.detail);
    if (fine) {
        c->answer = *a;
        *a = (struct answer){0};
        cached_tag(c);
        struct str question = {f->question.p, f->question.n};
        struct cached *kept =
            f->keeps ? cache_put(s->cache, question, c, &s->freshness, clock_mono_us()) : NULL;
        c = kept ? kept : c;
        s->stats->cache_bytes = (int64_t)cache_bytes(s->cache);
    }
    struct asker *asker;
    while ((asker = TAILQ_FIRST(&f->askers))) {
        TAILQ_REMOVE(&f->askers, asker, link);
        stats_observe_us(&s->stats->answer_seconds, clock_mono_us() - asker->begun_us);
        if (fine)
            reply(s, asker->x, c, c != &f->cached);
        else
            reply_bad(s, asker->x, a);
        free(asker);
    }
    flight_free(f);
}

// Nobody reads the answer any more; PostgreSQL need not finish it.
static void client_gone(void *arg)
{
    struct asker *asker = arg;
    struct flight *f = asker->flight;
    struct http_exchange *x = asker->x;
    TAILQ_REMOVE(&f->askers, asker, link);
    f->serve->stats->answers_client_gone++;
    free(asker);
    if (TAILQ_EMPTY(&f->askers)) {
        answer_cancel(f->answering);
        flight_remove(f);
        flight_free(f);
    }
    http_reply(x, 503, NULL, NULL, 0); // the exchange ends with an answer in any case
}

static struct flight *flight_new(struct serve *s, struct buf *key, struct question *q, bool keeps)
{
    struct flight *f = xcalloc(1, sizeof(*f));
    f->serve = s;
    f->keeps = keeps;
    f->question = *key;
    *key = (struct buf){0};
    TAILQ_INIT(&f->askers);
    f->cached.from_us = question_first_us(q);
    f->cached.to_us = q->to_us;
    f->cached.since = s->freshness.now;
    f->cached.read_us = clock_mono_us();
    struct flight **bucket = flight_bucket(s, (struct str){f->question.p, f->question.n});
    f->next = *bucket;
    *bucket = f;
    f->answering = answer_begin(s->answerer, q, answered, f);
    return f;
}

void serve_question(struct serve *s, struct http_exchange *x, struct question *q)
{
    struct buf key = {0};
    question_key(q, &key);
    struct str question = {key.p, key.n};
    // A new version of the prices notifies nobody: who asks finds out.
    bool keeps = q->endpoint != ENDPOINT_PRICES;
    struct cached *c =
        keeps ? cache_find(s->cache, question, &s->freshness, clock_mono_us()) : NULL;
    if (c) {
        s->stats->cache_hits++;
        reply(s, x, c, true);
    } else {
        struct flight *f = keeps ? flight_find(s, question) : NULL;
        // What changed since it began would be missing in its answer.
        bool joins = f && freshness_holds(&s->freshness, f->cached.since, 0, 0, false);
        s->stats->cache_joined += joins;
        s->stats->cache_misses += !joins;
        if (!joins)
            f = flight_new(s, &key, q, keeps);
        struct asker *asker = xmalloc(sizeof(*asker));
        *asker = (struct asker){.flight = f, .x = x, .begun_us = clock_mono_us()};
        TAILQ_INSERT_TAIL(&f->askers, asker, link);
        http_on_gone(x, client_gone, asker);
    }
    buf_free(&key);
    question_clear(q);
}
