// SPDX-License-Identifier: Apache-2.0
#include "processor/publish_record.h"

#include "common/core/hist.h"
#include "common/core/timeunit.h"

// Keys without either character, nearly all of them, read as they are.
static void add_key_part(struct buf *out, struct str part)
{
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] == '|')
            buf_adds(out, "%7C");
        else if (part.p[i] == '%')
            buf_adds(out, "%25");
        else
            buf_addc(out, part.p[i]);
    }
}

static void add_key(struct buf *out, const struct metrics_row *row)
{
    add_key_part(out, row->tenant_id);
    buf_addc(out, '|');
    add_key_part(out, row->route);
    buf_addc(out, '|');
    add_key_part(out, row->model);
}

static void add_histogram(struct buf *out, const char *member, struct str plain)
{
    buf_addf(out, ",\"%s\":", member);
    if (!plain.p) {
        buf_adds(out, "null");
        return;
    }
    struct buf compressed = {0};
    hist_compress(plain, &compressed);
    buf_addc(out, '"');
    buf_add_base64(out, compressed.p, compressed.n);
    buf_addc(out, '"');
    buf_free(&compressed);
}

void publish_record_add(struct publish_batch *b, struct metrics_json *j,
                        const struct metrics_row *row, int64_t due_ms, struct str latency_hdr,
                        struct str ttft_hdr)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 64;
        b->v = xrealloc(b->v, b->cap * sizeof(*b->v));
    }
    struct publish_record *r = &b->v[b->n++];
    *r = (struct publish_record){
        .seq = row->publish_seq,
        .time_ms = row->window_end_us / US_PER_MS,
        .due_ms = due_ms,
        .key_at = b->bytes.n,
    };
    add_key(&b->bytes, row);
    r->key_n = b->bytes.n - r->key_at;
    r->value_at = b->bytes.n;
    buf_addc(&b->bytes, '{');
    metrics_json_members(j, &b->bytes, row);
    add_histogram(&b->bytes, "latency_hdr", latency_hdr);
    add_histogram(&b->bytes, "ttft_hdr", ttft_hdr);
    buf_addc(&b->bytes, '}');
    r->value_n = b->bytes.n - r->value_at;
}

void publish_batch_clear(struct publish_batch *b)
{
    free(b->v);
    buf_free(&b->bytes);
    *b = (struct publish_batch){0};
}
