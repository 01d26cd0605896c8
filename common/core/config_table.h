// SPDX-License-Identifier: Apache-2.0
// The table of settings, shared by the code that reads them (config.c) and the code that shows them
// (config_render.c). Nobody else includes this.
#ifndef STREAMLENS_CONFIG_TABLE_H
#define STREAMLENS_CONFIG_TABLE_H

#include "common/core/config.h"

enum setting_type {
    SETTING_STRING,
    SETTING_NAME,   // a string that becomes part of a name in Kafka: letters, digits, '.', '_', '-'
    SETTING_NUMBER, // a whole number
    SETTING_CHOICE, // one of a few words
};

// A setting whose default differs between programs stands in the table once for each.
struct setting {
    const char *name;
    const char *section; // heading on the reference page; NULL = the one above
    unsigned programs;   // enum config_program, or-ed
    enum setting_type type;
    bool pinned;         // held in the database once set up; unset here unless given
    size_t offset;       // of the member of struct config: char * or int64_t
    const char *text;    // default of a string or choice
    const char *choices; // "a|b|c"
    int64_t number;      // default of a number
    int64_t least, most; // range of a number, bounds of a string's length
    const char *help;
};

#define SETTINGS_MAX 96
extern const struct setting config_settings[];
extern const size_t config_setting_count;

static inline bool setting_is_text(const struct setting *s)
{
    return s->type != SETTING_NUMBER;
}

// Strings, that is: a word of a choice or a number is no secret and needs no file.
static inline bool setting_takes_file(const struct setting *s)
{
    return s->type == SETTING_STRING || s->type == SETTING_NAME;
}

// "--join-ttl-ms" of "JOIN_TTL_MS", without the dashes in front. NUL-terminated, cut to the room.
void setting_flag_name(const char *name, char *out, size_t cap);

#define CONFIG_FLAG_MAX 64

#endif
