// SPDX-License-Identifier: Apache-2.0
#include "common/core/csv.h"

void csv_begin(struct csv *c, struct str text)
{
    *c = (struct csv){.rest = text};
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        c->rest = (struct str){text.p + 3, text.n - 3};
}

void csv_free(struct csv *c)
{
    free(c->cells);
    buf_free(&c->unquoted);
    *c = (struct csv){0};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t skip_blanks(struct str s, size_t at)
{
    while (at < s.n && is_blank(s.p[at]))
        at++;
    return at;
}

// Without its end.
static struct str cut_line(struct csv *c)
{
    const char *end = memchr(c->rest.p, '\n', c->rest.n);
    size_t n = end ? (size_t)(end - c->rest.p) : c->rest.n;
    struct str line = {c->rest.p, n};
    n += end != NULL;
    c->rest = (struct str){c->rest.p + n, c->rest.n - n};
    c->line++;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static void add_cell(struct csv *c, struct str cell)
{
    if (c->n == c->cap) {
        c->cap = c->cap == 0 ? 32 : 2 * c->cap;
        c->cells = xrealloc(c->cells, c->cap * sizeof(c->cells[0]));
    }
    c->cells[c->n++] = cell;
}

// Each reads the cell that begins at *at and leaves *at behind it.
static int read_plain(struct str line, size_t *at, struct str *cell, struct err *e)
{
    size_t begin = *at;
    while (*at < line.n && line.p[*at] != ',') {
        if (line.p[(*at)++] == '"')
            return err_set(e, "must stand in quotes, since it holds one: \"say \"\"so\"\"\"");
    }
    size_t end = *at;
    while (end > begin && is_blank(line.p[end - 1]))
        end--;
    *cell = (struct str){line.p + begin, end - begin};
    return 0;
}

static int read_quoted(struct csv *c, struct str line, size_t *at, struct str *cell, struct err *e)
{
    size_t begin = c->unquoted.n, i = *at + 1;
    for (;; i++) {
        if (i == line.n)
            return err_set(e, "must end with a quote on its line");
        if (line.p[i] == '"' && (i + 1 == line.n || line.p[i + 1] != '"'))
            break;
        i += line.p[i] == '"'; // one of two
        buf_addc(&c->unquoted, line.p[i]);
    }
    *at = skip_blanks(line, i + 1);
    if (*at < line.n && line.p[*at] != ',')
        return err_set(e, "must be followed by a comma, since its quotes are closed");
    *cell = (struct str){c->unquoted.p + begin, c->unquoted.n - begin};
    return 0;
}

static int check_bytes(struct str cell, struct err *e)
{
    for (size_t i = 0; i < cell.n; i++) {
        unsigned char byte = (unsigned char)cell.p[i];
        if (byte < 0x20 || byte == 0x7f)
            return err_set(e, "must not hold control characters");
    }
    return 0;
}

static int read_cells(struct csv *c, struct str line, struct err *e)
{
    c->n = 0;
    buf_clear(&c->unquoted);
    buf_reserve(&c->unquoted, line.n); // cells point into it
    for (size_t at = 0;; at++) {
        struct str cell = {0};
        at = skip_blanks(line, at);
        int rc = at < line.n && line.p[at] == '"' ? read_quoted(c, line, &at, &cell, e)
                                                  : read_plain(line, &at, &cell, e);
        if (rc != 0 || check_bytes(cell, e) != 0)
            return -1;
        add_cell(c, cell);
        if (at >= line.n)
            return 1;
    }
}

int csv_next(struct csv *c, struct err *e)
{
    while (c->rest.n > 0) {
        struct str line = cut_line(c);
        if (skip_blanks(line, 0) < line.n && line.p[0] != '#')
            return read_cells(c, line, e);
    }
    return 0;
}

void csv_add_cell(struct buf *out, struct str cell)
{
    bool quoted =
        cell.n > 0 && (is_blank(cell.p[0]) || is_blank(cell.p[cell.n - 1]) || cell.p[0] == '#' ||
                       memchr(cell.p, ',', cell.n) || memchr(cell.p, '"', cell.n) ||
                       memchr(cell.p, '\n', cell.n) || memchr(cell.p, '\r', cell.n));
    if (!quoted) {
        buf_add(out, cell.p, cell.n);
        return;
    }
    buf_addc(out, '"');
    for (size_t i = 0; i < cell.n; i++) {
        if (cell.p[i] == '"')
            buf_addc(out, '"');
        buf_addc(out, cell.p[i]);
    }
    buf_addc(out, '"');
}
