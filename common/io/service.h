// SPDX-License-Identifier: Apache-2.0
// What every service does alike: settings and flags at start, limits of its HTTP server, and the
// health endpoints' answers.
#ifndef STREAMLENS_SERVICE_H
#define STREAMLENS_SERVICE_H

#include "common/core/config.h"
#include "common/io/http_server.h"

// Reads settings, answers --help, --version, --check-config and --print-config, and opens the log.
// True: run. False: end with *exit_code (a wrong setting was printed to standard error, exit 2).
// c is to be freed with config_free in either case. name: "ingest-api", as in
// streamlens-ingest-api.
bool service_configure(struct config *c, enum config_program program, const char *name, int argc,
                       char **argv, int *exit_code);

// Ends main(): logs e as the one line that says why it cannot go on. Returns the exit code 1.
int service_failed(const struct err *e);

// Makes the server with the limits that the settings give, listens, and logs address and port (also
// where HTTP_PORT was 0) and the Unix socket. NULL with the reason.
struct http_server *service_listen(const struct config *c, struct event_base *base,
                                   const struct http_route *routes, size_t route_count, void *arg,
                                   struct http_stats *stats, struct err *e);

// {"status":"healthy"}, or 503 {"status":"unhealthy","reason":"…"} where `why` is not NULL.
void service_reply_health(struct http_exchange *x, const char *why);
// Ready all the same: {"status":"healthy","degraded":"…"}.
void service_reply_degraded(struct http_exchange *x, const char *how);
// Prometheus text: the service's own metrics, then those of its HTTP server and of the process.
// own is consumed (freed).
void service_reply_metrics(struct http_exchange *x, struct buf *own, const struct http_stats *http,
                           const char *name);

#endif
