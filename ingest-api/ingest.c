// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/ingest.h"

#include "common/core/event_keys.h"
#include "common/core/json_split.h"

struct ingest {
    struct ingest_limits limits;
    struct event_parser *parser;
    struct ingest_record *records; // of the last batch; the array is kept for the next one
    size_t record_count, record_cap;
    struct buf keys; // the records' keys one after another
};

struct ingest *ingest_new(const struct ingest_limits *limits)
{
    struct ingest *in = xcalloc(1, sizeof(*in));
    in->limits = *limits;
    in->parser = event_parser_new();
    return in;
}

void ingest_free(struct ingest *in)
{
    if (!in)
        return;
    event_parser_free(in->parser);
    free(in->records);
    buf_free(&in->keys);
    free(in);
}

void ingest_report_add(struct ingest_report *r, size_t index, const struct err *e)
{
    r->rejected++;
    if (r->listed == INGEST_ERRORS_LISTED)
        return;
    if (r->listed++ > 0)
        buf_addc(&r->errors, ',');
    buf_addf(&r->errors, "{\"index\":%zu,\"field\":", index);
    buf_add_json_str(&r->errors, str_of(e->field));
    buf_adds(&r->errors, ",\"detail\":");
    buf_add_json_str(&r->errors, str_of(e->detail));
    if (e->offset >= 0)
        buf_addf(&r->errors, ",\"offset\":%lld", (long long)e->offset);
    buf_addc(&r->errors, '}');
}

void ingest_report_render(const struct ingest_report *r, struct buf *out)
{
    buf_addf(out, "\"accepted\":%zu,\"rejected\":%zu,\"errors\":[", r->accepted, r->rejected);
    buf_add(out, r->errors.p, r->errors.n);
    buf_addc(out, ']');
}

void ingest_report_free(struct ingest_report *r)
{
    buf_free(&r->errors);
}

static int check_size(const struct ingest *in, struct str bytes, struct err *e)
{
    if (bytes.n <= in->limits.max_event_bytes)
        return 0;
    return err_set(e, "the event has %zu bytes; at most %zu are taken", bytes.n,
                   in->limits.max_event_bytes);
}

// What the grammar cannot say, because it depends on who sends and when.
static enum ingest_verdict judge_context(const struct event *ev, struct str tenant, int64_t now_us,
                                         struct err *e)
{
    if (tenant.p && ev->tenant_id.p && !str_eq(ev->tenant_id, tenant)) {
        err_field(e, "tenant_id", -1,
                  "must be left out, or be the tenant that the credential was given to");
        return INGEST_OTHER_TENANT;
    }
    if (ev->kind != EVENT_REQUEST)
        return INGEST_TAKEN;
    if (!ev->tenant_id.p && !tenant.p) {
        err_field(e, "tenant_id", -1, "is required");
        return INGEST_MALFORMED;
    }
    return event_check_time(ev, now_us, 0, e) < 0 ? INGEST_MALFORMED : INGEST_TAKEN;
}

static enum ingest_verdict check_context(const struct event *ev, struct str bytes,
                                         struct str tenant, int64_t now_us, struct err *e)
{
    enum ingest_verdict verdict = judge_context(ev, tenant, now_us, e);
    if (verdict != INGEST_TAKEN)
        e->offset = event_value_offset(bytes, e->field);
    return verdict;
}

enum ingest_verdict ingest_single(struct ingest *in, enum event_kind kind, struct str body,
                                  struct str tenant, int64_t now_us, struct ingest_record *out,
                                  struct err *e)
{
    struct event ev;
    if (check_size(in, body, e) < 0 || event_parse(in->parser, kind, body, &ev, e) < 0)
        return INGEST_MALFORMED;
    enum ingest_verdict verdict = check_context(&ev, body, tenant, now_us, e);
    if (verdict == INGEST_TAKEN)
        *out = (struct ingest_record){
            .kind = kind, .key = ev.request_id, .value = body, .tenant = tenant};
    return verdict;
}

static void keep_record(struct ingest *in, size_t index, const struct event *ev, struct str value,
                        struct str tenant)
{
    if (in->record_count == in->record_cap) {
        in->record_cap = in->record_cap ? in->record_cap * 2 : 64;
        in->records = xrealloc(in->records, in->record_cap * sizeof(*in->records));
    }
    // The parser forgets the key at the next item, and the buffer may move while it grows: the key
    // gets its address at the end.
    buf_add(&in->keys, ev->request_id.p, ev->request_id.n);
    in->records[in->record_count++] = (struct ingest_record){.kind = ev->kind,
                                                             .index = index,
                                                             .key = {NULL, ev->request_id.n},
                                                             .value = value,
                                                             .tenant = tenant};
}

static void place_keys(struct ingest *in)
{
    const char *at = in->keys.p;
    for (size_t i = 0; i < in->record_count; i++) {
        in->records[i].key.p = at;
        at += in->records[i].key.n;
    }
}

static int read_item(struct ingest *in, size_t index, struct str item, struct str tenant,
                     int64_t now_us, struct err *e)
{
    struct event ev;
    if (check_size(in, item, e) < 0 || event_parse_typed(in->parser, item, &ev, e) < 0 ||
        check_context(&ev, item, tenant, now_us, e) != INGEST_TAKEN)
        return -1;
    keep_record(in, index, &ev, item, tenant);
    return 0;
}

int ingest_batch(struct ingest *in, struct str body, struct str tenant, int64_t now_us,
                 const struct ingest_record **records, size_t *count, struct ingest_report *report,
                 struct err *e)
{
    struct json_split split;
    struct str item;
    struct err why;
    size_t index = 0;
    int more;

    *records = NULL;
    *count = 0;
    in->record_count = 0;
    buf_clear(&in->keys);
    json_split_init(&split, body);
    while ((more = json_split_next(&split, &item, &why)) > 0) {
        if (index == in->limits.max_batch_events)
            return err_set(e, "the batch has more than %zu events: send it in parts",
                           in->limits.max_batch_events);
        if (read_item(in, index, item, tenant, now_us, &why) < 0)
            ingest_report_add(report, index, &why);
        index++;
    }
    if (more < 0)
        ingest_report_add(report, index, &why);
    place_keys(in);
    *records = in->records;
    *count = in->record_count;
    return 0;
}
