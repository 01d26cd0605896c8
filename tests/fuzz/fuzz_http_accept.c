// SPDX-License-Identifier: Apache-2.0
// One input as the value of Accept, of Accept-Encoding and of If-None-Match. Whatever it holds,
// what is put before it decides where the first one holds; an empty element changes nothing; and
// what is found stands there.
#include "tests/fuzz/fuzz.h"

#include "common/core/buf.h"
#include "common/io/http_accept.h"

static const char *const types[] = {"application/json", "text/csv", "text/event-stream"};

static struct buf text;

static struct str before(const char *prefix, struct str s)
{
    buf_clear(&text);
    buf_adds(&text, prefix);
    buf_add(&text, s.p, s.n);
    return (struct str){text.p, text.n};
}

static bool holds(struct str s, const char *what)
{
    return s.n > 0 && memmem(s.p, s.n, what, strlen(what));
}

static bool holds_in_any_case(struct str s, const char *lower)
{
    size_t n = strlen(lower);
    for (size_t i = 0; i + n <= s.n; i++) {
        size_t same = 0;
        while (same < n && (s.p[i + same] | 0x20) == lower[same])
            same++;
        if (same == n)
            return true;
    }
    return false;
}

static void check_gzip(struct str s)
{
    bool taken = http_accept_gzip(s);
    FUZZ_CHECK(http_accept_gzip(before(" ,", s)) == taken);
    FUZZ_CHECK(!http_accept_gzip(before("gzip;q=0,", s)));
    FUZZ_CHECK(http_accept_gzip(before("gzip,", s)));
    FUZZ_CHECK(http_accept_gzip(before("gzip;q=0.001,identity;q=0,", s)));
    FUZZ_CHECK(!taken || holds(s, "*") || holds_in_any_case(s, "gzip"));
}

static void check_types(struct str s)
{
    int best = http_accept_best(s, types, ARRAY_LEN(types));
    FUZZ_CHECK(best >= -1 && best < (int)ARRAY_LEN(types));
    FUZZ_CHECK(http_accept_best(before(" ,", s), types, ARRAY_LEN(types)) == best);
    struct str refused = before("application/json;q=0,text/csv;q=0,text/event-stream;q=0,", s);
    FUZZ_CHECK(http_accept_best(refused, types, ARRAY_LEN(types)) == -1);
    struct str wanted = before("application/json;q=0.9,text/csv,text/event-stream;q=0,", s);
    FUZZ_CHECK(http_accept_best(wanted, types, ARRAY_LEN(types)) == 1);
    if (best > 0)
        FUZZ_CHECK(holds(s, "*") || holds_in_any_case(s, types[best]));
}

static void check_etags(struct str s)
{
    bool listed = http_etag_is_listed(s, "\"a,b\"");
    FUZZ_CHECK(http_etag_is_listed(s, "W/\"a,b\"") == listed);
    FUZZ_CHECK(!listed || holds(s, "\"a,b\"") || holds(s, "*"));
    FUZZ_CHECK(http_etag_is_listed(before("W/\"a,b\",", s), "\"a,b\""));
    FUZZ_CHECK(http_etag_is_listed(before("\"x\" , \"a,b\",", s), "\"a,b\""));
    FUZZ_CHECK(!http_etag_is_listed(before("\"x\" y,", s), "\"a,b\""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    if (size > 4096)
        return 0;
    check_gzip(s);
    check_types(s);
    check_etags(s);
    buf_clear(&text);
    return 0;
}
