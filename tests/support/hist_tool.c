// SPDX-License-Identifier: Apache-2.0
// Our side of what tests/interop/README.md says. A value may be "VALUE*COUNT". `read` tells the
// count of each bucket, and `make` the quantiles too, as the processor stores and publishes them.
#include "common/core/hist.h"

#include <openssl/evp.h>
#include <stdio.h>

static void print_counts(const struct hist *h)
{
    const char *comma = "";
    printf("{\"total\": %lld, \"counts\": {", (long long)h->total);
    struct hist_filled filled[HIST_COUNTS + 1];
    int n = hist_filled(h, filled);
    for (int i = 0; i < n; i++) {
        printf("%s\"%lld\": %lld", comma, (long long)hist_lowest(filled[i].index),
               (long long)filled[i].count);
        comma = ", ";
    }
    printf("}}\n");
}

static void read_one(char *text)
{
    struct err e = {.detail = "no base64"};
    struct hist h = {0};
    size_t n = strlen(text), padding = 0;
    unsigned char *bytes = xmalloc(n + 1);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
        padding++;
    if (got < 0 || hist_decode_add(&h, bytes, (size_t)got - padding, &e) < 0) {
        fprintf(stderr, "%s: %s\n", text, e.detail);
        exit(1);
    }
    print_counts(&h);
    hist_clear(&h);
    free(bytes);
}

static void record(struct hist *h, const char *word)
{
    char *end;
    long long value = strtoll(word, &end, 10);
    long long count = *end == '*' ? strtoll(end + 1, NULL, 10) : 1;
    struct hist some = {0}; // as many as the bit of the count that is looked at
    hist_record(&some, value);
    for (; count > 0; count >>= 1) {
        if (count & 1)
            hist_add(h, &some);
        hist_add(&some, &some);
    }
    hist_clear(&some);
}

static void make_one(char *words)
{
    static const double q[] = {0.5, 0.9, 0.95, 0.99};
    int64_t at[ARRAY_LEN(q)];
    struct hist h = {0};
    struct buf plain = {0}, compressed = {0}, text = {0};
    for (char *rest, *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        record(&h, word);
    hist_quantiles(&h, q, ARRAY_LEN(q), at);
    hist_encode(&h, &plain);
    hist_compress((struct str){plain.p, plain.n}, &compressed);
    buf_add_base64(&text, compressed.p, compressed.n);
    printf("{\"hdr\": \"%.*s\", \"total\": %lld, \"max\": %lld, \"p50\": %lld, \"p90\": %lld, "
           "\"p95\": %lld, \"p99\": %lld}\n",
           (int)text.n, text.p, (long long)h.total, (long long)h.max_us, (long long)at[0],
           (long long)at[1], (long long)at[2], (long long)at[3]);
    hist_clear(&h);
    buf_free(&plain);
    buf_free(&compressed);
    buf_free(&text);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "read ", 5) == 0)
            read_one(line + 5);
        else
            make_one(line + strlen("make"));
    }
    free(line);
    return 0;
}
