// SPDX-License-Identifier: Apache-2.0
// Settings. One table (config_table.c) gives each one's name, type, default, range, help and which
// programs read it; --help, --print-config and the reference page are generated from it. The
// environment sets them, flags (--join-ttl-ms=5000 for JOIN_TTL_MS) override, and NAME_FILE names a
// file that holds a string setting's value (secrets). KAFKA_CONF_<property with _ for .> passes
// through to librdkafka. A program sees its own settings: a member of struct config that belongs to
// others only stays NULL or 0, and their variables are ignored, so that one environment serves all
// programs.
//
// The pinned settings, which decide what a replay of the log yields, hold CONFIG_UNSET when they
// were not given: the value then comes from the database, or at setup from config_pinned_default().
#ifndef STREAMLENS_CONFIG_H
#define STREAMLENS_CONFIG_H

#include "common/core/buf.h"
#include "common/core/err.h"

enum config_program {
    PROGRAM_INGEST = 1,
    PROGRAM_PROCESSOR = 2,
    PROGRAM_METRICS = 4,
    PROGRAM_ADMIN = 8,
};

#define CONFIG_UNSET INT64_C(-1)
#define CONFIG_KAFKA_PROPS_MAX 64

struct config_kafka_prop {
    char *name, *value;
};

struct config {
    enum config_program program;
    // connections
    char *kafka_brokers, *postgres_dsn, *topic_prefix, *consumer_group, *group_instance_id;
    struct config_kafka_prop kafka_props[CONFIG_KAFKA_PROPS_MAX];
    size_t kafka_prop_count;
    // HTTP
    char *http_addr, *http_socket;
    int64_t http_port; // 0 = any free one
    int64_t http_max_connections, http_max_connections_per_address, http_memory_bytes,
        http_header_timeout_ms, http_body_timeout_ms, http_idle_timeout_ms, http_write_timeout_ms,
        http_max_header_bytes, http_drain_timeout_ms, http_reuseport, access_log_every;
    // authentication (common/io/auth.h)
    char *auth; // "none", "key", "jwt" or "key,jwt"
    int64_t auth_refresh_ms, auth_failures_per_minute, allow_insecure;
    char *jwt_jwks_file, *jwt_issuer, *jwt_audience, *jwt_tenant_claim;
    // ingest-api
    int64_t max_body_bytes, max_batch_bytes, max_batch_events, ack_timeout_ms, linger_ms,
        produce_buffer_bytes, rate_limits, rate_limits_refresh_ms, ingests;
    // pinned (CONFIG_UNSET where not given)
    int64_t partitions, join_ttl_ms, join_skew_ms, max_series_per_tenant;
    // processor
    int64_t window_grace_ms, close_wait_ms, flush_interval_ms, session_timeout_ms, max_joins,
        max_delta_cells, max_dead_letters, accept_loss, accept_clock_ahead;
    char *start; // "earliest" or "latest": where a task begins that has no position yet
    // metrics-api
    int64_t pg_pool_size, pg_queue_size, query_timeout_ms, cache_bytes, cache_max_age_ms,
        facts_cache_bytes, answer_memory_bytes, http_gzip_level, stream_max_clients;
    char *postgres_read_dsn; // "": postgres_dsn
    // retention: what streamlens-admin keeps
    int64_t minute_retention_days, hour_retention_days;
    // prices: setup writes it into the catalogue
    char *price_default; // "input/output" in USD per million tokens, or ""
    // logging
    char *log_format, *log_level; // text|json, debug|info|warn|error
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_CHECK, CONFIG_PRINT };

// Reads the environment (NAME=value strings, NULL-terminated) and argv (argv[0] skipped; stops at
// the first word that is no flag and stores its index in *rest, which may be NULL to refuse such
// words). -1 names the setting, what it holds and what is wanted. With --help or --version nothing
// else is looked at. Free with config_free in either case.
int config_load(struct config *c, enum config_program program, char *const *environ_, int argc,
                char *const *argv, int *rest, enum config_action *action, struct err *e) MUST_CHECK;
void config_free(struct config *c);

// What setup pins where nothing is given.
struct config_pinned {
    int64_t partitions, join_ttl_ms, join_skew_ms, max_series_per_tenant;
};
struct config_pinned config_pinned_default(void);
// Of their epochs a processor keeps the newest ones, at most so many.
#define SETTINGS_EPOCHS_MAX 64

void config_help(enum config_program program, struct buf *out); // --help
void config_print(const struct config *c, struct buf *out);     // NAME=value, secrets masked
void config_reference_markdown(struct buf *out);                // all programs

// What an action other than CONFIG_RUN prints on standard output before the program exits with 0.
// False, and nothing written, for CONFIG_RUN.
bool config_answer(enum config_action action, enum config_program program, const struct config *c,
                   struct buf *out) MUST_CHECK;

// "streamlens-processor" and so on.
const char *config_program_name(enum config_program program);

// The topic's full name: prefix and name. Caller frees.
char *config_topic(const struct config *c, const char *name);
// The consumer group's full name, likewise.
char *config_group(const struct config *c);
// The publisher's transactional.id, likewise.
char *config_publisher(const struct config *c);

#define TOPIC_REQUESTS "llm.requests"
#define TOPIC_RESPONSES "llm.responses"
#define TOPIC_METRICS "llm.metrics"
#define TOPIC_PROGRESS "llm.metrics.progress"
#define TOPIC_DEAD_LETTER "llm.dead_letter"

#endif
