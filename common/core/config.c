// SPDX-License-Identifier: Apache-2.0
// From the environment and the command line to struct config. Two steps: first the source of every
// setting is found (flag, variable or file), then each value is parsed in the order of the table,
// so that what is reported does not depend on the order of the environment.
#include "common/core/config_table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define FILE_BYTES_MAX 65536
#define FILE_SUFFIX "_FILE"
#define KAFKA_PREFIX "KAFKA_CONF_"

// Where a setting's value comes from; NULL where not given.
struct source {
    const char *flag, *flag_file, *variable, *variable_file;
};

static bool applies(const struct setting *s, enum config_program program)
{
    return (s->programs & program) != 0;
}

// ---- command line
// ---------------------------------------------------------------------------------

static size_t edit_distance(const char *a, const char *b)
{
    size_t row[CONFIG_FLAG_MAX + 1];
    size_t n = strlen(b);
    if (n > CONFIG_FLAG_MAX || strlen(a) > CONFIG_FLAG_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static int unknown_flag(enum config_program program, const char *flag, struct err *e)
{
    char nearest[CONFIG_FLAG_MAX] = "";
    size_t least = strlen(flag) / 3 + 1; // further away it is no slip of the finger
    for (size_t i = 0; i < config_setting_count; i++) {
        char name[CONFIG_FLAG_MAX];
        setting_flag_name(config_settings[i].name, name, sizeof(name));
        if (!applies(&config_settings[i], program)) {
            if (strcmp(name, flag) == 0)
                return err_set(e, "--%.60s is a setting of another program, not of %s", flag,
                               config_program_name(program));
            continue;
        }
        size_t distance = edit_distance(flag, name);
        if (distance <= least) {
            least = distance;
            snprintf(nearest, sizeof(nearest), "%s", name);
        }
    }
    if (*nearest)
        return err_set(e, "unknown flag --%.60s; did you mean --%s?", flag, nearest);
    return err_set(e, "unknown flag --%.60s; --help lists them all", flag);
}

// Finds the setting a flag names, --postgres-dsn-file included. NULL where there is none.
static const char **flag_target(enum config_program program, const char *flag,
                                struct source sources[])
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        char name[CONFIG_FLAG_MAX];
        setting_flag_name(s->name, name, sizeof(name));
        if (!applies(s, program))
            continue;
        if (strcmp(flag, name) == 0)
            return &sources[i].flag;
        size_t n = strlen(name);
        if (setting_takes_file(s) && strncmp(flag, name, n) == 0 && strcmp(flag + n, "-file") == 0)
            return &sources[i].flag_file;
    }
    return NULL;
}

static bool read_action(const char *arg, enum config_action *action)
{
    static const struct {
        const char *flag;
        enum config_action action;
    } actions[] = {{"--help", CONFIG_HELP},
                   {"-h", CONFIG_HELP},
                   {"--version", CONFIG_VERSION},
                   {"--check-config", CONFIG_CHECK},
                   {"--print-config", CONFIG_PRINT}};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(arg, actions[i].flag) == 0) {
            *action = actions[i].action;
            return true;
        }
    }
    return false;
}

static int read_flag(enum config_program program, const char *arg, struct source sources[],
                     struct err *e)
{
    char flag[CONFIG_FLAG_MAX];
    const char *value = strchr(arg, '=');
    size_t n = value ? (size_t)(value - arg) : strlen(arg);
    if (strncmp(arg, "--", 2) != 0)
        return err_set(e, "unknown flag %.60s; --help lists them all", arg);
    snprintf(flag, sizeof(flag), "%.*s", (int)min_i64((int64_t)n - 2, CONFIG_FLAG_MAX), arg + 2);
    const char **target = flag_target(program, flag, sources);
    if (!target)
        return unknown_flag(program, flag, e);
    if (!value)
        return err_set(e, "--%s needs a value: --%s=…", flag, flag);
    *target = value + 1;
    return 0;
}

// HELP and VERSION end the reading, so that they answer however wrong the rest is.
static int read_flags(enum config_program program, int argc, char *const *argv, int *rest,
                      enum config_action *action, struct source sources[], struct err *e)
{
    int i = 1;
    for (; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        if (arg[0] != '-' || arg[1] == '\0')
            break;
        if (read_action(arg, action)) {
            if (*action == CONFIG_HELP || *action == CONFIG_VERSION)
                return 0;
        } else if (read_flag(program, arg, sources, e) < 0) {
            return -1;
        }
    }
    if (!rest && i < argc)
        return err_set(e, "unexpected argument \"%.60s\"; --help lists what is understood",
                       argv[i]);
    if (rest)
        *rest = i;
    return 0;
}

// ---- environment
// ----------------------------------------------------------------------------------

static void read_variable(enum config_program program, const char *name, size_t n,
                          const char *value, struct source sources[])
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        size_t len = strlen(s->name);
        if (!applies(s, program) || n < len || strncmp(name, s->name, len) != 0)
            continue;
        if (n == len)
            sources[i].variable = value;
        else if (setting_takes_file(s) && n == len + strlen(FILE_SUFFIX) &&
                 strncmp(name + len, FILE_SUFFIX, strlen(FILE_SUFFIX)) == 0)
            sources[i].variable_file = value;
    }
}

// The whole file without the line ends at its end. Caller frees.
static char *read_file(const char *setting, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        err_field(e, setting, -1, "cannot open %.200s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = xmalloc(FILE_BYTES_MAX + 1);
    size_t n = fread(text, 1, FILE_BYTES_MAX + 1, f);
    bool failed = ferror(f) != 0;
    int error = errno;
    fclose(f);
    if (failed || n > FILE_BYTES_MAX || memchr(text, '\0', n)) {
        free(text);
        err_field(e, setting, -1, "cannot use %.200s: %s", path,
                  failed               ? strerror(error)
                  : n > FILE_BYTES_MAX ? "it holds more than 64 KiB"
                                       : "it holds a NUL byte");
        return NULL;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    return text;
}

// ---- librdkafka's properties
// ----------------------------------------------------------------------

static struct config_kafka_prop *kafka_prop(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->kafka_prop_count; i++) {
        if (strcmp(c->kafka_props[i].name, name) == 0)
            return &c->kafka_props[i];
    }
    if (c->kafka_prop_count == CONFIG_KAFKA_PROPS_MAX)
        return NULL;
    struct config_kafka_prop *p = &c->kafka_props[c->kafka_prop_count++];
    p->name = xstrdup(name);
    return p;
}

// KAFKA_CONF_SASL_PASSWORD → sasl.password; with _FILE behind it, from a file. No property of
// librdkafka ends in ".file" or holds an underscore.
static int read_kafka_variable(struct config *c, const char *variable, size_t n, const char *value,
                               struct err *e)
{
    char name[128];
    size_t prefix = strlen(KAFKA_PREFIX), suffix = strlen(FILE_SUFFIX);
    char label[160];
    snprintf(label, sizeof(label), "%.*s", (int)min_i64((int64_t)n, 159), variable);
    if (n <= prefix || n - prefix >= sizeof(name))
        return err_field(e, label, -1, "is not the name of a librdkafka property");
    for (size_t i = prefix; i <= n; i++) {
        char ch = i < n ? variable[i] : '\0';
        name[i - prefix] = ch == '_' ? '.' : (char)tolower((unsigned char)ch);
    }
    size_t length = n - prefix;
    bool from_file = length > suffix && strcmp(name + length - suffix, ".file") == 0;
    if (from_file)
        name[length - suffix] = '\0';
    struct config_kafka_prop *p = kafka_prop(c, name);
    if (!p)
        return err_field(e, label, -1, "there are more than %d KAFKA_CONF_ variables",
                         CONFIG_KAFKA_PROPS_MAX);
    if (p->value)
        return err_field(e, label, -1, "%s is set twice; unset one of the variables", name);
    p->value = from_file ? read_file(label, value, e) : xstrdup(value);
    return p->value ? 0 : -1;
}

static int read_environment(struct config *c, char *const *environ_, struct source sources[],
                            struct err *e)
{
    bool kafka = c->program != PROGRAM_METRICS;
    for (; *environ_; environ_++) {
        const char *variable = *environ_, *value = strchr(variable, '=');
        if (!value || !value[1])
            continue; // an empty variable counts as not set
        size_t n = (size_t)(value - variable);
        if (strncmp(variable, KAFKA_PREFIX, strlen(KAFKA_PREFIX)) != 0)
            read_variable(c->program, variable, n, value + 1, sources);
        else if (kafka && read_kafka_variable(c, variable, n, value + 1, e) < 0)
            return -1;
    }
    return 0;
}

// ---- values
// ---------------------------------------------------------------------------------------

static int parse_number(const struct setting *s, const char *value, int64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    // strtoll would take blanks and a plus sign in front.
    bool digits =
        isdigit((unsigned char)value[0]) || (value[0] == '-' && isdigit((unsigned char)value[1]));
    if (!digits || *end || errno == ERANGE || n < s->least || n > s->most)
        return err_field(e, s->name, -1,
                         "is \"%.60s\"; wanted is a whole number from %" PRId64 " to %" PRId64,
                         value, s->least, s->most);
    *out = n;
    return 0;
}

static int check_choice(const struct setting *s, const char *value, struct err *e)
{
    size_t n = strlen(value);
    for (const char *word = s->choices; word; word = strchr(word, '|')) {
        if (*word == '|')
            word++;
        if (n == strcspn(word, "|") && strncmp(word, value, n) == 0)
            return 0;
    }
    return err_field(e, s->name, -1, "is \"%.60s\"; wanted is one of %s", value, s->choices);
}

// The value itself is not shown: it may hold a secret.
static int check_string(const struct setting *s, const char *value, struct err *e)
{
    int64_t n = (int64_t)strlen(value);
    if (n < s->least || n > s->most)
        return err_field(e, s->name, -1,
                         "has %" PRId64 " bytes; wanted are %" PRId64 " to %" PRId64, n, s->least,
                         s->most);
    for (const char *p = value; *p; p++) {
        unsigned char ch = (unsigned char)*p;
        if (ch < 0x20 || ch == 0x7f)
            return err_field(e, s->name, -1, "holds a control character (byte %td)", p - value);
        if (s->type == SETTING_NAME && !isalnum(ch) && !strchr("._-", ch))
            return err_field(e, s->name, -1,
                             "is \"%.60s\"; wanted are only letters, digits, '.', '_' and '-'",
                             value);
    }
    return 0;
}

static int store(struct config *c, const struct setting *s, const char *value, struct err *e)
{
    void *member = (char *)c + s->offset;
    if (!setting_is_text(s)) {
        int64_t *number = member;
        *number = s->pinned ? CONFIG_UNSET : s->number;
        return value ? parse_number(s, value, number, e) : 0;
    }
    if (value && (s->type == SETTING_CHOICE ? check_choice : check_string)(s, value, e) < 0)
        return -1;
    *(char **)member = xstrdup(value ? value : s->text);
    return 0;
}

static int resolve(struct config *c, const struct setting *s, const struct source *from,
                   struct err *e)
{
    bool flags = from->flag || from->flag_file;
    const char *direct = flags ? from->flag : from->variable;
    const char *file = flags ? from->flag_file : from->variable_file;
    if (direct && file)
        return err_field(e, s->name, -1, "is set, and so is %s" FILE_SUFFIX "; unset one of them",
                         s->name);
    if (!file)
        return store(c, s, direct, e);
    char *text = read_file(s->name, file, e);
    int rc = text ? store(c, s, text, e) : -1;
    free(text);
    return rc;
}

// The server listens on numeric addresses alone, so nothing else that begins like this gets far.
static bool is_loopback(const char *addr)
{
    return strncmp(addr, "127.", 4) == 0 || strcmp(addr, "::1") == 0 ||
           strcmp(addr, "localhost") == 0;
}

#define NO_TCP "none"

static int check_listeners(const struct config *c, struct err *e)
{
    if (strcmp(c->http_addr, NO_TCP) != 0 || (c->http_socket && *c->http_socket))
        return 0;
    if (!c->http_socket)
        return err_field(e, "HTTP_ADDR", -1, "is none; wanted is a numeric address");
    return err_field(e, "HTTP_SOCKET", -1, "is not set; HTTP_ADDR=none needs it");
}

static int check_auth(const struct config *c, struct err *e)
{
    const struct {
        const char *name, *value;
    } needed[] = {{"JWT_JWKS_FILE", c->jwt_jwks_file},
                  {"JWT_ISSUER", c->jwt_issuer},
                  {"JWT_AUDIENCE", c->jwt_audience}};
    for (size_t i = 0; strstr(c->auth, "jwt") && i < ARRAY_LEN(needed); i++) {
        if (!*needed[i].value)
            return err_field(e, needed[i].name, -1, "is not set; AUTH=%s needs it", c->auth);
    }
    bool is_local = is_loopback(c->http_addr) || strcmp(c->http_addr, NO_TCP) == 0;
    if (strcmp(c->auth, "none") == 0 && !is_local && !c->allow_insecure)
        return err_field(e, "AUTH", -1,
                         "is none, and HTTP_ADDR=%.60s can be reached by others, who could then "
                         "read and write every tenant's data. Set AUTH=key or AUTH=jwt, or "
                         "HTTP_ADDR=127.0.0.1; or ALLOW_INSECURE=1 where something in front keeps "
                         "strangers out",
                         c->http_addr);
    return 0;
}

// Else a large batch would be answered 503 for ever.
static int check_buffer(const struct config *c, struct err *e)
{
    int64_t largest = max_i64(c->max_batch_bytes, c->max_body_bytes);
    if (c->produce_buffer_bytes < largest)
        return err_field(e, "PRODUCE_BUFFER_BYTES", -1,
                         "is %" PRId64 "; wanted is at least the larger of MAX_BATCH_BYTES and "
                         "MAX_BODY_BYTES, which is %" PRId64,
                         c->produce_buffer_bytes, largest);
    return 0;
}

// Else the largest request would be answered 503 for ever.
static int check_memory(const struct config *c, struct err *e)
{
    int64_t largest = max_i64(c->max_batch_bytes, c->max_body_bytes) + c->http_max_header_bytes;
    if (c->http_memory_bytes < largest)
        return err_field(e, "HTTP_MEMORY_BYTES", -1,
                         "is %" PRId64 "; wanted is at least the largest body and its header, "
                         "which is %" PRId64,
                         c->http_memory_bytes, largest);
    return 0;
}

// What no single range can say.
static int check_together(const struct config *c, struct err *e)
{
    bool serves = c->program != PROGRAM_ADMIN;
    if (serves && (check_listeners(c, e) != 0 || check_memory(c, e) != 0))
        return -1;
    if ((c->program == PROGRAM_INGEST || c->program == PROGRAM_METRICS) && check_auth(c, e) != 0)
        return -1;
    return c->program == PROGRAM_INGEST ? check_buffer(c, e) : 0;
}

int config_load(struct config *c, enum config_program program, char *const *environ_, int argc,
                char *const *argv, int *rest, enum config_action *action, struct err *e)
{
    struct source sources[SETTINGS_MAX] = {{0}};
    *c = (struct config){.program = program};
    *action = CONFIG_RUN;
    if (read_flags(program, argc, argv, rest, action, sources, e) < 0)
        return -1;
    if (*action == CONFIG_HELP || *action == CONFIG_VERSION)
        return 0;
    if (read_environment(c, environ_, sources, e) < 0)
        return -1;
    for (size_t i = 0; i < config_setting_count; i++) {
        if (applies(&config_settings[i], program) &&
            resolve(c, &config_settings[i], &sources[i], e) < 0)
            return -1;
    }
    return check_together(c, e);
}

void config_free(struct config *c)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        if (setting_is_text(s) && applies(s, c->program))
            free(*(char **)((char *)c + s->offset));
    }
    for (size_t i = 0; i < c->kafka_prop_count; i++) {
        free(c->kafka_props[i].name);
        free(c->kafka_props[i].value);
    }
    *c = (struct config){.program = c->program};
}

static char *prefixed(const struct config *c, const char *name)
{
    struct buf b = {0};
    buf_adds(&b, c->topic_prefix ? c->topic_prefix : "");
    buf_adds(&b, name);
    return buf_steal(&b);
}

char *config_topic(const struct config *c, const char *name)
{
    return prefixed(c, name);
}

char *config_group(const struct config *c)
{
    return prefixed(c, c->consumer_group);
}

char *config_publisher(const struct config *c)
{
    return prefixed(c, "streamlens-publisher");
}
