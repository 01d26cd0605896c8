// SPDX-License-Identifier: Apache-2.0
// HTTP to repo and back: what each endpoint takes and answers, and the life of a request that waits
// for the database.
#ifndef STREAMLENS_METRICS_ROUTES_H
#define STREAMLENS_METRICS_ROUTES_H

#include "common/io/auth.h"
#include "common/io/auth_stats.h"
#include "common/io/http_server.h"
#include "common/io/http_server_stats.h"
#include "common/io/pg_async_stats.h"
#include "common/io/pg_listen_stats.h"
#include "metrics-api/metrics_stats.h"
#include "metrics-api/prometheus/api.h"
#include "metrics-api/repo.h"
#include "metrics-api/serve.h"
#include "metrics-api/stream.h"

// The table's arg is a struct routes, made by main.c and outliving the server.
struct routes {
    struct repo *repo;           // borrowed
    struct serve *serve;         // borrowed
    struct stream_hub *stream;   // borrowed
    struct prom_api *prometheus; // borrowed
    struct auth *auth;           // borrowed
    bool compresses;             // where clients take it
    bool draining;
    struct metrics_stats stats;
    struct http_stats http_stats;
    struct pg_stats pg_stats;
    struct pg_listen_stats listen_stats;
    struct auth_stats auth_stats;
};

// Whether questions can be answered, as /readyz has it; false says why not.
bool routes_ready(const struct routes *rt, struct err *why);

extern const struct http_route routes_table[];
extern const size_t routes_count;

#endif
