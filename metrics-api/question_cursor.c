// SPDX-License-Identifier: Apache-2.0
// Cursors and keys. A cursor is, before base64url: a version, from, to and start (8 bytes each, big
// endian), the three names (a length, 0 for none, and the bytes), and the hash. Of prices the first
// two are the instant and the version.
#include "metrics-api/question_internal.h"

#include "common/core/event.h"
#include "common/core/hash.h"

#define VERSION 1
#define NAMES 3
#define HASH_BYTES 8
#define PAGE_MIN (1 + 3 * 8 + NAMES + HASH_BYTES)
#define PAGE_MAX (PAGE_MIN + NAMES * EVENT_NAME_MAX)
_Static_assert(EVENT_NAME_MAX <= 255, "a name's length is a byte");

static void add_name(struct buf *out, const char *what, const char *text)
{
    if (text)
        buf_addf(out, "%s=%zu:%s;", what, strlen(text), text);
}

static void add_names(struct buf *out, const char *what, const struct question_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        add_name(out, what, names->v[i]);
}

// Which rows there are, but for the range. Lengths before names: no name can pretend to be more.
static void add_identity(struct buf *out, const struct question *q)
{
    buf_addf(out, "endpoint=%d;cells=%d;group_by=%u;step=%lld;ascending=%d;", (int)q->endpoint,
             q->cells, q->group_by, (long long)q->step_us, q->ascending);
    add_name(out, "tenant", q->tenant_id);
    add_names(out, "route", &q->routes);
    add_names(out, "model", &q->models);
    add_name(out, "prefix", q->prefix);
    add_name(out, "zone", q->zone);
    if (q->endpoint != ENDPOINT_PRICES)
        return;
    add_name(out, "name", q->name);
    add_name(out, "asked", q->asked);
    buf_addf(out, "every_tenant=%d;", q->every_tenant);
}

// As it was asked: "the last hour" is the same question a minute later, and its pages go on in the
// range of the first one.
static void add_asked_time(struct buf *out, const char *what, const struct question_time *t)
{
    int64_t us = t->us;
    if (t->kind == TIME_AT && question_time_resolve(t, 0, &us) != 0)
        us = t->us;
    buf_addf(out, "%s=%d:%lld;", what, (int)t->kind, (long long)us);
}

// Likewise, of prices.
static void add_asked_instant(struct buf *out, const struct question_time *t)
{
    int64_t us = t->us;
    if (t->kind == TIME_AT && question_time_minute(t, 0, &us) != 0)
        us = t->us;
    buf_addf(out, "at=%d:%lld;", (int)t->kind, (long long)us);
}

static uint64_t page_hash(const struct question *q, const void *page, size_t n)
{
    struct buf text = {0};
    add_identity(&text, q);
    add_asked_time(&text, "from", &q->given->from);
    add_asked_time(&text, "to", &q->given->to);
    if (q->endpoint == ENDPOINT_PRICES)
        add_asked_instant(&text, &q->given->at);
    buf_add(&text, page, n);
    uint64_t hash = hash_stable64(text.p, text.n);
    buf_free(&text);
    return hash;
}

static void add_u64(struct buf *out, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_addc(out, (char)(v >> shift & 0xff));
}

static void add_base64url(struct buf *out, const struct buf *bytes)
{
    size_t start = out->n;
    buf_add_base64(out, bytes->p, bytes->n);
    while (out->p[out->n - 1] == '=')
        out->n--;
    for (size_t i = start; i < out->n; i++)
        out->p[i] = out->p[i] == '+' ? '-' : out->p[i] == '/' ? '_' : out->p[i];
}

void question_cursor(const struct question *q, const struct fold_place *last, struct buf *out)
{
    struct buf page = {0};
    const struct str names[NAMES] = {last->tenant_id, last->route, last->model};
    bool prices = q->endpoint == ENDPOINT_PRICES;
    buf_addc(&page, VERSION);
    add_u64(&page, (uint64_t)(prices ? q->at_us : q->from_us));
    add_u64(&page, (uint64_t)(prices ? q->price_version : q->to_us));
    add_u64(&page, (uint64_t)last->start_us);
    for (size_t i = 0; i < NAMES; i++) {
        assert(names[i].n <= EVENT_NAME_MAX);
        buf_addc(&page, (char)names[i].n);
        buf_add(&page, names[i].p, names[i].n);
    }
    add_u64(&page, page_hash(q, page.p, page.n));
    add_base64url(out, &page);
    buf_free(&page);
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// Only the one text that add_base64url() makes of the bytes.
static bool decode(const char *text, struct buf *out)
{
    unsigned bits = 0, held = 0;
    for (; *text; text++) {
        int digit = digit_of(*text);
        if (digit < 0 || out->n == PAGE_MAX)
            return false;
        bits = bits << 6 | (unsigned)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_addc(out, (char)(bits >> held & 0xff));
        }
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0;
}

static uint64_t get_u64(const char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

// The names behind *at; false where one is not what a name can be.
static bool take_names(struct str page, size_t *at, struct fold_place *out)
{
    struct str *names[NAMES] = {&out->tenant_id, &out->route, &out->model};
    struct err ignored;
    for (size_t i = 0; i < NAMES; i++) {
        if (*at == page.n)
            return false;
        size_t n = (unsigned char)page.p[(*at)++];
        if (n > page.n - *at)
            return false;
        *names[i] = n > 0 ? (struct str){page.p + *at, n} : (struct str){NULL, 0};
        if (n > 0 && event_check_name("cursor", *names[i], &ignored) != 0)
            return false;
        *at += n;
    }
    return *at == page.n;
}

// A range that question_decide_range() could have made, and a place in it. A hash that fits is no
// proof of that: anybody can compute it.
static bool is_plausible(const struct question *q)
{
    bool open_from = q->from_us == INT64_MIN, open_to = q->to_us == INT64_MAX;
    const struct fold_place *p = &q->after;
    unsigned named = (p->tenant_id.p ? GROUP_TENANT : 0) | (p->route.p ? GROUP_ROUTE : 0) |
                     (p->model.p ? GROUP_MODEL : 0);
    if (question_lists(q))
        return !open_from && !open_to && (q->group_by & ~named) == 0;
    bool may_be_open = !q->cells && q->given->from.kind == TIME_MISSING;
    if ((open_from != may_be_open) ||
        (open_to != (may_be_open && q->given->to.kind == TIME_MISSING)))
        return false;
    return named == q->group_by && p->start_us >= q->from_us && p->start_us < q->to_us;
}

static bool is_range(const struct question *q)
{
    bool open_from = q->from_us == INT64_MIN, open_to = q->to_us == INT64_MAX;
    bool from_fine = open_from || (time_in_range_us(q->from_us) && q->from_us % US_PER_MIN == 0);
    bool to_fine = open_to || (time_in_range_us(q->to_us) && q->to_us % US_PER_MIN == 0);
    if (!from_fine || !to_fine || q->from_us >= q->to_us)
        return false;
    return open_from || open_to || q->to_us - q->from_us <= QUESTION_RANGE_MAX_US;
}

static bool take_instant(struct question *q, int64_t at_us, int64_t version)
{
    q->at_us = at_us;
    q->price_version = version;
    return time_in_range_us(at_us) && at_us % US_PER_MIN == 0 && version > 0 && q->after.model.p &&
           q->after.start_us >= 0;
}

static bool take_page(struct question *q)
{
    struct buf *bytes = &q->given->page;
    if (!decode(q->given->cursor, bytes) || bytes->n < PAGE_MIN || bytes->p[0] != VERSION)
        return false;
    struct str page = {bytes->p, bytes->n - HASH_BYTES};
    if (get_u64(page.p + page.n) != page_hash(q, page.p, page.n))
        return false;
    int64_t first = (int64_t)get_u64(page.p + 1), second = (int64_t)get_u64(page.p + 9);
    q->after.start_us = (int64_t)get_u64(page.p + 17);
    size_t at = 25;
    if (!take_names(page, &at, &q->after))
        return false;
    if (q->endpoint == ENDPOINT_PRICES)
        return take_instant(q, first, second);
    q->from_us = first;
    q->to_us = second;
    return is_range(q) && is_plausible(q);
}

int question_take_cursor(struct question *q, struct err *e)
{
    if (!take_page(q))
        return err_field(
            e, "cursor", -1,
            "is not one of this question: take the one that came with its page before, "
            "and leave all but limit, fields, percentiles and format as they were");
    q->has_after = true;
    return 0;
}

void question_key(const struct question *q, struct buf *out)
{
    add_identity(out, q);
    buf_addf(out, "from=%lld;to=%lld;fields=%llx;", (long long)q->from_us, (long long)q->to_us,
             (unsigned long long)q->fields.bits);
    for (size_t i = 0; i < q->fields.n; i++) {
        const struct percentile *p = &q->fields.percentiles[i];
        buf_addf(out, "p%s=%d%d;", p->digits, p->latency, p->ttft);
    }
    buf_addf(out, "fill=%d;by=%d;metric=%d;limit=%lld;format=%d;", (int)q->fill, (int)q->by,
             (int)q->metric, (long long)q->limit, (int)q->format);
    if (q->endpoint == ENDPOINT_PRICES)
        buf_addf(out, "at=%lld;version=%lld;", (long long)q->at_us, (long long)q->price_version);
    if (q->has_after)
        buf_addf(out, "after=%s;", q->given->cursor);
}
