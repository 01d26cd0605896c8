// SPDX-License-Identifier: Apache-2.0
// streamlens-admin: the operator's tool. A command is a row of the table.
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/io/log.h"
#include "deploy/admin/topics/dead_letters.h"
#include "deploy/admin/access/key.h"
#include "deploy/admin/access/limit.h"
#include "deploy/admin/prices/price.h"
#include "deploy/admin/prices/price_unpriced.h"
#include "deploy/admin/reprice/reprice.h"
#include "deploy/admin/topics/republish.h"
#include "deploy/admin/removal/retention.h"
#include "deploy/admin/setup/settings.h"
#include "deploy/admin/setup/setup.h"
#include "deploy/admin/removal/tenant.h"

extern char **environ;

// clang-format off
#define JSON {"json", NULL, "print JSON"}
#define PAYS {"tenant", "T", "what this tenant pays; else what everybody does"}
#define FORCE {"force", NULL, "take prices that look like a slip of the unit"}
#define LIST_OPTIONS {"effective-from", "TIME", "from when changed prices hold, RFC 3339; else from a minute to come"}, \
    {"override", NULL, "take the list's price also where an operator has set one"}, FORCE
#define NOW {"now", NULL, "let a price begin this minute, or in the past (rows that are written keep theirs)"}

static const struct command {
    const char *name, *verb; // verb NULL: the command has none
    const char *words, *help;
    size_t least, most; // words
    struct arg_option options[ARGS_OPTIONS_MAX];
    int (*run)(const struct config *c, const struct args *a, struct err *e);
} commands[] = {
    {"setup", NULL, "",
     "make or check the topics, the schema, the pinned settings and the default prices", 0, 0,
     {{0}},
     setup_run},
    {"settings", "list", "", "the pinned numbers, of every epoch", 0, 0,
     {JSON},
     settings_list},
    {"settings", "set", "NAME=VALUE...",
     "change JOIN_TTL_MS, JOIN_SKEW_MS or MAX_SERIES_PER_TENANT on a live system", 1, ARGS_WORDS_MAX,
     {{0}},
     settings_set},
    {"price", "list", "", "the cards that hold now", 0, 0,
     {{"tenant", "T", "only the cards of this tenant"}, JSON,
      {"csv", NULL, "print a price file, as price set takes it"}},
     price_list},
    {"price", "show", "NAME", "all cards of a model, with what each class costs by them", 1, 1,
     {PAYS, JSON},
     price_show},
    {"price", "resolve", "NAME", "what a model's name is priced as, and how that was found", 1, 1,
     {PAYS, {"asked", "NAME", "the model that was asked for, where another answered"},
      {"at", "TIME", "RFC 3339; else now"}, JSON},
     price_resolve},
    {"price", "check", "FILE", "what price set would do (- is standard input); changes nothing", 1, 1,
     {NOW, FORCE},
     price_check},
    {"price", "set", "FILE | MODEL COLUMN=VALUE...",
     "add the cards of a price file, or one model's card with some cells changed", 1, ARGS_WORDS_MAX,
     {NOW, FORCE},
     price_set},
    {"price", "import", "FILE",
     "add what a list of somebody else changes: LiteLLM's JSON or a price file (- is standard input)", 1, 1,
     {LIST_OPTIONS, JSON},
     price_import},
    {"price", "diff", "FILE", "what price import would do, and what that is on last week's usage; changes nothing", 1, 1,
     {LIST_OPTIONS, JSON},
     price_diff},
    {"price", "versions", "", "the versions of the catalogue, and whose word each is", 0, 0,
     {JSON},
     price_versions},
    {"price", "restore", "VERSION", "make the catalogue what it was as of a version, by adding one", 1, 1,
     {{0}},
     price_restore},
    {"price", "unpriced", "", "names in usage that have no price, or a guessed one, and what is near to them", 0, 0,
     {{"from", "TIME", "RFC 3339: hours that begin then or later (7 days before --to)"},
      {"to", "TIME", "and before then (now)"},
      {"tenant", "T", "only the usage of this tenant"}, JSON},
     price_unpriced},
    {"key", "create", "", "make an API key; it is printed this once", 0, 0,
     {{"tenant", "T", "whose events and metrics; none only where the scope is admin alone"},
      {"scope", "S", "ingest, read, admin, or several with commas between"},
      {"name", "N", "what the key is for (default); two of a tenant and name may be active"},
      {"expires", "WHEN", "90d, 12h, 30m, or RFC 3339; else never"},
      {"rate", "N", "events a second; else no limit"}},
     key_create},
    {"key", "list", "", "keys and their state, never their text", 0, 0,
     {{"tenant", "T", "only the keys of this tenant"}, JSON},
     key_list},
    {"key", "revoke", "ID", "end a key at once", 1, 1,
     {{0}},
     key_revoke},
    {"key", "rotate", "ID", "make a key like this one, which then ends after the overlap", 1, 1,
     {{"overlap", "TIME", "24h, 90m, 0 = at once (24h)"},
      {"expires", "WHEN", "of the new key; else it lives as long as this one was made for"}},
     key_rotate},
    {"limit", "set", "TENANT NAME=VALUE...",
     "how much a tenant may send: events_per_second, events_burst, bytes_per_second, bytes_burst", 2,
     ARGS_WORDS_MAX,
     {{0}},
     limit_set},
    {"limit", "list", "", "the limits of tenants; '*' is each without one of its own", 0, 0,
     {{"tenant", "T", "only that of this tenant"}, JSON},
     limit_list},
    {"limit", "remove", "TENANT", "end a tenant's limit; that of '*' holds for it again", 1, 1,
     {{0}},
     limit_remove},
    {"dead-letters", NULL, "", "what could not be read or matched: the newest ones, and counts by reason",
     0, 0,
     {{"reason", "R", "only those of this reason, such as unmatched"},
      {"request-id", "ID", "only those of this request_id"},
      {"limit", "N", "list so many at most (100); the counts are of all"}, JSON},
     dead_letters_run},
    {"reprice", NULL, "", "compute costs of the past anew, by the newest version of the prices", 0, 0,
     {{"from", "TIME", "RFC 3339, a whole minute: windows that begin then or later"},
      {"to", "TIME", "and before then"},
      {"model", "NAME", "only rows with usage of this model, by any of its names"},
      {"tenant", "T", "only the rows of this tenant"},
      {"dry-run", NULL, "only say what would change"},
      {"list", NULL, "show the corrections that there were, instead"}, JSON},
     reprice_command},
    {"republish", NULL, "", "send closed windows to llm.metrics again, under new sequences", 0, 0,
     {{"from", "TIME", "RFC 3339: windows that begin then or later"},
      {"to", "TIME", "and before then"},
      {"tenant", "T", "only the rows of this tenant"}},
     republish_run},
    {"retention", NULL, "",
     "drop rows of minutes and hours older than MINUTE_RETENTION_DAYS and HOUR_RETENTION_DAYS", 0, 0,
     {{"dry-run", NULL, "only say what would be dropped"},
      {"wait", "SECONDS", "for transactions that use what is to be dropped (60)"}},
     retention_run},
    {"tenant", "delete", "NAME", "delete a tenant's keys, limits, series and rows", 1, 1,
     {{"yes", NULL, "do it; else only what there is is counted"}},
     tenant_delete},
};
// clang-format on

// ---- help
// ----------------------------------------------------------------------------------------

static void help_line(const struct command *c, FILE *to)
{
    char usage[80];
    snprintf(usage, sizeof(usage), "%s%s%s%s%s", c->name, c->verb ? " " : "",
             c->verb ? c->verb : "", c->words[0] ? " " : "", c->words);
    fprintf(to, "  %s\n      %s\n", usage, c->help);
}

static void help(FILE *to)
{
    fputs("Commands:\n", to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        help_line(&commands[i], to);
    fputs("\nstreamlens-admin COMMAND --help has the options of each.\n", to);
    struct buf settings = {0};
    config_help(PROGRAM_ADMIN, &settings);
    fprintf(to, "\n%.*s", (int)settings.n, settings.p ? settings.p : "");
    buf_free(&settings);
}

// Of all commands of a name, or of one.
static void help_of(const char *name, const char *verb, FILE *to)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, name) != 0 || (verb && (!c->verb || strcmp(c->verb, verb) != 0)))
            continue;
        help_line(c, to);
        for (size_t k = 0; k < ARGS_OPTIONS_MAX && c->options[k].name; k++) {
            const struct arg_option *o = &c->options[k];
            char flag[40];
            snprintf(flag, sizeof(flag), "--%s%s%s", o->name, o->value ? "=" : "",
                     o->value ? o->value : "");
            fprintf(to, "        %-16s %s\n", flag, o->help);
        }
    }
    if (strcmp(name, "price") == 0)
        price_help_columns(to);
    if (strcmp(name, "limit") == 0)
        limit_help_columns(to);
    fputs("\nEvery setting is a flag too (--postgres-dsn=...): streamlens-admin --help\n", to);
}

// ---- running
// -------------------------------------------------------------------------------------

// One line, whatever was typed or a file is called.
static int say(struct err *e, int exit_code)
{
    for (char *p = e->detail; *p; p++)
        *p = iscntrl((unsigned char)*p) ? '?' : *p;
    fprintf(stderr, "streamlens-admin: %s%s%s\n", e->field, e->field[0] ? ": " : "", e->detail);
    return exit_code;
}

static bool is_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return true;
    return false;
}

static const struct command *find(const char *name, const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, name) == 0 && (!c->verb || (verb && strcmp(c->verb, verb) == 0)))
            return c;
    }
    return NULL;
}

static int check_words(const struct command *c, const struct args *a, struct err *e)
{
    const char *verb = c->verb ? c->verb : "", *blank = c->verb ? " " : "";
    if (a->word_count < c->least)
        return err_set(e, "%s%s%s wants %s; see streamlens-admin %s --help", c->name, blank, verb,
                       c->words, c->name);
    if (a->word_count > c->most)
        return err_set(e, "unexpected argument \"%.60s\" of %s%s%s; see streamlens-admin %s --help",
                       a->words[c->most], c->name, blank, verb, c->name);
    return 0;
}

// c: NULL where no command was given. Whether something else than running it was asked for, and is
// done.
static bool answer(const struct command *c, enum config_action action, const struct config *config)
{
    struct buf out = {0};
    if (action == CONFIG_HELP) {
        if (c)
            help_of(c->name, c->verb, stdout);
        else
            help(stdout);
        return true;
    }
    if (!config_answer(action, PROGRAM_ADMIN, config, &out))
        return false;
    fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return true;
}

static int run(const struct command *c, const struct args *a, struct config *config, struct err *e)
{
    enum config_action action;
    if (config_load(config, PROGRAM_ADMIN, environ, a->setting_count, a->settings, NULL, &action,
                    e) < 0)
        return say(e, 2);
    log_init("streamlens-admin", config->log_format, config->log_level);
    if (answer(c, action, config))
        return 0;
    if (!c) {
        err_set(e, "which command? See streamlens-admin --help");
        return say(e, 2);
    }
    if (check_words(c, a, e) < 0)
        return say(e, 2);
    int rc = c->run(config, a, e);
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = err_set(e, "standard output did not take all of it");
    return rc == 0 ? 0 : say(e, rc == ARGS_WRONG ? 2 : 1);
}

static int run_command(const struct command *c, int argc, char **argv)
{
    static const struct arg_option none[ARGS_OPTIONS_MAX];
    struct err e;
    struct args a;
    struct config config = {0};
    int rc = args_read(c ? c->options : none, argc, argv, &a, &e) < 0 ? say(&e, 2)
                                                                      : run(c, &a, &config, &e);
    config_free(&config);
    args_free(&a);
    return rc;
}

// `help`, `help price`, `help price set`, and a command without its verb.
static int run_help(const char *name, const char *verb)
{
    if (!name)
        help(stdout);
    else
        help_of(name, verb, stdout);
    return 0;
}

// Where one of them is closed, the connection to the database would become it, and be written what
// is meant for people. Opened the wrong way round, so that using it fails as it would have.
static bool keep_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!keep_standard_files())
        return 1;
    // Progress is seen as it happens, also through a pipe.
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    if (!name)
        return run_command(NULL, argc - 1, argv + 1);
    if (strcmp(name, "help") == 0 && (argc < 3 || is_name(argv[2])))
        return run_help(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    const char *verb = argc > 2 ? argv[2] : NULL;
    const struct command *c = find(name, verb);
    if (c)
        return run_command(c, argc - (c->verb ? 3 : 2), argv + (c->verb ? 3 : 2));
    if (is_name(name) && verb && (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0))
        return run_help(name, NULL);
    struct err e;
    if (!is_name(name))
        err_set(&e, "no command '%.60s'; see streamlens-admin --help", name);
    else if (!verb)
        err_set(&e, "%s what? See streamlens-admin %s --help", name, name);
    else
        err_set(&e, "no command '%s %.60s'; see streamlens-admin %s --help", name, verb, name);
    return say(&e, 2);
}
