// SPDX-License-Identifier: Apache-2.0
// The words behind a command: its own options (--tenant=acme or --tenant acme, in any place), the
// settings' flags, which are passed on, and what is neither. Pure.
#ifndef STREAMLENS_ADMIN_ARGS_H
#define STREAMLENS_ADMIN_ARGS_H

#include "common/core/err.h"

// What a command returns beside 0 and -1 (failed): it was called wrongly.
#define ARGS_WRONG (-2)

struct arg_option {
    const char *name;  // without the dashes; NULL ends a list
    const char *value; // what it takes, for help; NULL: nothing
    const char *help;
};

#define ARGS_OPTIONS_MAX 8
#define ARGS_WORDS_MAX 32

struct args {
    const struct arg_option *options; // borrowed
    const char *values[ARGS_OPTIONS_MAX];
    const char *words[ARGS_WORDS_MAX];
    size_t word_count;
    char **settings; // argv for config_load: [0] is a placeholder, then flags
    int setting_count;
};

// argv borrowed, all of it arguments. 0 or ARGS_WRONG. Free with args_free in either case.
int args_read(const struct arg_option *options, int argc, char **argv, struct args *out,
              struct err *e) MUST_CHECK;
void args_free(struct args *a);

// NULL where not given; "" for one that takes nothing. A name that is no option of the command is
// never given.
const char *args_get(const struct args *a, const char *name);
// The same as a str, and dflt where not given.
struct str args_str(const struct args *a, const char *name, const char *dflt);

// An option that must be given, as RFC 3339, in µs. 0 or ARGS_WRONG.
int args_time(const struct args *a, const char *name, int64_t *out_us, struct err *e) MUST_CHECK;

// A whole number of 1 to 18 digits, and nothing else.
bool args_number(struct str text, int64_t *out);

#endif
