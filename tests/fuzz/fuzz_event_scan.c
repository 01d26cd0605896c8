// SPDX-License-Identifier: Apache-2.0
// The scanner beside jansson, on the input as it stands or on an event made of it. What the scanner
// reads, jansson reads too, and every value is the same bit for bit. And whoever uses the two
// together gets the same answer as from jansson alone: the event, or field, offset and detail of
// the error.
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/event_maker.h"
#include "tests/support/event_plain.h"
#include "tests/support/event_readers.h"
#include "tests/support/event_same.h"

static void fail_on(const char *difference)
{
    if (difference)
        fprintf(stderr, "%s\n", difference);
    FUZZ_CHECK(!difference);
}

static void check_readers(struct str bytes)
{
    static struct event_readers readers; // for the life of the process
    if (!readers.scan) {
        readers.scan = event_scan_new();
        readers.json = event_json_new();
    }
    bool mine;
    fail_on(event_readers_differ(&readers, bytes, &mine));
}

struct answer {
    int rc;
    struct event event;
    struct err error;
};

static void check_same(const struct answer *a, const struct answer *b)
{
    FUZZ_CHECK(a->rc == b->rc);
    if (a->rc == 0) {
        fail_on(event_difference(&a->event, &b->event));
        return;
    }
    FUZZ_CHECK(strcmp(a->error.field, b->error.field) == 0);
    FUZZ_CHECK(strcmp(a->error.detail, b->error.detail) == 0);
    FUZZ_CHECK(a->error.offset == b->error.offset);
}

static void check_answers(struct str bytes)
{
    static struct event_parser *parser, *plain; // for the life of the process
    if (!parser) {
        parser = event_parser_new();
        plain = plain_parser_new();
    }
    struct answer a, b;
    for (int kind = EVENT_REQUEST; kind <= EVENT_RESPONSE; kind++) {
        a.rc = event_parse(parser, (enum event_kind)kind, bytes, &a.event, &a.error);
        b.rc = plain_parse(plain, (enum event_kind)kind, bytes, &b.event, &b.error);
        check_same(&a, &b);
    }
    a.rc = event_parse_typed(parser, bytes, &a.event, &a.error);
    b.rc = plain_parse_typed(plain, bytes, &b.event, &b.error);
    check_same(&a, &b);
}

static void check(struct str bytes)
{
    check_readers(bytes);
    check_answers(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != EVENT_MADE) {
        check((struct str){(const char *)data, size});
        return 0;
    }
    struct buf made = {0};
    event_make(data + 1, size - 1, &made);
    FUZZ_CHECK(made.n <= EVENT_MADE_MAX);
    char *copy = xmemdup(made.p, made.n); // of exactly that size, so that a read beyond it is seen
    check((struct str){copy, made.n});
    free(copy);
    buf_free(&made);
    return 0;
}
