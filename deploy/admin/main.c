// SPDX-License-Identifier: Apache-2.0
// streamlens-admin: the operator's tool. A subcommand is a function in the table.
#include <stdio.h>

#include "common/io/log.h"
#include "deploy/admin/setup.h"

extern char **environ;

static const struct command {
    const char *name;
    int (*run)(const struct config *c, struct err *e);
    const char *help;
} commands[] = {
    {"setup", setup_run, "make or check the topics, the schema and the pinned settings"},
};

static void help(FILE *to)
{
    fputs("Commands:\n", to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    struct buf settings = {0};
    config_help(PROGRAM_ADMIN, &settings);
    fprintf(to, "\n%.*s", (int)settings.n, settings.p ? settings.p : "");
    buf_free(&settings);
}

static int say(const struct err *e, int exit_code)
{
    fprintf(stderr, "streamlens-admin: %s%s%s\n", e->field, e->field[0] ? ": " : "", e->detail);
    return exit_code;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int print_config(const struct config *c)
{
    struct buf out = {0};
    config_print(c, &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return 0;
}

static int run(struct config *c, int argc, char **argv)
{
    // The command comes first; what follows it is flags, for which it stands as argv[0].
    const struct command *command = NULL;
    if (argc > 1 && argv[1][0] != '-') {
        command = find(argv[1]);
        if (!command) {
            fprintf(stderr, "streamlens-admin: no command '%s'; see streamlens-admin --help\n",
                    argv[1]);
            return 2;
        }
        argc--;
        argv++;
    }
    struct err e;
    enum config_action action;
    if (config_load(c, PROGRAM_ADMIN, environ, argc, argv, NULL, &action, &e) < 0)
        return say(&e, 2);
    log_init("streamlens-admin", c->log_format, c->log_level);
    switch (action) {
    case CONFIG_HELP:
        help(stdout);
        return 0;
    case CONFIG_VERSION:
        puts("streamlens-admin " STREAMLENS_VERSION);
        return 0;
    case CONFIG_PRINT:
        return print_config(c);
    case CONFIG_CHECK:
        return 0;
    case CONFIG_RUN:
        break;
    }
    if (!command) {
        fputs("streamlens-admin: which command? See streamlens-admin --help\n", stderr);
        return 2;
    }
    return command->run(c, &e) < 0 ? say(&e, 1) : 0;
}

int main(int argc, char **argv)
{
    // Progress is seen as it happens, also through a pipe.
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct config c = {0};
    int rc = run(&c, argc, argv);
    config_free(&c);
    return rc;
}
