// SPDX-License-Identifier: Apache-2.0
#include "common/core/config.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

// ---- helpers
// --------------------------------------------------------------------------------------

#define ENV(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define ARGS(...) ((const char *const[]){"program" __VA_OPT__(, ) __VA_ARGS__, NULL})

static struct config config;
static struct err error;
static enum config_action action;

#define WORDS_MAX (CONFIG_KAFKA_PROPS_MAX + 2)

// As main() has them: the words are not ours to change, but their type says so nowhere.
static int copy_words(const char *const *words, char **out)
{
    int n = 0;
    while (words[n])
        n++;
    ck_assert_int_lt(n, WORDS_MAX);
    memcpy(out, words, ((size_t)n + 1) * sizeof(out[0]));
    return n;
}

static int load_rest(enum config_program program, const char *const *env, const char *const *args,
                     int *rest)
{
    char *environment[WORDS_MAX], *words[WORDS_MAX];
    copy_words(env, environment);
    int n = copy_words(args, words);
    config_free(&config);
    error = (struct err){.field = "", .detail = ""};
    return config_load(&config, program, environment, n, words, rest, &action, &error);
}

static int load(enum config_program program, const char *const *env, const char *const *args)
{
    return load_rest(program, env, args, NULL);
}

static void accept(enum config_program program, const char *const *env, const char *const *args)
{
    int rc = load(program, env, args);
    ck_assert_msg(rc == 0, "%s: %s", error.field, error.detail);
}

// The message names the setting and holds the text given.
static void refuse(enum config_program program, const char *const *env, const char *const *args,
                   const char *field, const char *text)
{
    ck_assert_int_eq(load(program, env, args), -1);
    ck_assert_str_eq(error.field, field);
    ck_assert_msg(strstr(error.detail, text), "no \"%s\" in \"%s\"", text, error.detail);
}

static char *printed(void)
{
    struct buf b = {0};
    config_print(&config, &b);
    return buf_steal(&b);
}

static void expect_printed(const char *line)
{
    char *text = printed();
    ck_assert_msg(strstr(text, line), "no %s in\n%s", line, text);
    free(text);
}

// A file with the text; its name lives until the next call.
static const char *file_with(const void *text, size_t n)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/test_config.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
    close(fd);
    return path;
}

static char *variable(const char *name, const char *value)
{
    static char text[2][256];
    static int next;
    char *out = text[next++ % 2];
    snprintf(out, sizeof(text[0]), "%s=%s", name, value);
    return out;
}

// ---- defaults
// -------------------------------------------------------------------------------------

START_TEST(defaults_hold_where_nothing_is_given)
{
    accept(PROGRAM_PROCESSOR, ENV(), ARGS());
    ck_assert_int_eq(action, CONFIG_RUN);
    ck_assert_str_eq(config.kafka_brokers, "localhost:19092");
    ck_assert_str_eq(config.consumer_group, "streamlens-processor");
    ck_assert_str_eq(config.topic_prefix, "");
    ck_assert_str_eq(config.http_addr, "127.0.0.1");
    ck_assert_int_eq(config.flush_interval_ms, 5000);
    ck_assert_str_eq(config.start, "earliest");
    ck_assert_str_eq(config.log_format, "text");
}
END_TEST

START_TEST(the_port_defaults_by_program)
{
    accept(PROGRAM_INGEST, ENV(), ARGS());
    ck_assert_int_eq(config.http_port, 8080);
    accept(PROGRAM_METRICS, ENV(), ARGS());
    ck_assert_int_eq(config.http_port, 8081);
    accept(PROGRAM_PROCESSOR, ENV(), ARGS());
    ck_assert_int_eq(config.http_port, 0);
    accept(PROGRAM_PROCESSOR, ENV("HTTP_PORT=8082"), ARGS());
    ck_assert_int_eq(config.http_port, 8082);
}
END_TEST

START_TEST(pinned_settings_are_unset_unless_given)
{
    accept(PROGRAM_ADMIN, ENV("PARTITIONS="), ARGS());
    ck_assert_int_eq(config.partitions, CONFIG_UNSET);
    ck_assert_int_eq(config.join_ttl_ms, CONFIG_UNSET);
    ck_assert_int_eq(config.join_skew_ms, CONFIG_UNSET);
    ck_assert_int_eq(config.max_series_per_tenant, CONFIG_UNSET);
    accept(PROGRAM_ADMIN, ENV("PARTITIONS=6", "JOIN_TTL_MS=300000"), ARGS("--join-skew-ms=0"));
    ck_assert_int_eq(config.partitions, 6);
    ck_assert_int_eq(config.join_ttl_ms, 300000);
    ck_assert_int_eq(config.join_skew_ms, 0);
    struct config_pinned pinned = config_pinned_default();
    ck_assert_int_eq(pinned.partitions, 12);
    ck_assert_int_eq(pinned.join_ttl_ms, 300000);
    ck_assert_int_eq(pinned.join_skew_ms, 60000);
    ck_assert_int_eq(pinned.max_series_per_tenant, 10000);
}
END_TEST

// ---- sources
// --------------------------------------------------------------------------------------

START_TEST(a_flag_overrides_a_variable_and_a_later_flag_an_earlier)
{
    accept(PROGRAM_PROCESSOR, ENV("FLUSH_INTERVAL_MS=100"), ARGS("--flush-interval-ms=200"));
    ck_assert_int_eq(config.flush_interval_ms, 200);
    accept(PROGRAM_PROCESSOR, ENV(), ARGS("--start=latest", "--start=earliest"));
    ck_assert_str_eq(config.start, "earliest");
}
END_TEST

START_TEST(an_empty_variable_counts_as_not_set)
{
    accept(PROGRAM_PROCESSOR,
           ENV("FLUSH_INTERVAL_MS=", "POSTGRES_DSN=", "POSTGRES_DSN_FILE=", "KAFKA_CONF_ACKS="),
           ARGS());
    ck_assert_int_eq(config.flush_interval_ms, 5000);
    ck_assert_str_eq(config.postgres_dsn, "postgres://streamlens@127.0.0.1:15432/streamlens");
    ck_assert_uint_eq(config.kafka_prop_count, 0);
}
END_TEST

START_TEST(settings_of_other_programs_are_left_alone)
{
    // One environment serves all programs, so even a wrong value of another's is no error here.
    accept(PROGRAM_METRICS, ENV("JOIN_TTL_MS=abc", "KAFKA_BROKERS=k:1", "KAFKA_CONF_X=1"), ARGS());
    ck_assert_ptr_null(config.kafka_brokers);
    ck_assert_uint_eq(config.kafka_prop_count, 0);
    refuse(PROGRAM_METRICS, ENV(), ARGS("--join-ttl-ms=5"), "", "another program");
}
END_TEST

START_TEST(a_file_gives_a_text_without_its_line_end)
{
    const char *path = file_with("host=h password=x\r\n\n", 20);
    accept(PROGRAM_METRICS, ENV(variable("POSTGRES_DSN_FILE", path)), ARGS());
    ck_assert_str_eq(config.postgres_dsn, "host=h password=x");
    char flag[128];
    snprintf(flag, sizeof(flag), "--postgres-dsn-file=%s", path);
    accept(PROGRAM_METRICS, ENV("POSTGRES_DSN=host=other"), ARGS(flag)); // flags override
    ck_assert_str_eq(config.postgres_dsn, "host=h password=x");
    unlink(path);
}
END_TEST

START_TEST(a_value_and_its_file_together_are_refused)
{
    refuse(PROGRAM_METRICS, ENV("POSTGRES_DSN=host=h", "POSTGRES_DSN_FILE=/x"), ARGS(),
           "POSTGRES_DSN", "POSTGRES_DSN_FILE");
    refuse(PROGRAM_METRICS, ENV(), ARGS("--postgres-dsn=a", "--postgres-dsn-file=b"),
           "POSTGRES_DSN", "POSTGRES_DSN_FILE");
}
END_TEST

START_TEST(a_file_that_cannot_be_used_is_named)
{
    refuse(PROGRAM_METRICS, ENV("POSTGRES_DSN_FILE=/nonexistent/dsn"), ARGS(), "POSTGRES_DSN",
           "/nonexistent/dsn: No such file");
    refuse(PROGRAM_METRICS, ENV("POSTGRES_DSN_FILE=/"), ARGS(), "POSTGRES_DSN", "directory");
    const char *path = file_with("a\0b", 3);
    refuse(PROGRAM_METRICS, ENV(variable("POSTGRES_DSN_FILE", path)), ARGS(), "POSTGRES_DSN",
           "NUL");
    unlink(path);
    char *large = xcalloc(1, 65537);
    memset(large, 'x', 65537);
    path = file_with(large, 65537);
    refuse(PROGRAM_METRICS, ENV(variable("POSTGRES_DSN_FILE", path)), ARGS(), "POSTGRES_DSN",
           "64 KiB");
    unlink(path);
    free(large);
}
END_TEST

START_TEST(numbers_and_choices_take_no_file)
{
    accept(PROGRAM_INGEST, ENV("HTTP_PORT_FILE=/nonexistent"), ARGS()); // not ours: ignored
    refuse(PROGRAM_INGEST, ENV(), ARGS("--http-port-file=x"), "", "unknown flag --http-port-file");
}
END_TEST

// ---- values
// ---------------------------------------------------------------------------------------

static const char *const bad_numbers[] = {
    "abc",  "1x", " 5",      "+5",    "5 ",
    "0x10", "-1", "3600001", "9",     "99999999999999999999",
    "1.5",  "-",  "1e3",     "\t100", "-99999999999999999999"};

START_TEST(a_bad_number_is_refused_with_its_value_and_range)
{
    refuse(PROGRAM_PROCESSOR, ENV(variable("FLUSH_INTERVAL_MS", bad_numbers[_i])), ARGS(),
           "FLUSH_INTERVAL_MS", "from 10 to 3600000");
    ck_assert_ptr_nonnull(strstr(error.detail, bad_numbers[_i]));
}
END_TEST

START_TEST(the_bounds_of_a_range_are_allowed)
{
    accept(PROGRAM_PROCESSOR, ENV("FLUSH_INTERVAL_MS=10"), ARGS());
    ck_assert_int_eq(config.flush_interval_ms, 10);
    accept(PROGRAM_PROCESSOR, ENV("FLUSH_INTERVAL_MS=3600000"), ARGS());
    ck_assert_int_eq(config.flush_interval_ms, 3600000);
    refuse(PROGRAM_INGEST, ENV(), ARGS("--http-port=65536"), "HTTP_PORT", "65535");
    refuse(PROGRAM_INGEST, ENV(), ARGS("--http-port="), "HTTP_PORT", "whole number");
}
END_TEST

START_TEST(a_choice_is_one_of_its_words)
{
    accept(PROGRAM_PROCESSOR, ENV("LOG_LEVEL=warn", "LOG_FORMAT=json", "START=latest"), ARGS());
    ck_assert_str_eq(config.log_level, "warn");
    ck_assert_str_eq(config.log_format, "json");
    ck_assert_str_eq(config.start, "latest");
    static const char *const bad[] = {"wa", "warning", "WARN", "|", "debug|info", "info|"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refuse(PROGRAM_PROCESSOR, ENV(variable("LOG_LEVEL", bad[i])), ARGS(), "LOG_LEVEL",
               "debug|info|warn|error");
}
END_TEST

START_TEST(names_that_kafka_would_refuse_are_refused)
{
    accept(PROGRAM_PROCESSOR, ENV("TOPIC_PREFIX=a-Z.9_", "GROUP_INSTANCE_ID=p-1"), ARGS());
    refuse(PROGRAM_PROCESSOR, ENV("TOPIC_PREFIX=a/b"), ARGS(), "TOPIC_PREFIX", "letters");
    refuse(PROGRAM_PROCESSOR, ENV("GROUP_INSTANCE_ID=a b"), ARGS(), "GROUP_INSTANCE_ID", "letters");
    char prefix[128];
    memset(prefix, 'a', sizeof(prefix));
    prefix[101] = '\0';
    refuse(PROGRAM_PROCESSOR, ENV(variable("TOPIC_PREFIX", prefix)), ARGS(), "TOPIC_PREFIX", "100");
    refuse(PROGRAM_PROCESSOR, ENV("CONSUMER_GROUP=a\nb"), ARGS(), "CONSUMER_GROUP", "control");
}
END_TEST

START_TEST(a_required_text_cannot_be_emptied_by_a_flag)
{
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--kafka-brokers="), "KAFKA_BROKERS", "1 to 4096");
    accept(PROGRAM_PROCESSOR, ENV("TOPIC_PREFIX=x"), ARGS("--topic-prefix="));
    ck_assert_str_eq(config.topic_prefix, "");
}
END_TEST

START_TEST(a_batch_larger_than_the_produce_buffer_is_refused)
{
    refuse(PROGRAM_INGEST, ENV("PRODUCE_BUFFER_BYTES=1048575"), ARGS(), "PRODUCE_BUFFER_BYTES",
           "1048576");
    accept(PROGRAM_INGEST, ENV("PRODUCE_BUFFER_BYTES=262144", "MAX_BATCH_BYTES=1024"), ARGS());
}
END_TEST

START_TEST(without_authentication_only_loopback_is_listened_on)
{
    static const enum config_program apis[] = {PROGRAM_INGEST, PROGRAM_METRICS};
    static const char *const loopback[] = {"127.0.0.1", "127.9.8.7", "::1", "localhost"};
    static const char *const open[] = {"0.0.0.0",   "::",       "192.0.2.1",
                                       "128.0.0.1", "12.7.0.1", "::2"};
    char addr[64];
    for (size_t p = 0; p < ARRAY_LEN(apis); p++) {
        for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
            snprintf(addr, sizeof(addr), "HTTP_ADDR=%s", loopback[i]);
            accept(apis[p], ENV(addr), ARGS());
        }
        for (size_t i = 0; i < ARRAY_LEN(open); i++) {
            snprintf(addr, sizeof(addr), "HTTP_ADDR=%s", open[i]);
            refuse(apis[p], ENV(addr), ARGS(), "AUTH", addr);
            refuse(apis[p], ENV(addr), ARGS("--check-config"), "AUTH", "ALLOW_INSECURE=1");
            accept(apis[p], ENV(addr, "ALLOW_INSECURE=1"), ARGS());
            accept(apis[p], ENV(addr, "AUTH=key"), ARGS());
            accept(PROGRAM_PROCESSOR, ENV(addr), ARGS()); // it shows itself alone
        }
    }
}
END_TEST

START_TEST(no_tcp_wants_a_socket_and_is_as_private_as_loopback)
{
    accept(PROGRAM_INGEST, ENV("HTTP_ADDR=none", "HTTP_SOCKET=/run/a"), ARGS());
    accept(PROGRAM_METRICS, ENV("HTTP_ADDR=none", "HTTP_SOCKET=/run/a", "AUTH=none"), ARGS());
    refuse(PROGRAM_INGEST, ENV("HTTP_ADDR=none"), ARGS(), "HTTP_SOCKET", "HTTP_ADDR=none");
    refuse(PROGRAM_METRICS, ENV("HTTP_ADDR=none", "HTTP_SOCKET="), ARGS(), "HTTP_SOCKET",
           "not set");
    refuse(PROGRAM_PROCESSOR, ENV("HTTP_ADDR=none", "HTTP_SOCKET=/run/a"), ARGS(), "HTTP_ADDR",
           "none");
    refuse(PROGRAM_INGEST, ENV("HTTP_ADDR=0.0.0.0", "HTTP_SOCKET=/run/a"), ARGS(), "AUTH",
           "HTTP_ADDR=0.0.0.0");
}
END_TEST

START_TEST(the_memory_for_http_has_room_for_the_largest_request)
{
    refuse(PROGRAM_INGEST, ENV("HTTP_MEMORY_BYTES=1048576"), ARGS(), "HTTP_MEMORY_BYTES",
           "1064960");
    accept(PROGRAM_INGEST, ENV("HTTP_MEMORY_BYTES=1064960"), ARGS());
    accept(PROGRAM_METRICS, ENV("HTTP_MEMORY_BYTES=1048576"), ARGS());
}
END_TEST

START_TEST(tokens_need_keys_issuer_and_audience)
{
    static const char *const modes[] = {"AUTH=jwt", "AUTH=key,jwt"};
    static const char file[] = "JWT_JWKS_FILE=/k", issuer[] = "JWT_ISSUER=i",
                      audience[] = "JWT_AUDIENCE=a";
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const char *mode = modes[i];
        accept(PROGRAM_INGEST, ENV(mode, file, issuer, audience), ARGS());
        refuse(PROGRAM_INGEST, ENV(mode, issuer, audience), ARGS(), "JWT_JWKS_FILE", mode);
        refuse(PROGRAM_METRICS, ENV(mode, file, audience), ARGS(), "JWT_ISSUER", mode);
        refuse(PROGRAM_METRICS, ENV(mode, file, issuer), ARGS(), "JWT_AUDIENCE", mode);
    }
    accept(PROGRAM_INGEST, ENV("AUTH=key"), ARGS());
}
END_TEST

START_TEST(the_value_of_a_dsn_is_never_in_an_error)
{
    ck_assert_int_eq(load(PROGRAM_METRICS, ENV("POSTGRES_DSN=password=hunter2\x01"), ARGS()), -1);
    ck_assert_str_eq(error.field, "POSTGRES_DSN");
    ck_assert_ptr_null(strstr(error.detail, "hunter2"));
}
END_TEST

// ---- command line
// ---------------------------------------------------------------------------------

START_TEST(an_unknown_flag_is_refused_by_name_with_the_nearest)
{
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--join-tll-ms=5"), "", "--join-tll-ms; did you mean");
    ck_assert_ptr_nonnull(strstr(error.detail, "--join-ttl-ms?"));
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--frobnicate=5"), "", "unknown flag --frobnicate");
    ck_assert_ptr_null(strstr(error.detail, "did you mean"));
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("-x"), "", "unknown flag -x");
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--join_ttl_ms=5"), "", "--join-ttl-ms?");
    char flag[300] = "--";
    memset(flag + 2, 'a', sizeof(flag) - 3);
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS(flag), "", "unknown flag --aaaa");
}
END_TEST

START_TEST(a_flag_without_a_value_says_so)
{
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--start"), "", "--start=");
}
END_TEST

START_TEST(words_that_are_no_flags_are_refused_or_handed_back)
{
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("setup"), "", "unexpected argument \"setup\"");
    refuse(PROGRAM_PROCESSOR, ENV(), ARGS("--", "--start=latest"), "", "--start=latest");
    static const struct {
        const char *args[5];
        int rest;
    } cases[] = {
        {{"program", "--partitions=3", "setup", "--wrong"}, 2},
        {{"program"}, 1},
        {{"program", "--", "-x"}, 2},
        {{"program", "-"}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rest = -1;
        ck_assert_int_eq(load_rest(PROGRAM_ADMIN, ENV(), cases[i].args, &rest), 0);
        ck_assert_int_eq(rest, cases[i].rest);
    }
}
END_TEST

START_TEST(help_and_version_answer_however_wrong_the_rest_is)
{
    accept(PROGRAM_INGEST, ENV("HTTP_PORT=abc"), ARGS("--help", "--nonsense"));
    ck_assert_int_eq(action, CONFIG_HELP);
    accept(PROGRAM_INGEST, ENV("HTTP_PORT=abc"), ARGS("--version"));
    ck_assert_int_eq(action, CONFIG_VERSION);
    struct buf out = {0};
    ck_assert(config_answer(action, PROGRAM_INGEST, &config, &out));
    char *text = buf_steal(&out);
    ck_assert_ptr_eq(strstr(text, "streamlens-ingest-api "), text);
    free(text);
}
END_TEST

START_TEST(check_and_print_read_everything_first)
{
    refuse(PROGRAM_INGEST, ENV("HTTP_PORT=abc"), ARGS("--check-config"), "HTTP_PORT", "abc");
    accept(PROGRAM_INGEST, ENV(), ARGS("--check-config"));
    ck_assert_int_eq(action, CONFIG_CHECK);
    accept(PROGRAM_INGEST, ENV(), ARGS("--print-config", "--http-port=1"));
    ck_assert_int_eq(action, CONFIG_PRINT);
    struct buf out = {0};
    ck_assert(config_answer(action, PROGRAM_INGEST, &config, &out));
    char *text = buf_steal(&out);
    ck_assert_ptr_nonnull(strstr(text, "\nHTTP_PORT=1\n"));
    free(text);
    ck_assert(!config_answer(CONFIG_RUN, PROGRAM_INGEST, &config, &out));
    ck_assert_uint_eq(out.n, 0);
}
END_TEST

START_TEST(help_lists_what_the_program_reads_and_nothing_else)
{
    struct buf out = {0};
    config_help(PROGRAM_METRICS, &out);
    char *text = buf_steal(&out);
    ck_assert_ptr_nonnull(strstr(text, "--pg-pool-size=N  (1 to 1000, default 4)"));
    ck_assert_ptr_nonnull(strstr(text, "default 8081"));
    ck_assert_ptr_null(strstr(text, "--linger-ms"));
    ck_assert_ptr_null(strstr(text, "default 8080"));
    free(text);
}
END_TEST

// ---- librdkafka's properties
// ----------------------------------------------------------------------

START_TEST(kafka_properties_pass_through)
{
    const char *path = file_with("s3cret\n", 7);
    accept(PROGRAM_INGEST,
           ENV("KAFKA_CONF_SECURITY_PROTOCOL=sasl_ssl", "KAFKA_CONF_linger_ms=7",
               variable("KAFKA_CONF_SASL_PASSWORD_FILE", path)),
           ARGS());
    unlink(path);
    ck_assert_uint_eq(config.kafka_prop_count, 3);
    ck_assert_str_eq(config.kafka_props[0].name, "security.protocol");
    ck_assert_str_eq(config.kafka_props[0].value, "sasl_ssl");
    ck_assert_str_eq(config.kafka_props[1].name, "linger.ms");
    ck_assert_str_eq(config.kafka_props[2].name, "sasl.password");
    ck_assert_str_eq(config.kafka_props[2].value, "s3cret");
}
END_TEST

START_TEST(a_kafka_property_is_given_once)
{
    refuse(PROGRAM_INGEST, ENV("KAFKA_CONF_LINGER_MS=1", "KAFKA_CONF_linger_ms=2"), ARGS(),
           "KAFKA_CONF_linger_ms", "twice");
    refuse(PROGRAM_INGEST, ENV("KAFKA_CONF_=1"), ARGS(), "KAFKA_CONF_", "name");
    refuse(PROGRAM_INGEST, ENV("KAFKA_CONF_SSL_KEY_PEM_FILE=/nonexistent/key.pem"), ARGS(),
           "KAFKA_CONF_SSL_KEY_PEM_FILE", "No such file");
}
END_TEST

START_TEST(kafka_properties_are_bounded)
{
    char text[CONFIG_KAFKA_PROPS_MAX + 1][32];
    const char *env[CONFIG_KAFKA_PROPS_MAX + 2] = {NULL};
    for (int i = 0; i <= CONFIG_KAFKA_PROPS_MAX; i++) {
        snprintf(text[i], sizeof(text[i]), "KAFKA_CONF_P%d=x", i);
        env[i] = text[i];
    }
    refuse(PROGRAM_INGEST, env, ARGS(), "KAFKA_CONF_P64", "more than 64");
    env[CONFIG_KAFKA_PROPS_MAX] = NULL;
    accept(PROGRAM_INGEST, env, ARGS());
}
END_TEST

// ---- --print-config
// -------------------------------------------------------------------------------

static const struct {
    const char *dsn, *shown;
} dsns[] = {
    {"postgres://u@h/d", "postgres://u@h/d"},
    {"postgres://u:secret@h:5/d?sslmode=require", "postgres://u:****@h:5/d?sslmode=require"},
    {"postgresql://u:sec@ret@h/d", "postgresql://u:****@h/d"},
    {"postgresql://u:s/e?cret@h/d", "postgresql://u:****@h/d"},
    {"postgresql://:secret@h/d", "postgresql://:****@h/d"},
    {"postgresql://h/d?user=u&password=secret", "postgresql://h/d?user=u&password=****"},
    {"postgresql:///d?password=secret&x=a:b@c", "postgresql:///d?password=****&x=a:b@c"},
    {"postgresql://h/d?PassWord=secret&x=1", "postgresql://h/d?PassWord=****&x=1"},
    {"postgresql://h/d?passw%6frd=secret", "postgresql://h/d?passw%6frd=****"},
    {"postgresql://h:5432/d", "postgresql://h:5432/d"},
    {"postgresql://h/d?sslpassword=secret", "postgresql://h/d?sslpassword=****"},
    {"host=h password=secret dbname=d", "host=h password=**** dbname=d"},
    {"password = 'sec ret' host=h", "password = **** host=h"},
    {"password='it\\'s secret' host=h", "password=**** host=h"},
    {"password=sec\\ ret host=h", "password=**** host=h"},
    {"sslpassword=secret", "sslpassword=****"},
    {"password='secret", "password=****"},
    {"host=h secret", "host=h****"},
    {"host=h password", "host=h****"},
    {"secret", "****"},
    {"host=h password=", "host=h password=****"},
    {"passfile=/etc/pass host=h", "passfile=/etc/pass host=h"},
};

START_TEST(the_password_of_a_dsn_is_masked)
{
    accept(PROGRAM_METRICS, ENV(variable("POSTGRES_DSN", dsns[_i].dsn)), ARGS());
    char line[256];
    snprintf(line, sizeof(line), "POSTGRES_DSN=%s\n", dsns[_i].shown);
    expect_printed(line);
    char *text = printed();
    ck_assert_ptr_null(strstr(text, "secret"));
    free(text);
}
END_TEST

START_TEST(secret_kafka_properties_are_masked)
{
    accept(PROGRAM_INGEST,
           ENV("KAFKA_CONF_SASL_PASSWORD=hunter2",
               "KAFKA_CONF_SASL_OAUTHBEARER_CLIENT_SECRET=hunter2",
               "KAFKA_CONF_SSL_KEY_PEM=hunter2", "KAFKA_CONF_SASL_OAUTHBEARER_CONFIG=hunter2",
               "KAFKA_CONF_SASL_USERNAME=joe", "KAFKA_CONF_SSL_CA_PEM=a\nb"),
           ARGS());
    expect_printed("KAFKA_CONF_SASL_PASSWORD=****\n");
    expect_printed("KAFKA_CONF_SASL_OAUTHBEARER_CLIENT_SECRET=****\n");
    expect_printed("KAFKA_CONF_SSL_KEY_PEM=****\n");
    expect_printed("KAFKA_CONF_SASL_USERNAME=joe\n");
    expect_printed("KAFKA_CONF_SSL_CA_PEM=a\\x0ab\n"); // one line each
    char *text = printed();
    ck_assert_ptr_null(strstr(text, "hunter2"));
    free(text);
}
END_TEST

START_TEST(an_unset_pinned_setting_prints_empty_and_so_reads_as_unset)
{
    accept(PROGRAM_PROCESSOR, ENV("JOIN_SKEW_MS=0"), ARGS());
    expect_printed("\nJOIN_TTL_MS=\n");
    expect_printed("\nJOIN_SKEW_MS=0\n");
}
END_TEST

// ---- names
// ----------------------------------------------------------------------------------------

START_TEST(the_prefix_is_part_of_topics_group_and_ids)
{
    accept(PROGRAM_PROCESSOR, ENV("TOPIC_PREFIX=a.", "CONSUMER_GROUP=g"), ARGS());
    char *topic = config_topic(&config, TOPIC_REQUESTS), *group = config_group(&config),
         *publisher = config_publisher(&config);
    ck_assert_str_eq(topic, "a.llm.requests");
    ck_assert_str_eq(group, "a.g");
    ck_assert_str_eq(publisher, "a.streamlens-publisher");
    free(topic);
    free(group);
    free(publisher);
    accept(PROGRAM_PROCESSOR, ENV(), ARGS());
    topic = config_topic(&config, TOPIC_RESPONSES);
    group = config_group(&config);
    ck_assert_str_eq(topic, "llm.responses");
    ck_assert_str_eq(group, "streamlens-processor");
    free(topic);
    free(group);
}
END_TEST

START_TEST(free_is_safe_twice_and_after_a_failure)
{
    ck_assert_int_eq(load(PROGRAM_PROCESSOR, ENV("MAX_JOINS=x", "KAFKA_CONF_A=1"), ARGS()), -1);
    config_free(&config);
    config_free(&config);
    ck_assert_ptr_null(config.kafka_brokers);
}
END_TEST

static void add_reading(Suite *suite)
{
    TCase *tc = tcase_create("reading");
    tcase_add_test(tc, defaults_hold_where_nothing_is_given);
    tcase_add_test(tc, the_port_defaults_by_program);
    tcase_add_test(tc, pinned_settings_are_unset_unless_given);
    tcase_add_test(tc, a_flag_overrides_a_variable_and_a_later_flag_an_earlier);
    tcase_add_test(tc, an_empty_variable_counts_as_not_set);
    tcase_add_test(tc, settings_of_other_programs_are_left_alone);
    tcase_add_test(tc, a_file_gives_a_text_without_its_line_end);
    tcase_add_test(tc, a_value_and_its_file_together_are_refused);
    tcase_add_test(tc, a_file_that_cannot_be_used_is_named);
    tcase_add_test(tc, numbers_and_choices_take_no_file);
    tcase_add_loop_test(tc, a_bad_number_is_refused_with_its_value_and_range, 0,
                        ARRAY_LEN(bad_numbers));
    tcase_add_test(tc, the_bounds_of_a_range_are_allowed);
    tcase_add_test(tc, a_choice_is_one_of_its_words);
    tcase_add_test(tc, names_that_kafka_would_refuse_are_refused);
    tcase_add_test(tc, a_required_text_cannot_be_emptied_by_a_flag);
    tcase_add_test(tc, a_batch_larger_than_the_produce_buffer_is_refused);
    tcase_add_test(tc, without_authentication_only_loopback_is_listened_on);
    tcase_add_test(tc, no_tcp_wants_a_socket_and_is_as_private_as_loopback);
    tcase_add_test(tc, the_memory_for_http_has_room_for_the_largest_request);
    tcase_add_test(tc, tokens_need_keys_issuer_and_audience);
    tcase_add_test(tc, the_value_of_a_dsn_is_never_in_an_error);
    tcase_add_test(tc, kafka_properties_pass_through);
    tcase_add_test(tc, a_kafka_property_is_given_once);
    tcase_add_test(tc, kafka_properties_are_bounded);
    tcase_add_test(tc, free_is_safe_twice_and_after_a_failure);
    suite_add_tcase(suite, tc);
}

static void add_command_line(Suite *suite)
{
    TCase *tc = tcase_create("command line");
    tcase_add_test(tc, an_unknown_flag_is_refused_by_name_with_the_nearest);
    tcase_add_test(tc, a_flag_without_a_value_says_so);
    tcase_add_test(tc, words_that_are_no_flags_are_refused_or_handed_back);
    tcase_add_test(tc, help_and_version_answer_however_wrong_the_rest_is);
    tcase_add_test(tc, check_and_print_read_everything_first);
    tcase_add_test(tc, help_lists_what_the_program_reads_and_nothing_else);
    suite_add_tcase(suite, tc);
}

static void add_showing(Suite *suite)
{
    TCase *tc = tcase_create("showing");
    tcase_add_loop_test(tc, the_password_of_a_dsn_is_masked, 0, ARRAY_LEN(dsns));
    tcase_add_test(tc, secret_kafka_properties_are_masked);
    tcase_add_test(tc, an_unset_pinned_setting_prints_empty_and_so_reads_as_unset);
    tcase_add_test(tc, the_prefix_is_part_of_topics_group_and_ids);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("config");
    add_reading(suite);
    add_command_line(suite);
    add_showing(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    config_free(&config);
    return failed == 0 ? 0 : 1;
}
