// SPDX-License-Identifier: Apache-2.0
// What is told of answers: numbers by route, and the access log. Neither ever shows what a client
// chose: a path that no route has is "other", and so is a method that is not known.
#include "common/io/http_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define LOG_LINES_PER_S 10
#define REQUESTS "streamlens_http_requests_total"
#define DURATION "streamlens_http_request_duration_seconds"

static size_t row_count(const struct http_server *s)
{
    return s->route_count + HTTP_METHODS + 1;
}

void http_route_stats_new(struct http_server *s)
{
    s->route_stats = xcalloc(row_count(s), sizeof(s->route_stats[0]));
}

static size_t row_of(const struct http_exchange *x)
{
    const struct http_server *s = x->server;
    if (x->route)
        return (size_t)(x->route - s->routes);
    size_t i = 0;
    while (i < HTTP_METHODS && strcmp(x->method, http_known_methods[i]) != 0)
        i++;
    return s->route_count + i;
}

// Several methods of a path share one histogram.
static size_t first_of_path(const struct http_server *s, size_t row)
{
    size_t i = 0;
    while (strcmp(s->routes[i].path, s->routes[row].path) != 0)
        i++;
    return i;
}

static const char *path_of(const struct http_server *s, size_t row)
{
    return row < s->route_count ? s->routes[row].path : "other";
}

static const char *method_of(const struct http_server *s, size_t row)
{
    if (row < s->route_count)
        return s->routes[row].method;
    size_t i = row - s->route_count;
    return i < HTTP_METHODS ? http_known_methods[i] : "other";
}

void http_route_stats_count(struct http_exchange *x, int status)
{
    x->server->route_stats[row_of(x)].answers[http_status_index(status)]++;
}

void http_route_stats_observe(struct http_exchange *x, int64_t duration_us)
{
    struct http_server *s = x->server;
    stats_observe_us(&s->route_stats[first_of_path(s, row_of(x))].seconds, duration_us);
}

// ---- rendering

struct samples {
    struct stats_desc *desc;
    char (*labels)[160];
    size_t n, max;
};

static struct stats_desc *add_sample(struct samples *all, const struct http_server *s,
                                     const void *value)
{
    assert(all->n < all->max);
    struct stats_desc *d = &all->desc[all->n++];
    d->offset = (size_t)((const char *)value - (const char *)s->route_stats);
    return d;
}

static void add_requests(struct samples *all, const struct http_server *s, size_t row, size_t i)
{
    const int64_t *value = &s->route_stats[row].answers[i];
    if (*value == 0)
        return;
    char *labels = all->labels[all->n];
    char status[16] = "other";
    if (i < HTTP_STATUSES)
        snprintf(status, sizeof(status), "%d", http_status_at(i));
    snprintf(labels, sizeof(all->labels[0]), "route=\"%s\",method=\"%s\",status=\"%s\"",
             path_of(s, row), method_of(s, row), status);
    struct stats_desc *d = add_sample(all, s, value);
    d->name = REQUESTS;
    d->labels = labels;
    d->help = "Requests answered, by the route's path and method (other: no route was found).";
    d->type = STATS_COUNTER;
}

static void add_duration(struct samples *all, const struct http_server *s, size_t row)
{
    const struct stats_histogram *value = &s->route_stats[row].seconds;
    if (value->count == 0)
        return;
    char *labels = all->labels[all->n];
    snprintf(labels, sizeof(all->labels[0]), "route=\"%s\"", path_of(s, row));
    struct stats_desc *d = add_sample(all, s, value);
    d->name = DURATION;
    d->labels = labels;
    d->help = "From the complete request to its answer.";
    d->type = STATS_HISTOGRAM;
}

void http_render_routes(const struct http_exchange *x, struct buf *out)
{
    const struct http_server *s = x->server;
    struct samples all = {.max = row_count(s) * (HTTP_STATUSES + 1) + s->route_count};
    all.desc = xmalloc(all.max * sizeof(all.desc[0]));
    all.labels = xmalloc(all.max * sizeof(all.labels[0]));
    for (size_t row = 0; row < row_count(s); row++) {
        for (size_t i = 0; i <= HTTP_STATUSES; i++)
            add_requests(&all, s, row, i);
    }
    for (size_t row = 0; row < s->route_count; row++)
        add_duration(&all, s, row);
    stats_render(all.desc, all.n, s->route_stats, out);
    free(all.desc);
    free(all.labels);
}

// ---- the access log

static bool is_chosen(struct http_exchange *x, int status)
{
    struct http_server *s = x->server;
    int64_t n = ++s->route_stats[row_of(x)].logged_of;
    return n % s->limits.access_log_every == 0 || status >= 500;
}

static bool may_log(struct http_server *s, int64_t now_us)
{
    int64_t second = now_us / 1000000;
    if (second != s->access_log.second) {
        s->access_log.second = second;
        s->access_log.lines = 0;
    }
    if (s->access_log.lines == LOG_LINES_PER_S) {
        s->access_log.unlogged++;
        return false;
    }
    s->access_log.lines++;
    return true;
}

void http_access_log(struct http_exchange *x, int status, size_t sent_n, int64_t now_us)
{
    struct http_server *s = x->server;
    if (!is_chosen(x, status) || !may_log(s, now_us))
        return;
    size_t row = row_of(x);
    int64_t duration_us = x->state == EXCHANGE_HANDLING ? now_us - x->received_us : 0;
    log_info("request", "method", method_of(s, row), "route", path_of(s, row), "status",
             log_num(status), "bytes_in", log_num((int64_t)x->received_n), "bytes_out",
             log_num((int64_t)sent_n), "duration_us", log_num(duration_us), "peer", http_peer(x),
             "key", x->key, "unlogged", log_num(s->access_log.unlogged));
    s->access_log.unlogged = 0;
}
