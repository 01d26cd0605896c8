// SPDX-License-Identifier: Apache-2.0
#include "deploy/admin/args.h"

#include <ctype.h>
#include <stdio.h>

#include "common/core/timeunit.h"

static bool is_named(const char *arg, const char *name)
{
    size_t n = strlen(name);
    return strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, name, n) == 0 &&
           (arg[2 + n] == '\0' || arg[2 + n] == '=');
}

// Returns how many of the arguments it took; 0 where the first is no option, -1 with an error.
static int read_option(struct args *a, int argc, char **argv, struct err *e)
{
    for (size_t i = 0; i < ARGS_OPTIONS_MAX && a->options[i].name; i++) {
        const struct arg_option *o = &a->options[i];
        if (!is_named(argv[0], o->name))
            continue;
        if (a->values[i])
            return err_set(e, "--%s is given twice", o->name);
        const char *equals = strchr(argv[0], '=');
        if (!o->value && equals)
            return err_set(e, "--%s takes no value", o->name);
        if (o->value && !equals && argc < 2)
            return err_set(e, "--%s needs a value: --%s=%s", o->name, o->name, o->value);
        a->values[i] = !o->value ? "" : equals ? equals + 1 : argv[1];
        return o->value && !equals ? 2 : 1;
    }
    return 0;
}

static int add_word(struct args *a, const char *word, struct err *e)
{
    if (a->word_count == ARGS_WORDS_MAX)
        return err_set(e, "more than %d words", ARGS_WORDS_MAX);
    a->words[a->word_count++] = word;
    return 0;
}

int args_read(const struct arg_option *options, int argc, char **argv, struct args *out,
              struct err *e)
{
    static char program[] = "streamlens-admin";
    *out = (struct args){.options = options};
    out->settings = xcalloc((size_t)argc + 2, sizeof(*out->settings));
    out->settings[out->setting_count++] = program;
    bool only_words = false; // behind --
    for (int i = 0; i < argc;) {
        // "-" alone is a word: standard input.
        bool flag = !only_words && argv[i][0] == '-' && argv[i][1] != '\0';
        if (flag && strcmp(argv[i], "--") == 0) {
            only_words = true;
            i++;
            continue;
        }
        int took = flag ? read_option(out, argc - i, argv + i, e) : 0;
        if (took < 0)
            return ARGS_WRONG;
        if (flag && took == 0)
            out->settings[out->setting_count++] = argv[i];
        else if (!flag && add_word(out, argv[i], e) < 0)
            return ARGS_WRONG;
        i += took > 0 ? took : 1;
    }
    return 0;
}

void args_free(struct args *a)
{
    free(a->settings);
    *a = (struct args){0};
}

const char *args_get(const struct args *a, const char *name)
{
    for (size_t i = 0; i < ARGS_OPTIONS_MAX && a->options[i].name; i++)
        if (strcmp(a->options[i].name, name) == 0)
            return a->values[i];
    return NULL;
}

struct str args_str(const struct args *a, const char *name, const char *dflt)
{
    const char *given = args_get(a, name);
    return str_of(given ? given : dflt);
}

int args_time(const struct args *a, const char *name, int64_t *out_us, struct err *e)
{
    char field[32];
    snprintf(field, sizeof(field), "--%s", name);
    struct str text = args_str(a, name, NULL);
    if (text.p && time_parse_rfc3339(text, out_us) == 0)
        return 0;
    if (text.p)
        err_field(e, field, -1, "is \"%.60s\"; want RFC 3339, such as 2026-11-21T06:14:00Z",
                  text.p);
    else
        err_field(e, field, -1, "is missing; want RFC 3339, such as 2026-11-21T06:14:00Z");
    return ARGS_WRONG;
}

bool args_number(struct str text, int64_t *out)
{
    if (text.n == 0 || text.n > 18)
        return false;
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (!isdigit((unsigned char)text.p[i]))
            return false;
        *out = *out * 10 + (text.p[i] - '0');
    }
    return true;
}
