// SPDX-License-Identifier: Apache-2.0
// The settings. Ranges are wide: they stop slips (seconds for milliseconds, a minus sign), they do
// not judge taste. Tests lower many of them far below what a service would be run with.
#include "common/core/config_table.h"

#include <ctype.h>

#define ALL (PROGRAM_INGEST | PROGRAM_PROCESSOR | PROGRAM_METRICS | PROGRAM_ADMIN)
#define SERVICES (PROGRAM_INGEST | PROGRAM_PROCESSOR | PROGRAM_METRICS)
#define KAFKA (PROGRAM_INGEST | PROGRAM_PROCESSOR | PROGRAM_ADMIN)
#define POSTGRES ALL
#define APIS (PROGRAM_INGEST | PROGRAM_METRICS)
#define INGEST PROGRAM_INGEST
#define PROCESSOR PROGRAM_PROCESSOR
#define METRICS PROGRAM_METRICS
#define ADMIN PROGRAM_ADMIN

#define MIB (INT64_C(1024) * 1024)
#define HOUR_MS (INT64_C(3600) * 1000)

#define STRING(member, default_, least_, most_)                                                    \
    .type = SETTING_STRING, .offset = offsetof(struct config, member), .text = (default_),         \
    .least = (least_), .most = (most_)
#define NAME(member, default_, most_)                                                              \
    .type = SETTING_NAME, .offset = offsetof(struct config, member), .text = (default_),           \
    .most = (most_)
#define NUMBER(member, default_, least_, most_)                                                    \
    .type = SETTING_NUMBER, .offset = offsetof(struct config, member), .number = (default_),       \
    .least = (least_), .most = (most_)
#define PINNED(member, default_, least_, most_)                                                    \
    .pinned = true, NUMBER(member, default_, least_, most_)
#define CHOICE(member, default_, choices_)                                                         \
    .type = SETTING_CHOICE, .offset = offsetof(struct config, member), .text = (default_),         \
    .choices = (choices_)

// clang-format off
const struct setting config_settings[] = {
    {.name = "KAFKA_BROKERS", .section = "Connections", .programs = KAFKA,
     STRING(kafka_brokers, "localhost:19092", 1, 4096),
     .help = "Brokers to begin with, host:port, separated by commas."},
    {.name = "POSTGRES_DSN", .programs = POSTGRES,
     STRING(postgres_dsn, "postgres://streamlens@127.0.0.1:15432/streamlens", 1, 4096),
     .help = "The database, as a URL or as key=value pairs. ingest-api asks it for API keys, with "
             "AUTH=key, and for limits, with RATE_LIMITS=1."},
    {.name = "TOPIC_PREFIX", .programs = KAFKA,
     NAME(topic_prefix, "", 100),
     .help = "Put in front of the names of topics, group and transactional ids, so that two "
             "installations can share a cluster."},
    {.name = "CONSUMER_GROUP", .programs = PROCESSOR | ADMIN,
     STRING(consumer_group, "streamlens-processor", 1, 150),
     .help = "Group of the processors that share the work."},
    {.name = "GROUP_INSTANCE_ID", .programs = PROCESSOR,
     NAME(group_instance_id, "", 200),
     .help = "Name of this processor within its group; with it a restart disturbs no other. Each "
             "processor needs its own. Empty: none."},

    {.name = "HTTP_ADDR", .section = "HTTP", .programs = SERVICES,
     STRING(http_addr, "127.0.0.1", 1, 255),
     .help = "Address to listen on, numeric. In a container this must be set, to 0.0.0.0 for "
             "instance; the APIs then ask for AUTH. `none`: HTTP_SOCKET alone."},
    {.name = "HTTP_PORT", .programs = INGEST, NUMBER(http_port, 8080, 0, 65535),
     .help = "Port to listen on; 0 takes any free one and logs it."},
    {.name = "HTTP_PORT", .programs = METRICS, NUMBER(http_port, 8081, 0, 65535),
     .help = "Port to listen on; 0 takes any free one and logs it."},
    {.name = "HTTP_PORT", .programs = PROCESSOR, NUMBER(http_port, 0, 0, 65535),
     .help = "Port of health and self metrics; 0 takes any free one and logs it."},
    {.name = "HTTP_SOCKET", .programs = APIS, STRING(http_socket, "", 0, 107),
     .help = "Path of a Unix socket to listen on besides; owner and group may use it. Empty: none."},
    {.name = "HTTP_REUSEPORT", .programs = APIS, NUMBER(http_reuseport, 0, 0, 1),
     .help = "1 lets several processes share HTTP_PORT, all of which say so; the kernel spreads "
             "new connections over them."},
    {.name = "HTTP_MAX_CONNECTIONS", .programs = SERVICES,
     NUMBER(http_max_connections, 4096, 1, 1000000),
     .help = "Open connections; more are not accepted until one closes."},
    {.name = "HTTP_MAX_CONNECTIONS_PER_ADDRESS", .programs = SERVICES,
     NUMBER(http_max_connections_per_address, 1000, 0, 1000000),
     .help = "Open connections of one address, or one IPv6 /64; more are closed at once. 0: no "
             "limit, as behind a proxy."},
    {.name = "HTTP_MEMORY_BYTES", .programs = SERVICES,
     NUMBER(http_memory_bytes, 64 * MIB, MIB, 1024 * 1024 * MIB),
     .help = "What the connections hold together of requests, answers and unread input, beyond "
             "8 KiB each; who wants more is answered 503."},
    {.name = "HTTP_MAX_HEADER_BYTES", .programs = SERVICES,
     NUMBER(http_max_header_bytes, 16384, 1024, MIB),
     .help = "Request line and headers of one request together."},
    {.name = "HTTP_HEADER_TIMEOUT_MS", .programs = SERVICES,
     NUMBER(http_header_timeout_ms, 10000, 10, HOUR_MS),
     .help = "Time from a request's first byte to the end of its headers."},
    {.name = "HTTP_BODY_TIMEOUT_MS", .programs = SERVICES,
     NUMBER(http_body_timeout_ms, 30000, 10, HOUR_MS),
     .help = "Time from the end of the headers to the end of the body."},
    {.name = "HTTP_IDLE_TIMEOUT_MS", .programs = SERVICES,
     NUMBER(http_idle_timeout_ms, 75000, 10, HOUR_MS),
     .help = "A connection without a request is closed after this time."},
    {.name = "HTTP_WRITE_TIMEOUT_MS", .programs = SERVICES,
     NUMBER(http_write_timeout_ms, 30000, 10, HOUR_MS),
     .help = "Time for a client to take its answers."},
    {.name = "HTTP_DRAIN_TIMEOUT_MS", .programs = SERVICES,
     NUMBER(http_drain_timeout_ms, 10000, 0, HOUR_MS),
     .help = "After SIGTERM, requests under way get this time to end."},
    {.name = "ACCESS_LOG_EVERY", .programs = SERVICES,
     NUMBER(access_log_every, 0, 0, INT64_C(1000000000)),
     .help = "Logs every n-th request of a route, and each answer from 500 on, at most 10 lines a "
             "second in all. 0: none."},

    {.name = "AUTH", .section = "Authentication", .programs = APIS,
     CHOICE(auth, "none", "none|key|jwt|key,jwt"),
     .help = "What clients show: nothing, API keys (kept in PostgreSQL), signed JSON Web Tokens, or "
             "either. `none` is for loopback addresses."},
    {.name = "ALLOW_INSECURE", .programs = APIS, NUMBER(allow_insecure, 0, 0, 1),
     .help = "1 lets AUTH=none listen on an address that others can reach."},
    {.name = "AUTH_REFRESH_MS", .programs = APIS, NUMBER(auth_refresh_ms, 5000, 10, HOUR_MS),
     .help = "How often keys and JWT_JWKS_FILE are read anew: a revoked key works at most this "
             "much longer while PostgreSQL answers; without it the last reading holds."},
    {.name = "AUTH_FAILURES_PER_MINUTE", .programs = APIS,
     NUMBER(auth_failures_per_minute, 60, 1, 1000000),
     .help = "Refused credentials of one address; further ones are answered 429."},
    {.name = "JWT_JWKS_FILE", .programs = APIS, STRING(jwt_jwks_file, "", 0, 4096),
     .help = "JSON Web Key Set whose keys sign tokens; each key names its `kid` and `alg`. Not "
             "readable by everybody where keys are symmetric."},
    {.name = "JWT_ISSUER", .programs = APIS, STRING(jwt_issuer, "", 0, 1024),
     .help = "The `iss` that tokens must bear."},
    {.name = "JWT_AUDIENCE", .programs = APIS, STRING(jwt_audience, "", 0, 1024),
     .help = "The `aud` that tokens must bear, alone or among others."},
    {.name = "JWT_TENANT_CLAIM", .programs = APIS, STRING(jwt_tenant_claim, "tenant_id", 1, 255),
     .help = "The claim that holds the tenant."},

    {.name = "MAX_BODY_BYTES", .section = "Ingest", .programs = INGEST,
     NUMBER(max_body_bytes, 262144, 256, 16 * MIB),
     .help = "Body of one event."},
    {.name = "MAX_BATCH_BYTES", .programs = INGEST,
     NUMBER(max_batch_bytes, MIB, 256, 256 * MIB),
     .help = "Body of one batch, after decompression."},
    {.name = "MAX_BATCH_EVENTS", .programs = INGEST,
     NUMBER(max_batch_events, 10000, 1, 10000000),
     .help = "Events of one batch."},
    {.name = "ACK_TIMEOUT_MS", .programs = INGEST,
     NUMBER(ack_timeout_ms, 5000, 10, HOUR_MS),
     .help = "An event that the log has not acknowledged after this time is answered 503."},
    {.name = "LINGER_MS", .programs = INGEST,
     NUMBER(linger_ms, 2, 0, 10000),
     .help = "Time that events wait for company on their way to the broker."},
    {.name = "PRODUCE_BUFFER_BYTES", .programs = INGEST,
     NUMBER(produce_buffer_bytes, 64 * MIB, 4096, 1024 * 1024 * MIB),
     .help = "Memory for events that are not acknowledged yet; when it is full, new ones are "
             "answered 503."},
    {.name = "RATE_LIMITS", .programs = INGEST, NUMBER(rate_limits, 0, 0, 1),
     .help = "1 holds tenants to what streamlens-admin limit set allows them; what is more is "
             "answered 429. Without it, or a limit, only those of keys hold."},
    {.name = "RATE_LIMITS_REFRESH_MS", .programs = INGEST,
     NUMBER(rate_limits_refresh_ms, 5000, 10, HOUR_MS),
     .help = "How often limits are read anew; without PostgreSQL the last reading holds."},
    {.name = "INGESTS", .programs = INGEST, NUMBER(ingests, 1, 1, 1024),
     .help = "Processes that share the load evenly: each allows its part of a limit, and one event "
             "or byte a second at least."},

    {.name = "PARTITIONS", .section = "Pinned at setup", .programs = KAFKA,
     PINNED(partitions, 12, 1, 10000),
     .help = "Partitions of each of the two input topics, and so the most processors."},
    {.name = "JOIN_TTL_MS", .programs = PROCESSOR | ADMIN,
     PINNED(join_ttl_ms, 300000, 1, 24 * HOUR_MS),
     .help = "How long a request waits for its answer before it counts as unanswered."},
    {.name = "JOIN_SKEW_MS", .programs = PROCESSOR | ADMIN,
     PINNED(join_skew_ms, 60000, 0, 24 * HOUR_MS),
     .help = "How far an answer may stand before its request in the log."},
    {.name = "MAX_SERIES_PER_TENANT", .programs = PROCESSOR | ADMIN,
     PINNED(max_series_per_tenant, 10000, 1, 10000000),
     .help = "Series (route and model) of one tenant; what comes after counts under `__other__`."},

    {.name = "WINDOW_GRACE_MS", .section = "Processor", .programs = PROCESSOR,
     NUMBER(window_grace_ms, 10000, 0, 24 * HOUR_MS),
     .help = "Time after a window's end before it is closed."},
    {.name = "CLOSE_WAIT_MS", .programs = PROCESSOR,
     NUMBER(close_wait_ms, 60000, 0, 24 * HOUR_MS),
     .help = "A window that some partitions hold back is published without them after this time."},
    {.name = "FLUSH_INTERVAL_MS", .programs = PROCESSOR,
     NUMBER(flush_interval_ms, 5000, 10, HOUR_MS),
     .help = "How often changes are written to PostgreSQL."},
    {.name = "SESSION_TIMEOUT_MS", .programs = PROCESSOR,
     NUMBER(session_timeout_ms, 10000, 1000, HOUR_MS),
     .help = "A processor not heard of for this time loses its partitions to the others. Brokers "
             "refuse values outside their own range, commonly 6 s to 30 min."},
    {.name = "MAX_JOINS", .programs = PROCESSOR,
     NUMBER(max_joins, 5000000, 1, INT64_C(1000000000)),
     .help = "Requests, and answers, of one partition that wait for their other half; at this "
             "number that topic is not read, and the log says what memory they take."},
    {.name = "MAX_DELTA_CELLS", .programs = PROCESSOR,
     NUMBER(max_delta_cells, 100000, 1, INT64_C(100000000)),
     .help = "Series-minutes of one processor changed since its last flush; at this number the "
             "next one begins early."},
    {.name = "MAX_DEAD_LETTERS", .programs = PROCESSOR,
     NUMBER(max_dead_letters, 10000, 1, INT64_C(10000000)),
     .help = "Dead letters of one processor under way; at this number reading waits for them."},
    {.name = "START", .programs = PROCESSOR, CHOICE(start, "earliest", "earliest|latest"),
     .help = "Where a partition begins that was never processed before."},
    {.name = "ACCEPT_LOSS", .programs = PROCESSOR, NUMBER(accept_loss, 0, 0, 1),
     .help = "1 lets a partition go on whose log lost records before they were processed, or was "
             "truncated or recreated; without it that partition is halted. The gap is noted, and "
             "windows that may lack something are marked `lossy`."},
    {.name = "ACCEPT_CLOCK_AHEAD", .programs = PROCESSOR, NUMBER(accept_clock_ahead, 0, 0, 1),
     .help = "1 processes records that the broker has stamped more than JOIN_SKEW_MS ahead of this "
             "machine's clock; without it their partition waits."},

    {.name = "PG_POOL_SIZE", .section = "Metrics API", .programs = METRICS,
     NUMBER(pg_pool_size, 4, 1, 1000),
     .help = "Connections to PostgreSQL."},
    {.name = "PG_QUEUE_SIZE", .programs = METRICS,
     NUMBER(pg_queue_size, 1000, 1, 1000000),
     .help = "Queries that wait for a connection; more are answered 503."},
    {.name = "QUERY_TIMEOUT_MS", .programs = METRICS,
     NUMBER(query_timeout_ms, 5000, 10, HOUR_MS),
     .help = "A query that takes longer is given up."},
    {.name = "POSTGRES_READ_DSN", .programs = METRICS,
     STRING(postgres_read_dsn, "", 0, 4096),
     .help = "A database to read metrics from instead, such as a standby of POSTGRES_DSN, which is "
             "still asked for API keys and listened to. Empty: POSTGRES_DSN."},
    {.name = "ANSWER_MEMORY_BYTES", .programs = METRICS,
     NUMBER(answer_memory_bytes, 1024 * MIB, MIB, INT64_C(1) << 40),
     .help = "Memory for groups and steps that are being summed, of all questions at once; one may "
             "take a quarter of it."},
    {.name = "CACHE_BYTES", .programs = METRICS,
     NUMBER(cache_bytes, 64 * MIB, 0, INT64_C(1) << 40),
     .help = "Memory for answers that still hold: those to which no flush has changed anything, as "
             "PostgreSQL's notifications tell. 0: none are kept."},
    {.name = "FACTS_CACHE_BYTES", .programs = METRICS,
     NUMBER(facts_cache_bytes, 512 * MIB, 0, INT64_C(1) << 40),
     .help = "Memory for minutes that queries of /api/v1 have read and that still hold. 0: none are "
             "kept."},
    {.name = "CACHE_MAX_AGE_MS", .programs = METRICS,
     NUMBER(cache_max_age_ms, 10000, 1, HOUR_MS),
     .help = "No answer is older, whatever the notifications told."},
    {.name = "HTTP_GZIP_LEVEL", .programs = METRICS, NUMBER(http_gzip_level, 1, 0, 9),
     .help = "Answers from 1 KiB to 1 MiB are compressed for clients that take it: 1 is quick, 9 "
             "small, 0 never."},
    {.name = "STREAM_MAX_CLIENTS", .programs = METRICS,
     NUMBER(stream_max_clients, 2000, 1, 1000000),
     .help = "Clients of /v1/stream at once; more are answered 503."},

    {.name = "MINUTE_RETENTION_DAYS", .section = "Retention", .programs = ADMIN,
     NUMBER(minute_retention_days, 30, 1, 36500),
     .help = "streamlens-admin retention drops rows of minutes, whole days of them, once they are "
             "older. Late events need 8 days and the input topics' retention."},
    {.name = "HOUR_RETENTION_DAYS", .programs = ADMIN,
     NUMBER(hour_retention_days, 400, 1, 36500),
     .help = "The same of rows of hours, whole months of them; no less than of minutes."},

    {.name = "PRICE_DEFAULT", .section = "Prices", .programs = ADMIN,
     STRING(price_default, "", 0, 100),
     .help = "Price of models that no price list has, as input/output in USD per million tokens: "
             "10/30 is what the original charged for all. Setup writes it into the catalogue. "
             "Empty: none is written, and one that was holds until streamlens-admin price set '*' "
             "unit=none."},

    {.name = "LOG_FORMAT", .section = "Log", .programs = ALL,
     CHOICE(log_format, "text", "text|json"),
     .help = "Lines on standard error."},
    {.name = "LOG_LEVEL", .programs = ALL, CHOICE(log_level, "info", "debug|info|warn|error"),
     .help = "The least that is logged."},
};
// clang-format on

const size_t config_setting_count = ARRAY_LEN(config_settings);
_Static_assert(ARRAY_LEN(config_settings) <= SETTINGS_MAX, "SETTINGS_MAX is too small");

void setting_flag_name(const char *name, char *out, size_t cap)
{
    size_t i = 0;
    for (; name[i] && i + 1 < cap; i++)
        out[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

const char *config_program_name(enum config_program program)
{
    switch (program) {
    case PROGRAM_INGEST:
        return "streamlens-ingest-api";
    case PROGRAM_PROCESSOR:
        return "streamlens-processor";
    case PROGRAM_METRICS:
        return "streamlens-metrics-api";
    case PROGRAM_ADMIN:
        break;
    }
    return "streamlens-admin";
}

struct config_pinned config_pinned_default(void)
{
    struct config c = {0};
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        if (s->pinned)
            *(int64_t *)((char *)&c + s->offset) = s->number;
    }
    return (struct config_pinned){.partitions = c.partitions,
                                  .join_ttl_ms = c.join_ttl_ms,
                                  .join_skew_ms = c.join_skew_ms,
                                  .max_series_per_tenant = c.max_series_per_tenant};
}
