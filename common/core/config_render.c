// SPDX-License-Identifier: Apache-2.0
// What people read of the settings: --help, --print-config and the reference page.
#include "common/core/config_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define MASK "****"
#define HELP_COLUMNS 90

// ---- secrets
// --------------------------------------------------------------------------------------

static bool contains(const char *p, size_t n, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++) {
        if (strncasecmp(p + i, word, len) == 0)
            return true;
    }
    return false;
}

// A percent sign may hide the name of a parameter, so such a one is masked too.
static bool secret_parameter(const char *name, size_t n)
{
    return contains(name, n, "password") || contains(name, n, "%");
}

static void mask_url_query(const char *query, struct buf *out)
{
    while (*query) {
        size_t n = strcspn(query, "&"), name = strcspn(query, "=&");
        if (name < n && secret_parameter(query, name)) {
            buf_add(out, query, name + 1);
            buf_adds(out, MASK);
        } else {
            buf_add(out, query, n);
        }
        query += n;
        if (*query == '&')
            buf_addc(out, *query++);
    }
}

// The password reaches from the first colon to the last @: it may hold either. A DSN with an @
// further on loses more than its password here, which is the safe side.
static void mask_url(const char *dsn, struct buf *out)
{
    const char *user = strstr(dsn, "://") + 3;
    const char *at = strrchr(user, '@');
    const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    const char *rest = dsn;
    // A colon behind the '?' belongs to the query, which is masked by name below.
    if (colon && !memchr(user, '?', (size_t)(colon - user))) {
        buf_add(out, dsn, (size_t)(colon + 1 - dsn));
        buf_adds(out, MASK);
        rest = at;
    }
    size_t n = strcspn(rest, "?");
    buf_add(out, rest, n);
    if (rest[n]) {
        buf_addc(out, '?');
        mask_url_query(rest + n + 1, out);
    }
}

// The end of a value in key=value form: quoted with backslashes, or up to a blank.
static const char *keyword_value_end(const char *p)
{
    bool quoted = *p == '\'';
    for (p += quoted; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (quoted ? *p == '\'' : isspace((unsigned char)*p) != 0)
            return p + quoted;
    }
    return p;
}

static void mask_keywords(const char *dsn, struct buf *out)
{
    for (const char *p = dsn; *p;) {
        size_t blank = strspn(p, " \t\r\n"), name = strcspn(p + blank, "= \t\r\n");
        const char *key = p + blank, *value = key + name;
        value += strspn(value, " \t\r\n");
        if (*value != '=') { // no pair: nothing that libpq would take
            buf_adds(out, *key ? MASK : "");
            return;
        }
        value++;
        value += strspn(value, " \t\r\n");
        const char *end = keyword_value_end(value);
        buf_add(out, p, (size_t)(value - p));
        if (contains(key, name, "password"))
            buf_adds(out, MASK);
        else
            buf_add(out, value, (size_t)(end - value));
        p = end;
    }
}

static void mask_dsn(const char *dsn, struct buf *out)
{
    if (strncmp(dsn, "postgres://", 11) == 0 || strncmp(dsn, "postgresql://", 13) == 0)
        mask_url(dsn, out);
    else
        mask_keywords(dsn, out);
}

static bool secret_kafka_prop(const char *name)
{
    static const char *const words[] = {"password", "secret", "key", "token", "oauthbearer.config"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (contains(name, strlen(name), words[i]))
            return true;
    }
    return false;
}

// ---- --print-config
// -------------------------------------------------------------------------------

static void add_one_line(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            buf_addf(out, "\\x%02x", (unsigned char)*text);
        else
            buf_addc(out, *text);
    }
}

static void print_kafka_props(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->kafka_prop_count; i++) {
        const struct config_kafka_prop *p = &c->kafka_props[i];
        buf_adds(out, "KAFKA_CONF_");
        for (const char *ch = p->name; *ch; ch++)
            buf_addc(out, *ch == '.' ? '_' : (char)toupper((unsigned char)*ch));
        buf_addc(out, '=');
        add_one_line(out, secret_kafka_prop(p->name) ? MASK : p->value);
        buf_addc(out, '\n');
    }
}

void config_print(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        const void *member = (const char *)c + s->offset;
        if (!(s->programs & c->program))
            continue;
        buf_addf(out, "%s=", s->name);
        if (setting_is_text(s)) {
            const char *text = *(char *const *)member;
            if (s->offset == offsetof(struct config, postgres_dsn) ||
                s->offset == offsetof(struct config, postgres_read_dsn))
                mask_dsn(text, out);
            else
                add_one_line(out, text);
        } else if (*(const int64_t *)member != CONFIG_UNSET) {
            buf_addf(out, "%" PRId64, *(const int64_t *)member);
        }
        buf_addc(out, '\n');
    }
    print_kafka_props(c, out);
}

// ---- --help
// ---------------------------------------------------------------------------------------

static void add_wrapped(struct buf *out, const char *indent, const char *text)
{
    size_t column = HELP_COLUMNS; // begin with a new line
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column + 1 + word > HELP_COLUMNS) {
            buf_addf(out, "\n%s", indent);
            column = strlen(indent);
        } else {
            buf_addc(out, ' ');
            column++;
        }
        buf_add(out, text, word);
        column += word;
        text += word + strspn(text + word, " ");
    }
}

static void help_setting(const struct setting *s, struct buf *out)
{
    char flag[CONFIG_FLAG_MAX];
    setting_flag_name(s->name, flag, sizeof(flag));
    buf_addf(out, "  --%s=", flag);
    if (s->type == SETTING_NUMBER)
        buf_addf(out, "N  (%" PRId64 " to %" PRId64 ", %s %" PRId64 ")", s->least, s->most,
                 s->pinned ? "setup pins" : "default", s->number);
    else if (s->type == SETTING_CHOICE)
        buf_addf(out, "%s  (default %s)", s->choices, s->text);
    else
        buf_addf(out, "TEXT  (default %s)", *s->text ? s->text : "empty");
    add_wrapped(out, "      ", s->help);
    buf_addc(out, '\n');
}

void config_help(enum config_program program, struct buf *out)
{
    buf_addf(out, "Usage: %s [--setting=value …]%s\n", config_program_name(program),
             program == PROGRAM_ADMIN ? " command" : "");
    buf_adds(out, "\nSettings are also read from the environment: --join-ttl-ms is JOIN_TTL_MS. "
                  "A flag wins.\nNAME_FILE (or --name-file) names a file that holds the value of "
                  "a text setting.\n");
    if (program != PROGRAM_METRICS)
        buf_adds(out, "KAFKA_CONF_<property with _ for .> sets any property of librdkafka.\n");
    buf_addc(out, '\n');
    for (size_t i = 0; i < config_setting_count; i++) {
        if (config_settings[i].programs & program)
            help_setting(&config_settings[i], out);
    }
    buf_adds(out, "\n  --check-config   check the settings and exit\n"
                  "  --print-config   print the settings, secrets masked, and exit\n"
                  "  --version        print the version and exit\n"
                  "  --help           print this and exit\n");
}

bool config_answer(enum config_action action, enum config_program program, const struct config *c,
                   struct buf *out)
{
    switch (action) {
    case CONFIG_RUN:
        return false;
    case CONFIG_HELP:
        config_help(program, out);
        break;
    case CONFIG_VERSION:
        buf_addf(out, "%s %s\n", config_program_name(program), STREAMLENS_VERSION);
        break;
    case CONFIG_CHECK:
        buf_adds(out, "the settings are valid\n");
        break;
    case CONFIG_PRINT:
        config_print(c, out);
        break;
    }
    return true;
}

// ---- the reference page
// ---------------------------------------------------------------------------

static void add_programs(struct buf *out, unsigned programs)
{
    static const struct {
        unsigned program;
        const char *name;
    } names[] = {{PROGRAM_INGEST, "ingest-api"},
                 {PROGRAM_PROCESSOR, "processor"},
                 {PROGRAM_METRICS, "metrics-api"},
                 {PROGRAM_ADMIN, "admin"}};
    const char *separator = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (programs & names[i].program) {
            buf_addf(out, "%s%s", separator, names[i].name);
            separator = ", ";
        }
    }
}

static void reference_row(const struct setting *s, struct buf *out)
{
    buf_addf(out, "| `%s` | ", s->name);
    if (s->type == SETTING_NUMBER)
        buf_addf(out, "`%" PRId64 "` | %" PRId64 " to %" PRId64, s->number, s->least, s->most);
    else if (*s->text)
        buf_addf(out, "`%s` | ", s->text);
    else
        buf_adds(out, "empty | ");
    if (s->type == SETTING_NAME)
        buf_addf(out, "letters, digits, `.`, `_`, `-`; at most %" PRId64, s->most);
    else if (s->type == SETTING_STRING)
        buf_adds(out, "text");
    else if (s->type == SETTING_CHOICE) {
        for (const char *p = s->choices; *p;) {
            size_t n = strcspn(p, "|");
            buf_addf(out, "%s`%.*s`", p == s->choices ? "" : ", ", (int)n, p);
            p += n + (p[n] == '|');
        }
    }
    buf_adds(out, " | ");
    add_programs(out, s->programs);
    buf_addf(out, " | %s |\n", s->help);
}

static void reference_intro(struct buf *out)
{
    buf_adds(
        out,
        "# Settings\n\n"
        "This page is generated from the table in `common/core/config_table.c`: change it there.\n"
        "\n"
        "- Every setting is an environment variable. A flag overrides it: `--join-ttl-ms=20000` "
        "for `JOIN_TTL_MS`.\n"
        "- An empty variable counts as not set.\n"
        "- `NAME_FILE` (or `--name-file`) names a file that holds the value of a text setting, "
        "for secrets. `NAME` must then not be set.\n"
        "- `KAFKA_CONF_<property with _ for .>` sets any property of librdkafka: "
        "`KAFKA_CONF_SECURITY_PROTOCOL=sasl_ssl` is `security.protocol`. With `_FILE` behind it "
        "the value comes from a file. What the counts rest on, such as `acks`, cannot be "
        "changed.\n"
        "- `--check-config` checks, `--print-config` prints what holds (secrets masked), "
        "`--version` and `--help` do as they say.\n"
        "- Names that end in `_MS` are milliseconds, in `_BYTES` bytes.\n");
}

void config_reference_markdown(struct buf *out)
{
    reference_intro(out);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        if (s->section) {
            buf_addf(out, "\n## %s\n\n", s->section);
            if (s->pinned)
                buf_adds(out, "The first `streamlens-admin setup` writes these into the database, "
                              "since they decide what a replay yields. A variable that is not set "
                              "takes the value there; one that differs makes a service refuse to "
                              "start. `streamlens-admin settings set` changes all but `PARTITIONS` "
                              "while everything runs.\n\n");
            buf_adds(out, "| name | default | range | programs | what it is |\n"
                          "|---|---|---|---|---|\n");
        }
        reference_row(s, out);
    }
}
