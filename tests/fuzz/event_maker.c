// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/event_maker.h"

#include "common/core/event_fields.h"

struct maker {
    const uint8_t *p, *end;
    struct buf *out;
};

// 0 once they are used up.
static unsigned next(struct maker *m)
{
    return m->p < m->end ? *m->p++ : 0;
}

// Nothing nested is begun any more.
static bool is_full(const struct maker *m)
{
    return m->out->n > 8000;
}

// What may stand somewhere, and what may not. Most bytes choose the former: of an event with wrong
// things everywhere only the first would be seen.
struct choice {
    const struct str *right, *wrong;
    size_t right_n, wrong_n;
};
#define CHOICE(right, wrong)                                                                       \
    {                                                                                              \
        right, wrong, ARRAY_LEN(right), ARRAY_LEN(wrong)                                           \
    }
#define FIRST_WRONG 0xd0

static void add_one(struct maker *m, const struct choice *c)
{
    unsigned byte = next(m);
    struct str s = byte < FIRST_WRONG ? c->right[byte % c->right_n] : c->wrong[byte % c->wrong_n];
    buf_add(m->out, s.p, s.n);
}

static void add_many(struct maker *m, const char *text, size_t times)
{
    while (times-- > 0)
        buf_adds(m->out, text);
}

static void add_space(struct maker *m)
{
    static const struct str right[] = {STR_LIT(""), STR_LIT(" "), STR_LIT("\n"),
                                       STR_LIT("\r\n\t ")};
    static const struct str wrong[] = {STR_LIT("\xa0"), STR_LIT("\x0c"), STR_LIT("/**/")};
    static const struct choice spaces = CHOICE(right, wrong);
    add_one(m, &spaces);
}

// --- strings ---

static const struct str right_pieces[] = {
    STR_LIT("a"),
    STR_LIT("gpt-4o"),
    STR_LIT(" ~!#[]{}:,"),
    STR_LIT("0123456789abcdef"), // what the scanner reads at once
    STR_LIT("\xc3\xa9"),
    STR_LIT("\xe2\x82\xac"),
    STR_LIT("\xf0\x9f\x98\x80"),
    STR_LIT("\xed\x9f\xbf"),
    STR_LIT("\xf4\x8f\xbf\xbf"),
    STR_LIT("\x7f"),
    // escapes
    STR_LIT("\\n"),
    STR_LIT("\\\""),
    STR_LIT("\\\\"),
    STR_LIT("\\/"),
    STR_LIT("\\b\\f\\r\\t"),
    STR_LIT("\\u0061"),
    STR_LIT("\\u001f"),
    STR_LIT("\\u007F"),
    STR_LIT("\\u00e9"),
    STR_LIT("\\ud7ff"),
    STR_LIT("\\uE000"),
    STR_LIT("\\uffff"),
    STR_LIT("\\ud83d\\ude00"),
    STR_LIT("\\uDBFF\\uDFFF"),
    // wrong too, but this must be tried often
    STR_LIT("\\u0000"),
    STR_LIT("\\ud83d"),
    STR_LIT("\\ude00"),
};
static const struct str wrong_pieces[] = {
    STR_LIT("\\ud83d\\u0061"),
    STR_LIT("\\ud83d\\ud83d"),
    STR_LIT("\\x"),
    STR_LIT("\\u12"),
    STR_LIT("\\u12g4"),
    STR_LIT("\\"),
    STR_LIT("\x01"),
    STR_LIT("\t"),
    STR_LIT("\n"),
    STR_LIT("\0"),
    STR_LIT("\xff"),
    STR_LIT("\x80"),
    STR_LIT("\xc3"),
    STR_LIT("\xc0\x80"),
    STR_LIT("\xe0\x9f\xbf"),
    STR_LIT("\xed\xa0\x80"),
    STR_LIT("\xf0\x8f\xbf\xbf"),
    STR_LIT("\xf4\x90\x80\x80"),
    STR_LIT("\""),
};
static const struct choice pieces = CHOICE(right_pieces, wrong_pieces);

static void add_string(struct maker *m)
{
    buf_addc(m->out, '"');
    unsigned n = next(m);
    if (n & 0x40) // about as long as a name may be
        add_many(m, "x", 250 + (n & 7));
    for (unsigned i = n & 7; i > 0; i--)
        add_one(m, &pieces);
    if ((n & 0x30) == 0x30) // the fuzzer's own bytes
        for (unsigned i = next(m) % 40; i > 0; i--)
            buf_addc(m->out, (char)next(m));
    buf_addc(m->out, '"');
}

// --- numbers ---

static const struct str right_numbers[] = {
    STR_LIT("0"),
    STR_LIT("-0"),
    STR_LIT("0.0"),
    STR_LIT("-0.0e0"),
    STR_LIT("1"),
    STR_LIT("-1"),
    STR_LIT("1.5"),
    STR_LIT("12.3456"),
    STR_LIT("0.0005"),
    STR_LIT("0.00049999999999999999999999"),
    STR_LIT("9007199254740992"),
    STR_LIT("9007199254740993"),
    STR_LIT("9007199254740993e-3"),
    STR_LIT("9223372036854775807"),
    STR_LIT("9223372036854775808"),
    STR_LIT("18446744073709551616"),
    STR_LIT("1e12"),
    STR_LIT("1000000000000"),
    STR_LIT("1000000000001"),
    STR_LIT("1000000000000.0001"),
    STR_LIT("1E+9"),
    STR_LIT("1000000000.0000001"),
    STR_LIT("1000000"),
    STR_LIT("999999.9999999999995"),
    STR_LIT("1e22"),
    STR_LIT("1e23"),
    STR_LIT("123e-22"),
    STR_LIT("123e-23"),
    STR_LIT("1e99"),
    STR_LIT("1e100"),
    STR_LIT("1e-100"),
    STR_LIT("1e308"),
    STR_LIT("1e309"),
    STR_LIT("1e400"),
    STR_LIT("-1e400"),
    STR_LIT("1e-400"),
    STR_LIT("4.9e-324"),
    STR_LIT("2.2250738585072011e-308"),
    STR_LIT("1e00000000000000000001"),
};
static const struct str wrong_numbers[] = {
    STR_LIT("01"),   STR_LIT("-01"),   STR_LIT("+1"),  STR_LIT("1."),       STR_LIT(".5"),
    STR_LIT("1e"),   STR_LIT("1e+"),   STR_LIT("-"),   STR_LIT("--1"),      STR_LIT("1.2.3"),
    STR_LIT("0x10"), STR_LIT("1_000"), STR_LIT("NaN"), STR_LIT("Infinity"), STR_LIT("-Infinity"),
};
static const struct choice numbers = CHOICE(right_numbers, wrong_numbers);

static void add_digits(struct maker *m, unsigned n)
{
    for (; n > 0; n--)
        buf_addc(m->out, (char)('0' + next(m) % 10));
}

static void add_number(struct maker *m)
{
    unsigned form = next(m);
    if (form < 0x80) {
        add_one(m, &numbers);
        return;
    }
    if (form & 1)
        buf_addc(m->out, '-');
    buf_addc(m->out, (char)('1' + next(m) % 9));
    add_digits(m, next(m) % 24);
    if (form & 2) {
        buf_addc(m->out, '.');
        unsigned n = 1 + next(m) % 24;
        add_many(m, "0", form & 4 ? n : 0);
        add_digits(m, n);
    }
    if (form & 8)
        buf_addf(m->out, "%c%s%u", form & 16 ? 'e' : 'E',
                 form & 32  ? "-"
                 : form & 4 ? "+"
                            : "",
                 next(m) % 120);
    if (form & 64) // about as long as the scanner takes
        add_many(m, "0", 63 - next(m) % 63);
}

// --- times ---

static const struct str right_times[] = {
    STR_LIT("\"2026-11-21T06:14:00Z\""),
    STR_LIT("1795241640000"),
    STR_LIT("\"2026-11-21t06:14:00z\""),
    STR_LIT("\"2026-11-21 06:14:00Z\""),
    STR_LIT("\"2026-11-21T06:14:00.5+02:00\""),
    STR_LIT("\"2026-11-21T06:14:00.123456789-23:59\""),
    STR_LIT("\"2024-02-29T23:59:60Z\""),
    STR_LIT("\"0001-01-01T00:00:00Z\""),
    STR_LIT("\"9999-12-31T23:59:59.999999999Z\""),
    STR_LIT("1795241640000.123"),
    STR_LIT("-62135596800000"),
    STR_LIT("253402300799999.999"),
    STR_LIT("1.79524164e12"),
};
static const struct str wrong_times[] = {
    STR_LIT("\"2026-11-21T06:14:00\""),
    STR_LIT("\"2026-11-21T06:14Z\""),
    STR_LIT("\"2026-11-21\""),
    STR_LIT("\"2026-02-29T00:00:00Z\""),
    STR_LIT("\"2026-13-01T00:00:00Z\""),
    STR_LIT("\"2026-11-21T24:00:00Z\""),
    STR_LIT("\"2026-11-21T06:14:61Z\""),
    STR_LIT("\"2026-11-21T06:14:00+24:00\""),
    STR_LIT("\"2026-11-21T06:14:00+0200\""),
    STR_LIT("\"2026-11-21T06:14:00.Z\""),
    STR_LIT("\"2026-11-21T06:14:00,5Z\""),
    STR_LIT("\"2026-11-21T06:14:00.1234567890Z\""),
    STR_LIT("\" 2026-11-21T06:14:00Z\""),
    STR_LIT("\"2026-11-21T06:14:00Z \""),
    STR_LIT("\"2026\\u002d11-21T06:14:00Z\""),
    STR_LIT("\"+2026-11-21T06:14:00Z\""),
    STR_LIT("\"1795241640000\""),
    STR_LIT("253402300800000"),
    STR_LIT("1e15"),
};
static const struct choice times = CHOICE(right_times, wrong_times);

// --- values ---

static void add_key(struct maker *m)
{
    static const struct str right[] = {
        STR_LIT("\"x\""),
        STR_LIT("\"y\""),
        STR_LIT("\"\""),
        STR_LIT("\"Model\""),
        STR_LIT("\"models\""),
        STR_LIT("\"request_i\""),
        STR_LIT("\"mode\""),
        STR_LIT("\"\\u0078\""),
        STR_LIT("\"latency_ms \""),
        STR_LIT("\"\xc3\xa9\""),
        STR_LIT("\"prompt_tokens_\""),
        STR_LIT("\"model\""),
        STR_LIT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
    };
    static const struct str wrong[] = {STR_LIT("x"), STR_LIT("1"), STR_LIT("null"),
                                       STR_LIT("\"x\xff\""), STR_LIT("\"request_id\\u0000\"")};
    static const struct choice keys = CHOICE(right, wrong);
    unsigned form = next(m);
    if (form >= 0xf0)
        add_string(m);
    else if (form >= 0x80) // one of many
        buf_addf(m->out, "\"k%u\"", form & 0x3f);
    else
        add_one(m, &keys);
}

static void add_colon(struct maker *m)
{
    static const struct str right[] = {STR_LIT(":"), STR_LIT(" :\n"), STR_LIT(": "),
                                       STR_LIT(" : ")};
    static const struct str wrong[] = {STR_LIT("="), STR_LIT("::"), STR_LIT("")};
    static const struct choice colons = CHOICE(right, wrong);
    add_one(m, &colons);
}

static void add_comma(struct maker *m)
{
    static const struct str right[] = {STR_LIT(","), STR_LIT(", "), STR_LIT(" ,\n"),
                                       STR_LIT("\t,\r")};
    static const struct str wrong[] = {STR_LIT(""), STR_LIT(",,"), STR_LIT(";")};
    static const struct choice commas = CHOICE(right, wrong);
    add_one(m, &commas);
}

static void add_value(struct maker *m, int depth);

static void add_nested(struct maker *m, int depth)
{
    unsigned form = next(m);
    bool object = form & 1;
    buf_addc(m->out, object ? '{' : '[');
    if (form & 2)
        add_space(m);
    for (unsigned i = form >> 2 & 3; i > 0 && !is_full(m); i--) {
        if (object) {
            add_key(m);
            add_colon(m);
        }
        add_value(m, depth + 1);
        if (i > 1)
            add_comma(m);
    }
    if (form == 0xfe) // a comma too many
        buf_addc(m->out, ',');
    buf_addc(m->out, (form == 0xff) == object ? ']' : '}');
}

// Around the depth that is allowed.
static void add_deep(struct maker *m)
{
    unsigned n = next(m);
    size_t levels = EVENT_JSON_DEPTH - 3 + (n & 3);
    bool object = n & 4;
    add_many(m, object ? "{\"a\":" : "[", levels);
    add_value(m, EVENT_JSON_DEPTH);
    add_many(m, object ? "}" : "]", levels);
}

static void add_value(struct maker *m, int depth)
{
    static const struct str right[] = {STR_LIT("null"), STR_LIT("true"), STR_LIT("false")};
    static const struct str wrong[] = {STR_LIT("True"), STR_LIT("nul"), STR_LIT("nulll"),
                                       STR_LIT(""),     STR_LIT("'a'"), STR_LIT("undefined")};
    static const struct choice words = CHOICE(right, wrong);
    switch (next(m) % 8) {
    case 0:
    case 1:
        add_string(m);
        break;
    case 2:
    case 3:
        add_number(m);
        break;
    case 4:
        add_one(m, &times);
        break;
    case 5:
        add_one(m, &words);
        break;
    case 6:
        if (depth < EVENT_JSON_DEPTH && !is_full(m))
            add_nested(m, depth);
        else
            buf_adds(m->out, "[]");
        break;
    default:
        if (depth == 1)
            add_deep(m);
        else
            buf_adds(m->out, "{}");
        break;
    }
}

// --- the event ---

static void add_good(struct maker *m, const struct event_field *f, enum event_kind kind)
{
    switch (f->type) {
    case EVENT_FIELD_KIND:
        buf_adds(m->out, kind == EVENT_REQUEST ? "\"request\"" : "\"response\"");
        break;
    case EVENT_FIELD_NAME:
    case EVENT_FIELD_LABEL:
    case EVENT_FIELD_TEXT:
        buf_addf(m->out, "\"%.5s-1\"", f->name.p);
        break;
    case EVENT_FIELD_TIME:
        buf_add(m->out, right_times[0].p, right_times[0].n);
        break;
    case EVENT_FIELD_COUNT:
        buf_adds(m->out, "120");
        break;
    case EVENT_FIELD_DURATION:
    case EVENT_FIELD_COST:
        buf_adds(m->out, "12.5");
        break;
    case EVENT_FIELD_BOOL:
        buf_adds(m->out, "true");
        break;
    case EVENT_FIELD_OBJECT:
        buf_adds(m->out, "{\"a\":{\"b\":[1,\"\\n\"]}}");
        break;
    }
}

// A value of the field's own type, but any of it.
static void add_odd(struct maker *m, const struct event_field *f)
{
    switch (f->type) {
    case EVENT_FIELD_KIND:
        buf_adds(m->out, next(m) & 1 ? "\"response\"" : "\"request\"");
        break;
    case EVENT_FIELD_TIME:
        add_one(m, &times);
        break;
    case EVENT_FIELD_COUNT:
    case EVENT_FIELD_DURATION:
    case EVENT_FIELD_COST:
        add_number(m);
        break;
    case EVENT_FIELD_OBJECT:
        add_nested(m, 1);
        break;
    default:
        add_string(m);
        break;
    }
}

static void begin_member(struct maker *m, bool *first)
{
    if (!*first) {
        if (next(m) & 1)
            add_comma(m);
        else
            buf_addc(m->out, ',');
    }
    *first = false;
}

// As it is, or with one of its characters escaped, or with something else for its last quote.
static void add_name(struct maker *m, const struct event_field *f, bool strange)
{
    unsigned at = strange ? next(m) % (unsigned)(f->name.n + 1) : 0;
    if (!strange)
        buf_addf(m->out, "\"%s\"", f->name.p);
    else if (at < f->name.n)
        buf_addf(m->out, "\"%.*s\\u%04x%s\"", (int)at, f->name.p, f->name.p[at],
                 f->name.p + at + 1);
    else
        buf_addf(m->out, "\"%sx", f->name.p);
}

static void add_unknown(struct maker *m, bool *first)
{
    begin_member(m, first);
    add_key(m);
    add_colon(m);
    add_value(m, 1);
}

enum { AS_USUAL, GOOD, ODD, ANY, TWICE, BEHIND_UNKNOWN, LEFT_OUT, STRANGE_KEY };

static void add_member(struct maker *m, const struct event_field *f, enum event_kind kind,
                       bool *first)
{
    unsigned form = next(m), what = form & 7;
    bool required = (f->required_in & EVENT_IN(kind)) || f->type == EVENT_FIELD_KIND;
    if (what == BEHIND_UNKNOWN)
        add_unknown(m, first);
    if (what == LEFT_OUT || (what == AS_USUAL && !required))
        return;
    for (int times_left = what == TWICE ? 2 : 1; times_left > 0; times_left--) {
        begin_member(m, first);
        if (form & 8)
            add_space(m);
        add_name(m, f, what == STRANGE_KEY);
        if (form & 16)
            add_colon(m);
        else
            buf_addc(m->out, ':');
        if (what == ODD)
            add_odd(m, f);
        else if (what == ANY)
            add_value(m, 1);
        else
            add_good(m, f, kind);
    }
}

// Fields in the order of the table, but for some that change places.
static void choose_order(struct maker *m, uint8_t order[EVENT_FIELDS])
{
    for (unsigned i = 0; i < EVENT_FIELDS; i++)
        order[i] = (uint8_t)i;
    for (unsigned swaps = next(m) % 16; swaps > 0; swaps--) {
        unsigned a = next(m) % EVENT_FIELDS, b = next(m) % EVENT_FIELDS;
        uint8_t was = order[a];
        order[a] = order[b];
        order[b] = was;
    }
}

// About as many unknown keys as the scanner keeps.
static void add_many_unknown(struct maker *m, bool *first)
{
    unsigned n = 30 + next(m) % 4;
    for (unsigned i = 0; i < n; i++) {
        begin_member(m, first);
        buf_addf(m->out, "\"u%u\":%u", i, i);
    }
}

static void damage(struct maker *m)
{
    static const struct str right[] = {STR_LIT(" "), STR_LIT("\n")};
    static const struct str wrong[] = {STR_LIT("\0"), STR_LIT("}"), STR_LIT("{}"),
                                       STR_LIT(","),  STR_LIT("]"), STR_LIT("\xff")};
    static const struct choice tails = CHOICE(right, wrong);
    for (unsigned what = next(m); what >= FIRST_WRONG && m->out->n > 0; what = next(m)) {
        size_t at = (next(m) << 8 | next(m)) % m->out->n;
        switch (what % 4) {
        case 0:
            m->out->n = at;
            break;
        case 1:
            m->out->p[at] = (char)(m->out->p[at] ^ (1 << (what >> 2 & 7)));
            break;
        case 2:
            m->out->p[at] = (char)next(m);
            break;
        default:
            add_one(m, &tails);
            break;
        }
    }
}

void event_make(const uint8_t *data, size_t size, struct buf *out)
{
    struct maker m = {.p = data, .end = data + size, .out = out};
    uint8_t order[EVENT_FIELDS];
    unsigned form = next(&m);
    enum event_kind kind = form & 1 ? EVENT_RESPONSE : EVENT_REQUEST;
    bool first = true;
    choose_order(&m, order);
    if (form & 2)
        add_space(&m);
    buf_addc(out, '{');
    for (unsigned i = 0; i < EVENT_FIELDS; i++)
        add_member(&m, &event_fields[order[i]], kind, &first);
    if (form & 4)
        add_many_unknown(&m, &first);
    if (form & 8)
        add_space(&m);
    if (form < FIRST_WRONG)
        buf_addc(out, '}');
    damage(&m);
}
