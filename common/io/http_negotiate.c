// SPDX-License-Identifier: Apache-2.0
// A request's header fields to http_accept.h, which reads them.
#include "common/io/http_accept.h"
#include "common/io/http_internal.h"

// A list may stand in several fields.
static struct str list_of(const struct http_exchange *x, const char *lower_name,
                          struct buf *scratch)
{
    if (http_header_count(x, lower_name) <= 1)
        return http_header(x, lower_name);
    size_t n = strlen(lower_name);
    for (size_t i = 0; i < x->field_count; i++) {
        const struct http_field *f = &x->fields[i];
        if (f->name_n != n || memcmp(x->head + f->name, lower_name, n) != 0)
            continue;
        buf_add(scratch, x->head + f->value, f->value_n);
        buf_addc(scratch, ',');
    }
    return (struct str){scratch->p, scratch->n};
}

bool http_accepts_gzip(const struct http_exchange *x)
{
    struct buf scratch = {0};
    bool yes = http_accept_gzip(list_of(x, "accept-encoding", &scratch));
    buf_free(&scratch);
    return yes;
}

int http_accepts(const struct http_exchange *x, const char *const types[], size_t n)
{
    struct buf scratch = {0};
    int best = http_accept_best(list_of(x, "accept", &scratch), types, n);
    buf_free(&scratch);
    return best;
}

bool http_not_modified(const struct http_exchange *x, const char *etag)
{
    struct buf scratch = {0};
    bool reads = x->is_head || strcmp(x->method, "GET") == 0;
    bool listed = reads && http_etag_is_listed(list_of(x, "if-none-match", &scratch), etag);
    buf_free(&scratch);
    return listed;
}
