// SPDX-License-Identifier: Apache-2.0
// What is sent of a stream. A row is rendered once for all who asked for the same fields.
#include "metrics-api/stream_internal.h"

#include "metrics-api/answer_internal.h"

static int write_buf(struct stream_client *c, const struct buf *b)
{
    return http_stream_send(c->stream, b->p, b->n);
}

int stream_write_text(struct stream_client *c, const char *text)
{
    return http_stream_send(c->stream, text, strlen(text));
}

static void render_event(struct stream_hub *h, struct stream_view *v, const struct repo_meta *meta,
                         const struct fact_row *row)
{
    struct fact_row judged = *row;
    struct metrics_row out;
    struct render r = {RENDER_NDJSON, field_infos, &v->fields, .out = &v->event};
    answer_judge(meta, &judged);
    fact_row_derive(&judged, &h->scratch, &out);
    buf_clear(&v->event);
    buf_adds(&v->event, "event: window\ndata: ");
    render_row(&r, &out, NULL, NULL);
    buf_addc(&v->event, '\n');
}

int stream_write_row(struct stream_client *c, const struct repo_meta *meta,
                     const struct fact_row *row, uint64_t number)
{
    struct stream_view *v = c->view;
    if (v->row != number) {
        render_event(c->hub, v, meta, row);
        v->row = number;
    }
    if (write_buf(c, &v->event) != 0)
        return -1;
    c->hub->stats->stream_rows++;
    return 0;
}

static void add_time(struct buf *b, int64_t t_us)
{
    if (t_us == INT64_MIN)
        buf_adds(b, "null");
    else
        answer_add_time(b, t_us);
}

static int write_at(struct stream_client *c, const char *event, const struct position *at)
{
    struct stream_hub *h = c->hub;
    buf_clear(&h->event);
    buf_addf(&h->event, "event: %s\nid: ", event);
    position_text(at, &h->event);
    buf_adds(&h->event, "\ndata: {\"data_through\":");
    add_time(&h->event, h->closed_through_us);
    buf_adds(&h->event, "}\n\n");
    return write_buf(c, &h->event);
}

int stream_write_hello(struct stream_client *c)
{
    return write_at(c, "hello", &c->hub->position);
}

int stream_write_position(struct stream_client *c, const struct position *at)
{
    return write_at(c, "position", at);
}

int stream_write_missed(struct stream_client *c, int64_t from_us, int64_t to_us, const char *reason)
{
    struct buf *b = &c->hub->event;
    c->hub->stats->stream_missed++;
    buf_clear(b);
    buf_adds(b, "event: missed\ndata: {\"from\":");
    add_time(b, from_us);
    buf_adds(b, ",\"to\":");
    add_time(b, to_us);
    buf_addf(b, ",\"reason\":\"%s\"}\n\n", reason);
    return write_buf(c, b);
}
