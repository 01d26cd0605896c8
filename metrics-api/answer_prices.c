// SPDX-License-Identifier: Apache-2.0
// The catalogue: a page of its lines, or what one name costs.
#include "metrics-api/answer_internal.h"

// A page that would be longer ends before: a line may have 100 aliases.
#define PAGE_BYTES_MAX (8u << 20)

struct answering_prices {
    struct answering g;
    struct repo_prices_request *asking; // NULL: none
};

static struct str name_of(const char *text)
{
    return text ? str_of(text) : (struct str){NULL, 0};
}

// What is told beside the lines, and the brace.
static void add_about(struct answering *g)
{
    struct buf *out = &g->out.body;
    buf_adds(out, ",\"at\":");
    answer_add_time(out, g->q.at_us);
    buf_addf(out, ",\"catalogue_version\":%lld", (long long)g->q.price_version);
    if (g->q.name)
        buf_addc(out, '}');
    else if (g->out.about.next_cursor.n > 0)
        buf_addf(out, ",\"next_cursor\":\"%s\"}", g->out.about.next_cursor.p);
    else
        buf_adds(out, ",\"next_cursor\":null}");
}

static void write_name(struct answering *g, const struct price_book *book)
{
    struct price_asked asked = {
        .name = name_of(g->q.name),
        .asked = name_of(g->q.asked),
        .version = g->q.price_version,
        .at_us = g->q.at_us,
        .tenant = name_of(g->q.tenant_id),
    };
    price_book_resolve(book, &asked, &g->out.body);
    g->out.rows = 1;
    add_about(g);
}

static void write_list(struct answering *g, const struct price_book *book)
{
    static const struct fields all = {.bits = (UINT64_C(1) << PRICE_FIELD_COUNT) - 1};
    struct render render = {g->q.format, price_field_infos, &all, .out = &g->out.body};
    struct price_view view = {
        .version = g->q.price_version,
        .at_us = g->q.at_us,
        .tenant = name_of(g->q.tenant_id),
        .every_tenant = g->q.every_tenant,
        .prefix = name_of(g->q.prefix),
    };
    size_t limit = (size_t)g->q.limit;
    struct price_entry *lines = xcalloc(limit, sizeof(*lines));
    struct price_row row;
    struct buf aliases = {0};
    bool more;
    size_t n =
        price_book_list(book, &view, g->q.has_after ? &g->q.after : NULL, limit, lines, &more);
    render_begin(&render, "prices");
    for (size_t i = 0; i < n && g->out.body.n < PAGE_BYTES_MAX; i++) {
        price_row_of(&lines[i], &aliases, &row);
        render_row(&render, &row, NULL, NULL);
    }
    render_end(&render);
    more = more || render.rows < n;
    n = g->out.rows = render.rows;
    if (more) {
        struct fold_place last = price_entry_place(&lines[n - 1]);
        answer_add_cursor(g, &last);
    }
    if (g->q.format == RENDER_JSON)
        add_about(g);
    buf_free(&aliases);
    free(lines);
}

static void on_done(void *arg, enum repo_status status, const struct price_book *book,
                    const struct err *e)
{
    struct answering_prices *s = arg;
    s->asking = NULL;
    if (status != REPO_OK) {
        answer_end_bad(&s->g, status, e);
        return;
    }
    if (s->g.q.price_version == 0)
        s->g.q.price_version = catalogue_version(price_book_catalogue(book));
    if (s->g.q.name)
        write_name(&s->g, book);
    else
        write_list(&s->g, book);
    s->g.out.status = ANSWER_OK;
    answer_end(&s->g);
}

static int begin(struct answering *g)
{
    struct answering_prices *s = (struct answering_prices *)g;
    s->asking = repo_prices_ask(repo_prices(g->an->repo), on_done, s);
    return 0;
}

static void clear(struct answering *g)
{
    struct answering_prices *s = (struct answering_prices *)g;
    if (s->asking)
        repo_prices_cancel(s->asking);
}

const struct answer_kind answer_prices = {sizeof(struct answering_prices), begin, clear};
