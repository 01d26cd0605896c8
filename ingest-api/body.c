// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/body.h"

#include "common/core/gunzip.h"

#include <strings.h>

struct body {
    struct gunzip *gunzip;
    struct buf inflated;
    struct ingest_stats *stats;
};

struct body *body_new(struct ingest_stats *stats)
{
    struct body *b = xcalloc(1, sizeof(*b));
    b->gunzip = gunzip_new();
    b->stats = stats;
    return b;
}

void body_free(struct body *b)
{
    if (!b)
        return;
    gunzip_free(b->gunzip);
    buf_free(&b->inflated);
    free(b);
}

static bool is_word(struct str text, const char *word)
{
    return text.n == strlen(word) && strncasecmp(text.p, word, text.n) == 0;
}

static bool type_is_json(struct str type)
{
    static const char *const known[] = {"application/json", "application/x-ndjson",
                                        "application/ndjson", "application/jsonl",
                                        "application/x-jsonlines"};
    size_t n = 0;
    while (n < type.n && type.p[n] != ';' && type.p[n] != ' ' && type.p[n] != '\t')
        n++;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (is_word((struct str){type.p, n}, known[i]))
            return true;
    }
    return n > 5 && strncasecmp(type.p + n - 5, "+json", 5) == 0; // such as CloudEvents' own
}

static bool is_gzip(struct str coding)
{
    return coding.n > 0 && (is_word(coding, "gzip") || is_word(coding, "x-gzip"));
}

// One coding at most, in one field: several would have to be undone one after another, and each
// may be a bomb inside the other.
static bool is_coding_taken(const struct http_exchange *x)
{
    struct str coding = http_header(x, "content-encoding");
    if (!coding.p)
        return true;
    return http_header_count(x, "content-encoding") <= 1 &&
           (coding.n == 0 || is_word(coding, "identity") || is_gzip(coding));
}

bool body_check_header(struct body *b, struct http_exchange *x)
{
    if (!is_coding_taken(x)) {
        b->stats->refused_coding++;
        http_add_header(x, "Accept-Encoding", "gzip");
        http_problemf(x, 415, "Content-Encoding must be gzip, once, or be left out");
        return false;
    }
    struct str type = http_header(x, "content-type");
    if (type.n > 0 && !type_is_json(type)) {
        b->stats->refused_type++;
        http_problemf(x, 415,
                      "Content-Type must be application/json, or application/x-ndjson for "
                      "a batch of lines, or be left out");
        return false;
    }
    return true;
}

bool body_read(struct body *b, struct http_exchange *x, size_t max_bytes, struct str *out)
{
    struct err e;
    *out = http_body(x);
    if (!is_gzip(http_header(x, "content-encoding")))
        return true;
    b->stats->compressed++;
    switch (gunzip_all(b->gunzip, *out, max_bytes, &b->inflated, &e)) {
    case GUNZIP_DONE:
        b->stats->inflated_bytes += (int64_t)b->inflated.n;
        *out = (struct str){b->inflated.p, b->inflated.n};
        return true;
    case GUNZIP_CORRUPT:
        b->stats->refused_gzip++;
        http_problem(x, 400, &e);
        return false;
    case GUNZIP_TOO_LARGE:
        b->stats->refused_inflated++;
        break;
    case GUNZIP_TOO_DENSE:
        b->stats->refused_ratio++;
        break;
    }
    http_problem(x, 413, &e);
    return false;
}
