// SPDX-License-Identifier: Apache-2.0
#include "common/core/event_keys.h"

#define FIELD_MAX 64 // with its NUL: longer than any name of ours

struct walk {
    struct str bytes;
    size_t at, depth;
    bool object;   // the outermost bracket is a curly one
    bool key_next; // the next string of the outermost level is a key
};

// The next key of the outermost object, as it is written, without its quotes.
static bool next_key(struct walk *w, struct str *key)
{
    while (w->at < w->bytes.n) {
        size_t begin = w->at;
        char c = w->bytes.p[begin];
        w->at = c == '"' ? event_string_end(w->bytes, begin) : begin + 1;
        if (c == '"') {
            bool is_key = w->object && w->depth == 1 && w->key_next && w->at - begin >= 2;
            w->key_next = false;
            if (is_key) {
                *key = (struct str){w->bytes.p + begin + 1, w->at - begin - 2};
                return true;
            }
        } else if (c == '{' || c == '[') {
            if (w->depth++ == 0)
                w->object = c == '{';
        } else if ((c == '}' || c == ']') && w->depth > 0) {
            w->depth--;
        }
        if (c == '{' || c == ',')
            w->key_next = true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// What the escape behind a backslash stands for, and its length; -1 where it is none, or stands for
// what cannot be in a field's name.
static int read_escape(const char *p, size_t n, size_t *length)
{
    *length = 1;
    if (n > 0 && (p[0] == '"' || p[0] == '\\' || p[0] == '/'))
        return p[0];
    if (n < 5 || p[0] != 'u')
        return -1;
    int code = 0;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    *length = 5;
    return code;
}

static void key_text(struct str key, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < key.n;) {
        int c = (unsigned char)key.p[i++];
        if (c == '\\') {
            size_t length;
            c = read_escape(key.p + i, key.n - i, &length);
            i += length;
        }
        if (c < 0x21 || c > 0x7e || n + 1 == size) {
            text[0] = '\0';
            return;
        }
        text[n++] = (char)c;
        text[n] = '\0';
    }
}

void event_key_before(struct str bytes, size_t offset, char *field, size_t size)
{
    struct walk w = {.bytes = bytes};
    struct str key, last = {NULL, 0};
    while (next_key(&w, &key) && (size_t)(key.p - 1 - bytes.p) < offset)
        last = key;
    key_text(last, field, size);
}

int64_t event_value_offset(struct str bytes, const char *field)
{
    struct walk w = {.bytes = bytes};
    struct str key;
    char text[FIELD_MAX];
    while (next_key(&w, &key)) {
        key_text(key, text, sizeof(text));
        if (strcmp(text, field) != 0)
            continue;
        size_t at = w.at;
        while (at < bytes.n && bytes.p[at] != '\0' && strchr(" \t\r\n:", bytes.p[at]))
            at++;
        return at < bytes.n ? (int64_t)at : -1;
    }
    return -1;
}
