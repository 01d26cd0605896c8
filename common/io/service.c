// SPDX-License-Identifier: Apache-2.0
#include "common/io/service.h"

#include <stdio.h>
#include <unistd.h>

#include "common/core/timeunit.h"
#include "common/io/http_server_stats.h"
#include "common/io/log.h"
#include "common/io/process_stats.h"

// ---- start and end ----

bool service_configure(struct config *c, enum config_program program, const char *name, int argc,
                       char **argv, int *exit_code)
{
    struct err e = {0};
    enum config_action action;
    *exit_code = 0;
    if (config_load(c, program, environ, argc, argv, NULL, &action, &e) < 0) {
        fprintf(stderr, "streamlens-%s: %s%s%s\n", name, e.field, e.field[0] ? ": " : "", e.detail);
        *exit_code = 2;
        return false;
    }
    struct buf out = {0};
    bool answered = config_answer(action, program, c, &out);
    if (out.n)
        fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    if (!answered)
        log_init(name, c->log_format, c->log_level);
    return !answered;
}

int service_failed(const struct err *e)
{
    if (e->field[0])
        log_error("cannot go on", "setting", e->field, "error", e->detail);
    else
        log_error("cannot go on", "error", e->detail);
    return 1;
}

// ---- HTTP ----

#define MAX_TARGET_BYTES 8192
#define PIPELINE_DEPTH 64

static struct http_limits limits_of(const struct config *c)
{
    return (struct http_limits){
        .max_connections = (size_t)c->http_max_connections,
        .max_connections_per_address = (size_t)c->http_max_connections_per_address,
        .max_header_bytes = (size_t)c->http_max_header_bytes,
        .max_target_bytes = MAX_TARGET_BYTES,
        .max_memory_bytes = (size_t)c->http_memory_bytes,
        .pipeline_depth = PIPELINE_DEPTH,
        .header_timeout_us = c->http_header_timeout_ms * US_PER_MS,
        .body_timeout_us = c->http_body_timeout_ms * US_PER_MS,
        .idle_timeout_us = c->http_idle_timeout_ms * US_PER_MS,
        .write_timeout_us = c->http_write_timeout_ms * US_PER_MS,
        .access_log_every = c->access_log_every,
        .reuse_port = c->http_reuseport != 0,
    };
}

static int listen_tcp(struct http_server *s, const struct config *c, struct err *e)
{
    int port = http_server_listen(s, c->http_addr, (int)c->http_port, e);
    if (port < 0) {
        struct err why = *e;
        return err_field(e, "HTTP_PORT", -1, "%s", why.detail);
    }
    log_info("listening", "addr", c->http_addr, "port", log_num(port));
    return 0;
}

static int listen_unix(struct http_server *s, const struct config *c, struct err *e)
{
    if (http_server_listen_unix(s, c->http_socket, e) != 0) {
        struct err why = *e;
        return err_field(e, "HTTP_SOCKET", -1, "%s", why.detail);
    }
    log_info("listening", "socket", c->http_socket);
    return 0;
}

struct http_server *service_listen(const struct config *c, struct event_base *base,
                                   const struct http_route *routes, size_t route_count, void *arg,
                                   struct http_stats *stats, struct err *e)
{
    struct http_limits limits = limits_of(c);
    struct http_server *s = http_server_new(base, &limits, routes, route_count, arg, stats);
    bool tcp = strcmp(c->http_addr, "none") != 0;
    bool local = c->http_socket && *c->http_socket;
    if ((tcp && listen_tcp(s, c, e) != 0) || (local && listen_unix(s, c, e) != 0)) {
        http_server_free(s);
        return NULL;
    }
    return s;
}

// {"status":…}, and where `text` is not NULL one more member that says it.
static void reply_status(struct http_exchange *x, int code, const char *status, const char *name,
                         const char *text)
{
    struct buf body = {0};
    buf_addf(&body, "{\"status\":\"%s\"", status);
    if (text) {
        buf_addf(&body, ",\"%s\":", name);
        buf_add_json_str(&body, str_of(text));
    }
    buf_addc(&body, '}');
    http_reply(x, code, "application/json", body.p, body.n);
    buf_free(&body);
}

void service_reply_health(struct http_exchange *x, const char *why)
{
    if (why)
        reply_status(x, 503, "unhealthy", "reason", why);
    else
        reply_status(x, 200, "healthy", NULL, NULL);
}

void service_reply_degraded(struct http_exchange *x, const char *how)
{
    reply_status(x, 200, "healthy", "degraded", how);
}

void service_reply_metrics(struct http_exchange *x, struct buf *own, const struct http_stats *http,
                           const char *name)
{
    http_stats_render(http, own);
    http_render_routes(x, own);
    process_stats_render(name, own);
    http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", own->p, own->n);
    buf_free(own);
}
