// SPDX-License-Identifier: Apache-2.0
// A line is built in one buffer and written by one write(2), so that lines of several processes
// that share a descriptor do not mix.
#include "common/io/log.h"

#include "common/core/buf.h"
#include "common/core/timeunit.h"
#include "common/io/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_tags[] = {"DEBUG", "INFO", "WARN", "ERROR"};

// The one piece of global state here: a log that had to be handed through every layer would be left
// out of the places that need it. Set once, before threads start.
static struct {
    const char *program;
    bool json;
    enum log_level level;
} state = {"streamlens", false, LOG_INFO};

void log_init(const char *program, const char *format, const char *level)
{
    state.program = program;
    state.json = format && strcmp(format, "json") == 0;
    state.level = LOG_INFO;
    for (size_t i = 0; level && i < ARRAY_LEN(level_names); i++) {
        if (strcmp(level, level_names[i]) == 0)
            state.level = (enum log_level)i;
    }
}

bool log_enabled(enum log_level level)
{
    return level >= state.level;
}

// Length of the valid UTF-8 sequence at p, 0 where there is none. Control characters are "none".
static size_t utf8_len(const unsigned char *p)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) // also ends at the NUL
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

// What a client sent must not be able to begin a line, colour a terminal or break a JSON reader:
// such bytes are written as escapes. A stray byte becomes \u00XX in JSON, where \x does not exist.
static void add_escaped(struct buf *b, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        size_t n = utf8_len(p);
        if (n == 0)
            buf_addf(b, state.json ? "\\u%04x" : "\\x%02x", *p);
        else if (*p == '"' || *p == '\\')
            buf_addf(b, "\\%c", *p);
        else
            buf_add(b, p, n);
        p += n ? n : 1;
    }
}

static void add_quoted(struct buf *b, const char *s)
{
    buf_addc(b, '"');
    add_escaped(b, s);
    buf_addc(b, '"');
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '=' || *s == '\\')
            return false;
    }
    return true;
}

static void add_field(struct buf *b, const char *key, const char *value)
{
    if (!value)
        value = "";
    if (state.json) {
        buf_addc(b, ',');
        add_quoted(b, key);
        buf_addc(b, ':');
        add_quoted(b, value);
        return;
    }
    buf_addf(b, " %s=", key);
    if (is_plain(value))
        buf_adds(b, value);
    else
        add_quoted(b, value);
}

// Milliseconds always, so that lines align; time_format_rfc3339 leaves a zero fraction out.
static void add_time(struct buf *b)
{
    int64_t now_us = clock_wall_us();
    char text[TIME_RFC3339_MAX];
    time_format_rfc3339(time_floor_us(now_us, US_PER_S), text);
    text[strlen(text) - 1] = '\0'; // the Z
    buf_addf(b, "%s.%03dZ", text, (int)(now_us % US_PER_S / US_PER_MS));
}

static void add_prefix(struct buf *b, enum log_level level, const char *event)
{
    if (!state.json) {
        add_time(b);
        buf_addf(b, " %s %s: ", level_tags[level], state.program);
        add_escaped(b, event);
        return;
    }
    buf_adds(b, "{\"time\":\"");
    add_time(b);
    buf_addf(b, "\",\"level\":\"%s\",\"program\":", level_names[level]);
    add_quoted(b, state.program);
    buf_adds(b, ",\"event\":");
    add_quoted(b, event);
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; // nobody is left to tell
        p += done;
        n -= (size_t)done;
    }
}

void log_write(enum log_level level, const char *event, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    struct buf b = {0};
    add_prefix(&b, level, event);
    va_list ap;
    va_start(ap, event);
    for (const char *key = va_arg(ap, const char *); key; key = va_arg(ap, const char *))
        add_field(&b, key, va_arg(ap, const char *));
    va_end(ap);
    buf_adds(&b, state.json ? "}\n" : "\n");
    write_all(b.p, b.n);
    buf_free(&b);
    errno = saved;
}

const char *log_num(int64_t n)
{
    // Atomic, because librdkafka's threads log too.
    static char text[16][24];
    static atomic_uint next;
    char *out = text[atomic_fetch_add(&next, 1) % 16];
    snprintf(out, sizeof(text[0]), "%" PRId64, n);
    return out;
}

bool log_limit(struct log_limit *l, int64_t now_us, int64_t interval_us)
{
    if (l->last_us != 0 && now_us - l->last_us < interval_us) {
        l->suppressed++;
        return false;
    }
    l->last_us = now_us;
    return true;
}
