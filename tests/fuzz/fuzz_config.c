// SPDX-License-Identifier: Apache-2.0
// The input's lines as variables and, where they begin with a dash, as flags; the first byte picks
// the program. What is refused says why. What is accepted and printed can be set again and prints
// the same, and no password appears, whatever stands around it.
#include "tests/fuzz/fuzz.h"

#include "common/core/config.h"

#define LINES_MAX 64
#define CANARY "cAnArY-5f3a"

struct lines {
    char *variables[LINES_MAX + 4], *flags[LINES_MAX + 2];
    size_t variable_count;
    int flag_count;
};

// Files of this machine are not the fuzzer's to open.
static bool names_a_file(const char *line)
{
    size_t n = strcspn(line, "=");
    for (size_t i = 0; i + 4 <= n; i++) {
        if (strncasecmp(line + i, "file", 4) == 0)
            return true;
    }
    return false;
}

static void cut_lines(char *text, struct lines *out)
{
    *out = (struct lines){.flag_count = 1};
    static char program[] = "program";
    out->flags[0] = program;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (names_a_file(line))
            continue;
        if (line[0] == '-' && out->flag_count < LINES_MAX)
            out->flags[out->flag_count++] = line;
        else if (line[0] != '-' && out->variable_count < LINES_MAX)
            out->variables[out->variable_count++] = line;
    }
}

static bool holds(const struct buf *text, const char *word)
{
    return text->n > 0 && memmem(text->p, text->n, word, strlen(word)) != NULL;
}

static void check_refused(const struct err *e)
{
    FUZZ_CHECK(e->detail[0]);
    FUZZ_CHECK(!strstr(e->detail, CANARY));
}

// As an operator would: what --print-config shows, set as the environment. A mask and an escaped
// control character are no values to go by.
static void check_print_again(enum config_program program, const struct buf *printed)
{
    if (holds(printed, "****") || holds(printed, "\\x"))
        return;
    struct buf copy = {0}, again = {0};
    buf_add(&copy, printed->p, printed->n);
    char *text = buf_steal(&copy);
    struct lines lines;
    cut_lines(text, &lines);
    struct config c;
    struct err e;
    enum config_action action;
    FUZZ_CHECK(config_load(&c, program, lines.variables, 1, lines.flags, NULL, &action, &e) == 0);
    config_print(&c, &again);
    FUZZ_CHECK(again.n == printed->n && memcmp(again.p, printed->p, again.n) == 0);
    config_free(&c);
    free(text);
    buf_free(&again);
}

static void check_load(enum config_program program, const struct lines *lines)
{
    struct config c;
    struct err e = {.offset = -2};
    enum config_action action;
    int rc = config_load(&c, program, lines->variables, lines->flag_count, lines->flags, NULL,
                         &action, &e);
    if (rc != 0)
        check_refused(&e);
    else if (action != CONFIG_HELP && action != CONFIG_VERSION) {
        struct buf printed = {0};
        config_print(&c, &printed);
        FUZZ_CHECK(!holds(&printed, CANARY));
        check_print_again(program, &printed);
        buf_free(&printed);
    }
    config_free(&c);
}

// The password in each of the places where it may stand, the input's line behind it.
static void check_secrets(enum config_program program, struct lines *lines, const char *line)
{
    static const char *const places[] = {
        "POSTGRES_DSN=postgresql://user:" CANARY "@%s",
        "POSTGRES_DSN=password=" CANARY " %s",
        "POSTGRES_DSN=postgresql:///db?password=" CANARY "&%s",
    };
    static char sasl[] = "KAFKA_CONF_SASL_PASSWORD=" CANARY;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct buf text = {0};
        buf_add(&text, places[i], strlen(places[i]) - 2);
        buf_adds(&text, line);
        char *variable = buf_steal(&text);
        lines->variables[lines->variable_count] = variable;
        lines->variables[lines->variable_count + 1] = sasl;
        check_load(program, lines);
        free(variable);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // libFuzzer sees what is searched for and brings it into places where it is no password.
    if (size == 0 || memmem(data, size, CANARY, strlen(CANARY)))
        return 0;
    enum config_program program = (enum config_program)(1 << data[0] % 4);
    char *text = xcalloc(1, size), *first = xcalloc(1, size);
    memcpy(text, data + 1, size - 1);
    memcpy(first, data + 1, size - 1);
    first[strcspn(first, "\n")] = '\0';
    struct lines lines;
    cut_lines(text, &lines);
    check_load(program, &lines);
    check_secrets(program, &lines, first);
    free(first);
    free(text);
    return 0;
}
