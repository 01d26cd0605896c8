// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/prometheus/load_internal.h"

#include "common/core/timeunit.h"
#include "common/io/clock.h"
#include "common/io/fact_row_pg.h"

#define NAMES_KEPT 32  // lists of names; one of 20,000 series takes some 4 MB
#define PLANS_MAX 3    // of a load
#define LOAD_SHARE 4   // of ANSWER_MEMORY_BYTES: facts of one load
#define MERGED_SHARE 4 // of FACTS_CACHE_BYTES: sums of histograms
#define PASSES_MAX 4   // of a load, where rows change while it reads
#define WORK_US (2 * US_PER_S)

// ---- names --------------------------------------------------------------------------------------

static void names_let_go(struct names *n)
{
    if (--n->uses > 0)
        return;
    series_names_clear(&n->series);
    buf_free(&n->key);
    free(n);
}

static void names_drop(struct prom_loader *p, struct names *n)
{
    TAILQ_REMOVE(&p->names, n, link);
    p->names_count--;
    names_let_go(n);
}

static void names_keep(struct prom_loader *p, struct names *n)
{
    n->uses++;
    TAILQ_INSERT_TAIL(&p->names, n, link);
    if (++p->names_count > NAMES_KEPT)
        names_drop(p, TAILQ_FIRST(&p->names));
}

// The value that every select wants of a label; p NULL: they do not agree on one, or the database
// would not take it.
static struct str only_of_all(const struct prom_load *l, struct str label)
{
    struct str only = {NULL, 0};
    for (size_t i = 0; i < l->spec.select_count; i++) {
        struct str value = selection_only(&l->spec.selects[i], label);
        bool is_text = value.n == 0 || label_name_valid(value);
        if (!value.p || !is_text || (i > 0 && !str_eq(value, only)))
            return (struct str){NULL, 0};
        only = value;
    }
    return only;
}

static struct str only_route(const struct prom_load *l)
{
    struct str route = only_of_all(l, STR_LIT("route"));
    return route.p ? route : only_of_all(l, STR_LIT("service_name"));
}

static struct str only_model(const struct prom_load *l)
{
    struct str model = only_of_all(l, STR_LIT("model"));
    return model.p ? model : only_of_all(l, STR_LIT("gen_ai_request_model"));
}

static void add_key(struct buf *key, struct str part)
{
    buf_addf(key, "%zd:", part.p ? (ssize_t)part.n : -1);
    buf_add(key, part.p, part.n);
}

static void names_key(const struct prom_load *l, struct buf *key)
{
    buf_addf(key, "%lld-%lld ", (long long)l->names_from_us, (long long)l->names_to_us);
    add_key(key, l->tenant_id);
    add_key(key, only_route(l));
    add_key(key, only_model(l));
}

static struct names *names_find(struct prom_loader *p, const struct buf *key)
{
    int64_t now_us = clock_mono_us();
    for (struct names *n = TAILQ_FIRST(&p->names), *next; n; n = next) {
        next = TAILQ_NEXT(n, link);
        bool holds = now_us - n->read_us < p->max_age_us &&
                     freshness_holds(p->freshness, n->since, 0, 0, false);
        if (!holds)
            names_drop(p, n);
        else if (n->key.n == key->n && memcmp(n->key.p, key->p, key->n) == 0)
            return n;
    }
    return NULL;
}

// ---- its end ------------------------------------------------------------------------------------

static void wake_next(struct prom_loader *p);

static void turn_release(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    for (size_t i = 0; i < PROM_LOADS_MAX && l->has_turn; i++)
        if (p->reading[i] == l) {
            p->reading[i] = NULL;
            p->stats->loads_reading--;
            l->has_turn = false;
        }
    wake_next(p);
}

static void blocks_let_go(struct prom_load *l)
{
    need_let_go(&l->blocks, l->loader->cache);
}

static void series_let_go(struct prom_load *l)
{
    struct facts_cache *cache = l->loader->cache;
    for (size_t i = 0; l->handles && i < l->names->series.n; i++)
        if (l->handles[i])
            facts_series_let_go(cache, l->handles[i]);
    free(l->handles);
    l->handles = NULL;
}

// Nothing it was brought is its any more.
static void begin_anew(struct prom_load *l)
{
    blocks_let_go(l);
    series_let_go(l);
    if (l->names)
        names_let_go(l->names);
    l->names = NULL;
    arena_free(&l->arena);
    l->want_count = l->planned = 0;
    l->last_series = 0;
    l->has_read = false;
}

static void load_free(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    if (l->pending)
        repo_cancel(l->pending);
    if (l->waits) {
        TAILQ_REMOVE(&p->waiting, l, link);
        p->stats->loads_waiting = (int64_t)--p->waiting_count;
    }
    if (l->goes_on)
        TAILQ_REMOVE(&p->going_on, l, link);
    TAILQ_REMOVE(&p->loads, l, all);
    if (l->has_turn)
        turn_release(l);
    begin_anew(l);
    event_free(l->deadline);
    free(l->wants);
    free(l);
    p->stats->facts_cache_bytes =
        (int64_t)(facts_cache_bytes(p->cache) + merged_cache_bytes(p->merged));
}

void prom_load_cancel(struct prom_load *l)
{
    load_free(l);
}

static void end_bad(struct prom_load *l)
{
    prom_load_done done = l->done;
    void *arg = l->arg;
    enum prom_error type = l->failure;
    struct err e = l->e;
    load_free(l);
    done(arg, NULL, type, &e);
}

static void end_fine(struct prom_load *l)
{
    struct prom_loaded loaded;
    prom_load_done done = l->done;
    void *arg = l->arg;
    if (load_make(l, &loaded) != 0) {
        prom_loaded_clear(&loaded);
        end_bad(l);
        return;
    }
    load_free(l);
    done(arg, &loaded, PROM_INTERNAL, NULL);
}

static bool repo_failed(struct prom_load *l, enum repo_status status, const struct err *e)
{
    l->pending = NULL;
    if (status == REPO_OK)
        return false;
    l->failure = status == REPO_UNAVAILABLE ? PROM_UNAVAILABLE : PROM_INTERNAL;
    if (status != REPO_STOPPED)
        l->e = *e;
    return true;
}

// ---- reading ------------------------------------------------------------------------------------

static char *text_of(struct str s)
{
    char *text = xmalloc(s.n + 1);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

static bool names_has(const struct question_names *names, struct str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (str_eq(str_of(names->v[i]), name))
            return true;
    return false;
}

// False: there is no room for another one.
static bool names_add(struct question_names *names, struct str name)
{
    if (!name.p || names_has(names, name))
        return true;
    if (names->n == QUESTION_NAMES_MAX)
        return false;
    names->v[names->n++] = text_of(name);
    return true;
}

static void names_forget(struct question_names *names)
{
    while (names->n > 0)
        free(names->v[--names->n]);
}

static struct question question_of(const struct prom_load *l)
{
    return (struct question){
        .endpoint = ENDPOINT_SERIES,
        .tenant_id = l->tenant_id.p ? text_of(l->tenant_id) : NULL,
        .from_us = l->names_from_us,
        .to_us = l->names_to_us,
        .limit = SERIES_NAMES_MAX,
    };
}

// Not at once: one load at a time works for long, and whoever else has something to do comes
// between, the notifications of what is being read among them.
static void go_on_soon(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    struct timeval at_once = {0, 0};
    l->goes_on = true;
    TAILQ_INSERT_TAIL(&p->going_on, l, link);
    event_add(p->next, &at_once);
}

static int on_name(void *arg, const struct fact_row *row)
{
    struct prom_load *l = arg;
    series_names_add(&l->names->series, row);
    return 0;
}

static void on_names(void *arg, enum repo_status status, const struct repo_meta *meta,
                     const struct err *e)
{
    struct prom_load *l = arg;
    if (repo_failed(l, status, e)) {
        end_bad(l);
        return;
    }
    l->names->closed_through_us = meta->closed_through_us;
    names_keep(l->loader, l->names);
    go_on_soon(l);
}

static void ask_names(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    struct question q = question_of(l);
    names_add(&q.routes, only_route(l));
    names_add(&q.models, only_model(l));
    l->has_read = true;
    l->names = xcalloc(1, sizeof(*l->names));
    l->names->uses = 1;
    l->names->since = p->freshness->now;
    l->names->read_us = clock_mono_us();
    l->names->series.hash_key = p->hash_key;
    names_key(l, &l->names->key);
    l->pending = repo_names(p->repo, &q, on_name, on_names, l);
    question_clear(&q);
}

static int on_fact(void *arg, const struct fact_row *row)
{
    struct prom_load *l = arg;
    const struct series_names *names = &l->names->series;
    const struct series_name *last = &names->v[l->last_series];
    size_t at = l->last_series;
    if (!str_eq(last->model, row->model) || !str_eq(last->route, row->route) ||
        !str_eq(last->tenant_id, row->tenant_id))
        at = series_names_find(names, row->tenant_id, row->route, row->model);
    if (at == SIZE_MAX)
        return 0;
    l->last_series = (uint32_t)at;
    bool hour = row->window_end_us - row->window_start_us == US_PER_HOUR;
    enum facts_unit unit = hour ? FACTS_HOURS : FACTS_MINUTES;
    int64_t start_us = time_floor_us(row->window_start_us, facts_block_us(unit));
    struct need_block *b = need_find(&l->blocks, (uint32_t)at, unit, l->reading, start_us);
    if (!b || !b->filling)
        return 0;
    return facts_filling_add(b->filling, row, &l->e);
}

static void on_facts(void *arg, enum repo_status status, const struct repo_meta *meta,
                     const struct err *e)
{
    struct prom_load *l = arg;
    if (repo_failed(l, status, e)) {
        end_bad(l);
        return;
    }
    l->loader->kept = meta->kept;
    for (size_t i = 0; i < l->blocks.n; i++) {
        struct need_block *b = &l->blocks.v[i];
        if (!b->filling)
            continue;
        b->block = facts_filling_end(b->filling, meta->closed_through_us);
        b->filling = NULL;
    }
    go_on_soon(l);
}

// The spans of blocks that are to be read: a bit a block, and then the runs.
static void add_spans(const struct prom_load *l, enum facts_unit unit, struct plan_span **spans,
                      size_t *n)
{
    int64_t low_us = INT64_MAX, high_us = INT64_MIN, length_us = facts_block_us(unit);
    for (size_t i = 0; i < l->blocks.n; i++)
        if (l->blocks.v[i].filling && l->blocks.v[i].unit == unit) {
            low_us = min_i64(low_us, l->blocks.v[i].start_us);
            high_us = max_i64(high_us, l->blocks.v[i].start_us + length_us);
        }
    if (low_us >= high_us)
        return;
    size_t places = (size_t)((high_us - low_us) / length_us);
    bool *wanted = xcalloc(places, sizeof(*wanted));
    for (size_t i = 0; i < l->blocks.n; i++)
        if (l->blocks.v[i].filling && l->blocks.v[i].unit == unit)
            wanted[(l->blocks.v[i].start_us - low_us) / length_us] = true;
    *spans = xcalloc(PLAN_SPANS_MAX, sizeof(**spans));
    for (size_t i = 0; i < places; i++) {
        int64_t from_us = low_us + (int64_t)i * length_us;
        if (!wanted[i])
            continue;
        // What lies between is read for nothing rather than that there are too many.
        if (*n > 0 && ((*spans)[*n - 1].to_us == from_us || *n == PLAN_SPANS_MAX))
            (*spans)[*n - 1].to_us = from_us + length_us;
        else
            (*spans)[(*n)++] = (struct plan_span){from_us, from_us + length_us};
    }
    free(wanted);
}

// Routes and models of what is to be read, where these are fewer than all.
static void add_names(const struct prom_load *l, struct question *q)
{
    const struct series_names *names = &l->names->series;
    bool *wanted = xcalloc(names->n, sizeof(*wanted));
    size_t count = 0;
    for (size_t i = 0; i < l->blocks.n; i++)
        if (l->blocks.v[i].filling && !wanted[l->blocks.v[i].series]) {
            wanted[l->blocks.v[i].series] = true;
            count++;
        }
    bool routes_fit = count < names->n, models_fit = routes_fit;
    for (size_t i = 0; i < names->n; i++)
        if (wanted[i]) {
            routes_fit = routes_fit && names_add(&q->routes, names->v[i].route);
            models_fit = models_fit && names_add(&q->models, names->v[i].model);
        }
    if (!routes_fit)
        names_forget(&q->routes);
    if (!models_fit)
        names_forget(&q->models);
    free(wanted);
}

static void ask_facts(struct prom_load *l)
{
    static const int wants[] = {
        [FACTS_SUMS] = FACT_WANT_SUMS,       [FACTS_COSTS] = FACT_WANT_COSTS | FACT_WANT_CLASSES,
        [FACTS_OBJECTS] = FACT_WANT_OBJECTS, [FACTS_LATENCY] = FACT_WANT_LATENCY_HDR,
        [FACTS_TTFT] = FACT_WANT_TTFT_HDR,
    };
    struct prom_loader *p = l->loader;
    struct plan plan = {0};
    l->has_read = true;
    l->since = p->freshness->now;
    l->read_us = clock_mono_us();
    for (size_t i = 0; i < l->blocks.n; i++) {
        struct need_block *b = &l->blocks.v[i];
        if (!b->block && b->group == l->reading) {
            p->stats->facts_cache_misses++;
            b->filling = facts_filling_new(p->cache, l->handles[b->series], b->unit, b->group,
                                           b->start_us, l->since, l->read_us);
        }
    }
    add_spans(l, FACTS_HOURS, &plan.hours, &plan.hour_count);
    add_spans(l, FACTS_MINUTES, &plan.minutes, &plan.minute_count);
    struct question q = question_of(l);
    add_names(l, &q);
    l->pending = repo_facts(p->repo, &q, &plan, wants[l->reading], on_fact, on_facts, l);
    question_clear(&q);
    plan_clear(&plan);
}

// ---- turns --------------------------------------------------------------------------------------

static bool may_read(const struct prom_loader *p, const struct prom_load *l)
{
    bool free_place = false;
    for (size_t i = 0; i < PROM_LOADS_MAX; i++) {
        const struct prom_load *other = p->reading[i];
        free_place = free_place || !other;
        if (other && str_eq(other->tenant_id, l->tenant_id))
            return false;
    }
    return free_place;
}

static void turn_take(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    size_t i = 0;
    while (p->reading[i])
        i++;
    p->reading[i] = l;
    p->stats->loads_reading++;
    l->has_turn = true;
}

// Whether the load may read now; else it will be told, or has ended.
static bool turn_ask(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    if (l->has_turn)
        return true;
    if (may_read(p, l)) {
        turn_take(l);
        return true;
    }
    if (p->waiting_count == PROM_LOADS_WAITING) {
        (void)err_set(&l->e, "too many queries wait for the database");
        l->failure = PROM_UNAVAILABLE;
        end_bad(l);
        return false;
    }
    begin_anew(l); // there may be many, for long, and what it needs another then
    l->waits = true;
    TAILQ_INSERT_TAIL(&p->waiting, l, link);
    p->stats->loads_waiting = (int64_t)++p->waiting_count;
    return false;
}

static void wake_next(struct prom_loader *p)
{
    for (struct prom_load *l = TAILQ_FIRST(&p->waiting), *next; l; l = next) {
        next = TAILQ_NEXT(l, link);
        if (!may_read(p, l))
            continue;
        TAILQ_REMOVE(&p->waiting, l, link);
        p->stats->loads_waiting = (int64_t)--p->waiting_count;
        l->waits = false;
        turn_take(l);
        go_on_soon(l);
    }
}

// ---- its way ------------------------------------------------------------------------------------

static void find_blocks(struct prom_load *l)
{
    struct prom_loader *p = l->loader;
    int64_t now_us = clock_mono_us();
    for (size_t i = 0; i < l->blocks.n; i++) {
        struct need_block *b = &l->blocks.v[i];
        const struct series_name *name = &l->names->series.v[b->series];
        if (b->block)
            continue;
        if (!l->handles[b->series])
            l->handles[b->series] =
                facts_cache_series(p->cache, name->tenant_id, name->route, name->model);
        b->block = facts_cache_find(p->cache, l->handles[b->series], b->unit, b->group, b->start_us,
                                    b->to_us, p->freshness, now_us);
        p->stats->facts_cache_hits += b->block != NULL;
    }
}

// A group of which something is to be read; FACTS_GROUPS: none.
static enum facts_group next_group(struct prom_load *l)
{
    for (size_t i = 0; i < l->blocks.n; i++)
        if (!l->blocks.v[i].block)
            return l->blocks.v[i].group;
    return FACTS_GROUPS;
}

static bool have_names(struct prom_load *l)
{
    struct buf key = {0};
    if (l->names)
        return true;
    names_key(l, &key);
    struct names *kept = names_find(l->loader, &key);
    buf_free(&key);
    if (kept) {
        l->names = kept;
        kept->uses++;
    } else if (turn_ask(l)) {
        ask_names(l);
    }
    return kept != NULL;
}

// Again where minutes that it was planned with may have been dropped meanwhile.
static bool must_plan(const struct prom_load *l)
{
    bool other = l->kept_from_us != l->loader->kept.minutes_from_us;
    return l->planned == 0 || (other && l->planned < PLANS_MAX);
}

// Of what is shown; what it was brought in one go cannot have changed meanwhile. Where nothing is
// heard any more, nobody can tell.
static bool has_changed(const struct prom_load *l)
{
    const struct freshness *f = l->loader->freshness;
    bool unheard = l->heard && !f->listening;
    return l->has_read && (unheard || freshness_changed(f, l->begun_at, load_through(l)));
}

static void go_on(struct prom_load *l)
{
    if (!l->names) {
        l->begun_at = l->loader->freshness->now;
        l->heard = l->loader->freshness->listening;
    }
    if (!have_names(l))
        return;
    if (!l->handles)
        l->handles = xcalloc(l->names->series.n + 1, sizeof(struct facts_series *));
    if (must_plan(l)) {
        blocks_let_go(l);
        l->planned++;
        if (load_plan(l) != 0) {
            end_bad(l);
            return;
        }
    }
    find_blocks(l);
    l->reading = next_group(l);
    if (l->reading != FACTS_GROUPS) {
        if (turn_ask(l))
            ask_facts(l);
    } else if (has_changed(l) && ++l->passes < PASSES_MAX) {
        l->loader->stats->loads_begun_anew++;
        begin_anew(l);
        go_on_soon(l);
    } else {
        l->loader->stats->loads_unsure += l->has_read && (!l->heard || has_changed(l));
        end_fine(l);
    }
}

bool load_expired(struct prom_load *l)
{
    if (clock_mono_us() < l->work_until_us)
        return false;
    l->failure = PROM_TIMEOUT;
    (void)err_set(&l->e, "query timed out in query execution");
    return true;
}

static void on_next(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct prom_loader *p = arg;
    struct timeval at_once = {0, 0};
    struct prom_load *l = TAILQ_FIRST(&p->going_on);
    if (!l) // it left
        return;
    TAILQ_REMOVE(&p->going_on, l, link);
    l->goes_on = false;
    if (!TAILQ_EMPTY(&p->going_on))
        event_add(p->next, &at_once);
    l->work_until_us = clock_mono_us() + WORK_US;
    if (load_range(l, l->now_us, &l->names_from_us, &l->names_to_us))
        go_on(l);
    else
        end_fine(l); // nothing is asked of any time that has windows
}

static void on_deadline(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct prom_load *l = arg;
    l->failure = PROM_TIMEOUT;
    (void)err_set(&l->e, "query timed out in query execution");
    end_bad(l);
}

struct prom_load *prom_load_begin(struct prom_loader *p, const struct prom_load_spec *spec,
                                  prom_load_done done, void *arg)
{
    struct prom_load *l = xcalloc(1, sizeof(*l));
    l->loader = p;
    l->spec = *spec;
    l->done = done;
    l->arg = arg;
    l->now_us = clock_wall_us();
    l->tenant_id = spec->tenant_id.p ? spec->tenant_id : only_of_all(l, STR_LIT("tenant_id"));
    l->deadline = event_new(p->base, -1, 0, on_deadline, l);
    struct timeval after = {spec->timeout_us / US_PER_S, spec->timeout_us % US_PER_S};
    event_add(l->deadline, &after);
    TAILQ_INSERT_TAIL(&p->loads, l, all);
    go_on_soon(l);
    return l;
}

// ---- the loader ---------------------------------------------------------------------------------

struct prom_loader *prom_loader_new(struct event_base *base, struct repo *repo,
                                    const struct config *c, const struct hash_key *hash_key,
                                    const struct freshness *freshness, struct metrics_stats *stats)
{
    struct prom_loader *p = xcalloc(1, sizeof(*p));
    p->base = base;
    p->repo = repo;
    p->hash_key = hash_key;
    p->freshness = freshness;
    p->stats = stats;
    p->max_age_us = c->cache_max_age_ms * US_PER_MS;
    p->load_bytes = (size_t)c->answer_memory_bytes / LOAD_SHARE;
    p->kept = (struct plan_kept){INT64_MIN, INT64_MIN};
    // A standby may be behind what its primary has told.
    int64_t closed_max_age_us = c->postgres_read_dsn[0] ? p->max_age_us : INT64_MAX;
    size_t bytes = (size_t)c->facts_cache_bytes, merged_bytes = bytes / MERGED_SHARE;
    p->cache = facts_cache_new(bytes - merged_bytes, p->max_age_us, closed_max_age_us, hash_key);
    p->merged = merged_cache_new(merged_bytes, hash_key);
    TAILQ_INIT(&p->names);
    TAILQ_INIT(&p->loads);
    TAILQ_INIT(&p->waiting);
    TAILQ_INIT(&p->going_on);
    p->next = event_new(base, -1, 0, on_next, p);
    return p;
}

void prom_loader_free(struct prom_loader *p)
{
    if (!p)
        return;
    struct prom_load *l;
    while ((l = TAILQ_FIRST(&p->loads))) {
        l->failure = PROM_UNAVAILABLE;
        (void)err_set(&l->e, "the service ends");
        end_bad(l);
    }
    event_free(p->next);
    while (!TAILQ_EMPTY(&p->names))
        names_drop(p, TAILQ_FIRST(&p->names));
    merged_cache_free(p->merged);
    facts_cache_free(p->cache);
    free(p);
}
