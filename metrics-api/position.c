// SPDX-License-Identifier: Apache-2.0
#include "metrics-api/position.h"

#include <inttypes.h>

#define XID_MAX (UINT64_C(1) << 62)

static bool read_database(struct position *p, struct str *text)
{
    if (text->n <= POSITION_DATABASE || text->p[POSITION_DATABASE] != '-')
        return false;
    for (size_t i = 0; i < POSITION_DATABASE; i++) {
        if (!strchr("0123456789abcdef", text->p[i]) || text->p[i] == '\0')
            return false;
        p->database[i] = text->p[i];
    }
    *text = (struct str){text->p + POSITION_DATABASE + 1, text->n - POSITION_DATABASE - 1};
    return true;
}

// Digits, and what stands behind them: `end`, or the text's end where that is '\0'.
static bool read_xid(struct str *text, char end, uint64_t *out)
{
    size_t i = 0;
    for (*out = 0; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
        *out = *out * 10 + (uint64_t)(text->p[i] - '0');
        if (*out >= XID_MAX)
            return false;
    }
    bool ended = end == '\0' ? i == text->n : i < text->n && text->p[i] == end;
    size_t used = i + (end != '\0' && ended);
    *text = (struct str){text->p + used, text->n - used};
    return i > 0 && ended;
}

static bool read_running(struct position *p, struct str text)
{
    size_t cap = 0;
    while (text.n > 0) {
        uint64_t xid;
        bool more = memchr(text.p, ',', text.n) != NULL;
        if (!read_xid(&text, more ? ',' : '\0', &xid) || (more && text.n == 0))
            return false;
        uint64_t least = p->running_count > 0 ? p->running[p->running_count - 1] + 1 : p->xmin;
        if (xid < least || xid >= p->xmax)
            return false;
        if (p->running_count == cap) {
            cap = cap ? cap * 2 : 8;
            p->running = xrealloc(p->running, cap * sizeof(*p->running));
        }
        p->running[p->running_count++] = xid;
    }
    return true;
}

int position_parse(struct position *p, struct str text, struct err *e)
{
    *p = (struct position){0};
    if (read_database(p, &text) && read_xid(&text, ':', &p->xmin) &&
        read_xid(&text, ':', &p->xmax) && p->xmin > 0 && p->xmin <= p->xmax &&
        read_running(p, text))
        return 0;
    position_clear(p);
    return err_field(e, "last_event_id", -1, "must be an event's id as it was received");
}

void position_copy(struct position *to, const struct position *from)
{
    position_clear(to);
    *to = *from;
    to->running = NULL;
    if (from->running_count > 0)
        to->running = xmemdup(from->running, from->running_count * sizeof(*from->running));
}

void position_clear(struct position *p)
{
    free(p->running);
    *p = (struct position){0};
}

void position_snapshot(const struct position *p, struct buf *out)
{
    buf_addf(out, "%" PRIu64 ":%" PRIu64 ":", p->xmin, p->xmax);
    for (size_t i = 0; i < p->running_count; i++)
        buf_addf(out, i > 0 ? ",%" PRIu64 : "%" PRIu64, p->running[i]);
}

void position_text(const struct position *p, struct buf *out)
{
    size_t begin = out->n;
    buf_addf(out, "%s-", p->database);
    size_t behind = out->n;
    position_snapshot(p, out);
    if (out->n - begin <= POSITION_TEXT_MAX)
        return;
    out->n = behind;
    buf_addf(out, "%" PRIu64 ":%" PRIu64 ":", p->xmin, p->xmin);
}

bool position_same_database(const struct position *a, const struct position *b)
{
    return strcmp(a->database, b->database) == 0;
}

static bool is_running(const struct position *p, uint64_t xid)
{
    size_t low = 0, high = p->running_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (p->running[mid] < xid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->running_count && p->running[low] == xid;
}

bool position_covers(const struct position *whole, const struct position *part)
{
    if (whole->xmax < part->xmax)
        return false;
    for (size_t i = 0; i < whole->running_count && whole->running[i] < part->xmax; i++)
        if (!is_running(part, whole->running[i]))
            return false;
    return true;
}
