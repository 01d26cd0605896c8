// SPDX-License-Identifier: Apache-2.0
// Every step takes a position and gives the one behind what it has read, or NULL: not for this
// reader. `end` is never read. Two things make it quick: strings are looked through sixteen bytes
// at a time, and a key is first compared with the one that came there in the event before.
#include "common/core/event_scan.h"

#include "common/core/number.h"
#include "common/core/utf8.h"

#define WORD 8
#define UNKNOWN_KEYS 32
#define NUMBER_MAX 63
#define SLOTS 64 // a power of two, above twice EVENT_FIELDS

typedef const unsigned char *bytes_at;
typedef signed char vector __attribute__((vector_size(16)));

// ---- the known names ----

#define NAME_WORDS 3

// A field's name with the quote that ends it.
struct name {
    uint64_t word[NAME_WORDS], mask[NAME_WORDS];
    size_t n; // with the quote
};

struct event_scan {
    struct name names[EVENT_FIELDS];
    uint8_t slots[SLOTS]; // number of the field + 1, 0 = free; by slot_of() its name
    // The field whose key last came behind this one's; behind none of ours, EVENT_FIELDS. A guess:
    // what it says is checked, and costs nothing but time when it is wrong.
    uint8_t follower[EVENT_FIELDS + 1];
};

static uint64_t load_word(const void *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word); // the first byte is the lowest
#endif
    return word;
}

// Where to begin to look for a key. These factors give each of today's names a slot of its own.
static size_t slot_of(struct str key)
{
    if (key.n == 0)
        return 0;
    return ((unsigned char)key.p[0] + 2u * (unsigned char)key.p[key.n - 1] + 25 * key.n) % SLOTS;
}

static struct name name_of(struct str text)
{
    struct name name = {.n = text.n + 1};
    char bytes[NAME_WORDS * WORD] = {0}, mask[NAME_WORDS * WORD] = {0};
    assert(name.n <= sizeof(bytes));
    memcpy(bytes, text.p, text.n);
    bytes[text.n] = '"';
    memset(mask, 0xff, name.n);
    for (size_t i = 0; i < NAME_WORDS; i++) {
        name.word[i] = load_word(bytes + i * WORD);
        name.mask[i] = load_word(mask + i * WORD);
    }
    return name;
}

struct event_scan *event_scan_new(void)
{
    struct event_scan *s = xcalloc(1, sizeof(*s));
    for (unsigned i = 0; i < EVENT_FIELDS; i++) {
        struct str name = event_fields[i].name;
        s->names[i] = name_of(name);
        size_t at = slot_of(name);
        while (s->slots[at])
            at = (at + 1) % SLOTS;
        s->slots[at] = (uint8_t)(i + 1);
    }
    return s;
}

void event_scan_free(struct event_scan *s)
{
    free(s);
}

// The number of the field, EVENT_FIELDS where the key is none of ours.
static unsigned find_field(const struct event_scan *s, struct str key)
{
    for (size_t at = slot_of(key); s->slots[at]; at = (at + 1) % SLOTS)
        if (str_eq(event_fields[s->slots[at] - 1].name, key))
            return s->slots[at] - 1u;
    return EVENT_FIELDS;
}

static inline bool is_at(const struct name *name, bytes_at p)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < NAME_WORDS; i++)
        differ |= (load_word(p + i * WORD) ^ name->word[i]) & name->mask[i];
    return differ == 0;
}

// ---- strings ----

// The first byte from p on that is no printable ASCII, a quote or a backslash.
static inline bytes_at plain_end(bytes_at p, bytes_at end)
{
    for (; end - p >= (ptrdiff_t)sizeof(vector); p += sizeof(vector)) {
        vector v;
        memcpy(&v, p, sizeof(v));
        // Bytes are signed, so those above ASCII are below the space too.
        v = (v == '"') | (v == '\\') | (v < ' ') | (v == 0x7f);
        uint64_t half[2] = {load_word(&v), load_word((char *)&v + WORD)};
        if (half[0])
            return p + __builtin_ctzll(half[0]) / 8;
        if (half[1])
            return p + WORD + __builtin_ctzll(half[1]) / 8;
    }
    while (p < end && *p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\')
        p++;
    return p;
}

// Any UTF-8 up to a quote, a backslash, a control character of JSON's or the end.
static bytes_at text_end(bytes_at p, bytes_at end)
{
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\') {
        size_t length = utf8_sequence(p, (size_t)(end - p));
        if (length == 0)
            return NULL;
        p += length;
    }
    return p;
}

// From behind the opening quote to behind the closing one.
static inline bytes_at read_string(bytes_at p, bytes_at end, struct str *out, bool *plain)
{
    bytes_at begin = p;
    p = plain_end(p, end);
    *plain = p < end && *p == '"';
    if (!*plain) {
        p = text_end(p, end);
        if (!p || p == end || *p != '"')
            return NULL;
    }
    *out = (struct str){(const char *)begin, (size_t)(p - begin)};
    return p + 1;
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// From a backslash to behind the escape. U+0000 is refused by jansson, and surrogates must come in
// pairs: both are left to it.
static bytes_at skip_escape(bytes_at p, bytes_at end)
{
    if (end - p < 2)
        return NULL;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
    if (end - p < 6 || !is_hex(p[2]) || !is_hex(p[3]) || !is_hex(p[4]) || !is_hex(p[5]))
        return NULL;
    bool surrogate = (p[2] == 'd' || p[2] == 'D') && p[3] >= '8';
    bool zero = p[2] == '0' && p[3] == '0' && p[4] == '0' && p[5] == '0';
    return surrogate || zero ? NULL : p + 6;
}

static bytes_at skip_string(bytes_at p, bytes_at end)
{
    for (;;) {
        p = text_end(plain_end(p, end), end);
        if (!p || p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        p = *p == '\\' ? skip_escape(p, end) : NULL;
        if (!p)
            return NULL;
    }
}

// ---- numbers ----

struct number {
    uint64_t digits; // all of them as one number, where there are at most 19
    int count;
    int power; // of ten, to multiply with
    bool negative;
};

static inline bytes_at read_digits(bytes_at p, bytes_at end, struct number *n)
{
    bytes_at begin = p;
    uint64_t digits = n->digits;
    for (; p < end && (unsigned)*p - '0' <= 9; p++)
        digits = digits * 10 + (*p - '0');
    n->digits = digits;
    n->count += (int)(p - begin);
    return p > begin ? p : NULL;
}

static bytes_at read_exponent(bytes_at p, bytes_at end, struct number *n)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    struct number exponent = {0};
    p = read_digits(p, end, &exponent);
    if (!p || exponent.count > 2)
        return NULL;
    n->power += negative ? -(int)exponent.digits : (int)exponent.digits;
    return p;
}

// JSON's grammar. With NUMBER_MAX characters and two digits of exponent no double overflows.
static inline bytes_at read_number(bytes_at p, bytes_at end, struct number *n)
{
    bytes_at begin = p;
    *n = (struct number){.negative = *p == '-'};
    p += n->negative;
    bool zero_first = p < end && *p == '0';
    p = read_digits(p, end, n);
    if (!p || (zero_first && n->count > 1))
        return NULL;
    if (p < end && *p == '.') {
        int whole = n->count;
        p = read_digits(p + 1, end, n);
        if (!p)
            return NULL;
        n->power = whole - n->count;
    }
    if (p < end && (*p == 'e' || *p == 'E'))
        p = read_exponent(p + 1, end, n);
    return p && p - begin <= NUMBER_MAX ? p : NULL;
}

// The double next to what is written. Up to 2^53 the digits are a double, and
// so are these powers of ten: then one operation rounds once (W. D. Clinger, "How to Read Floating
// Point Numbers Accurately", 1990).
static inline double double_of(const struct number *n, bytes_at begin, bytes_at end)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int most = (int)ARRAY_LEN(powers) - 1;
    if (n->count <= 19 && n->digits <= UINT64_C(1) << 53 && n->power >= -most && n->power <= most) {
        double digits = (double)n->digits;
        double value = n->power < 0 ? digits / powers[-n->power] : digits * powers[n->power];
        return n->negative ? -value : value;
    }
    return number_of_chars((const char *)begin, (const char *)end);
}

// ---- values ----

// Mostly there is none, or one.
static inline bytes_at skip_space(bytes_at p, bytes_at end)
{
    if (p<end && * p> ' ')
        return p;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static bytes_at skip_word(bytes_at p, bytes_at end, struct str word)
{
    if ((size_t)(end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return NULL;
    return p + word.n;
}

// From behind one element: *more says whether another follows.
static inline bytes_at read_comma(bytes_at p, bytes_at end, char close, bool *more)
{
    p = skip_space(p, end);
    if (p == end || (*p != ',' && *p != (unsigned char)close))
        return NULL;
    *more = *p == ',';
    return *more ? skip_space(p + 1, end) : p + 1;
}

static inline bytes_at read_colon(bytes_at p, bytes_at end)
{
    p = skip_space(p, end);
    return p < end && *p == ':' ? skip_space(p + 1, end) : NULL;
}

// A key and its colon, up to the value.
static inline bytes_at read_key(bytes_at p, bytes_at end, struct str *key)
{
    bool plain;
    if (p == end || *p != '"' || !(p = read_string(p + 1, end, key, &plain)))
        return NULL;
    return read_colon(p, end);
}

struct keys {
    struct str seen[UNKNOWN_KEYS];
    size_t count;
};

static bool add_key(struct keys *keys, struct str key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (str_eq(keys->seen[i], key))
            return false;
    if (keys->count == UNKNOWN_KEYS)
        return false;
    keys->seen[keys->count++] = key;
    return true;
}

static bytes_at skip_value(bytes_at p, bytes_at end, int depth);

// From behind the opening bracket; depth is that of the container.
static bytes_at skip_array(bytes_at p, bytes_at end, int depth)
{
    p = skip_space(p, end);
    if (p < end && *p == ']')
        return p + 1;
    for (bool more = true; p && more;) {
        p = skip_value(p, end, depth);
        if (p)
            p = read_comma(p, end, ']', &more);
    }
    return p;
}

static bytes_at skip_object(bytes_at p, bytes_at end, int depth)
{
    struct keys keys;
    keys.count = 0;
    p = skip_space(p, end);
    if (p < end && *p == '}')
        return p + 1;
    for (bool more = true; p && more;) {
        struct str key;
        p = read_key(p, end, &key);
        if (!p || !add_key(&keys, key))
            return NULL;
        p = skip_value(p, end, depth);
        if (p)
            p = read_comma(p, end, '}', &more);
    }
    return p;
}

// A value but for strings: what reading and skipping have in common.
static bytes_at read_other(bytes_at p, bytes_at end, int depth, struct event_value *out)
{
    if ((*p == '{' || *p == '[') && depth == EVENT_JSON_DEPTH)
        return NULL;
    switch (*p) {
    case '{':
        out->type = EVENT_VALUE_OBJECT;
        return skip_object(p + 1, end, depth + 1);
    case '[':
        out->type = EVENT_VALUE_ARRAY;
        return skip_array(p + 1, end, depth + 1);
    case 't':
    case 'f':
        out->type = EVENT_VALUE_BOOL;
        out->boolean = *p == 't';
        return skip_word(p, end, out->boolean ? STR_LIT("true") : STR_LIT("false"));
    case 'n':
        out->type = EVENT_VALUE_NULL;
        return skip_word(p, end, STR_LIT("null"));
    default:
        return NULL;
    }
}

static bool begins_number(unsigned char c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

static bytes_at skip_value(bytes_at p, bytes_at end, int depth)
{
    struct event_value value;
    struct number number;
    if (p == end)
        return NULL;
    if (*p == '"')
        return skip_string(p + 1, end);
    if (begins_number(*p))
        return read_number(p, end, &number);
    return read_other(p, end, depth, &value);
}

// A value of the event's own level.
static inline bytes_at read_value(bytes_at p, bytes_at end, struct event_value *out)
{
    if (p == end)
        return NULL;
    if (*p == '"') {
        out->type = EVENT_VALUE_STRING;
        return read_string(p + 1, end, &out->string, &out->plain);
    }
    if (!begins_number(*p))
        return read_other(p, end, 1, out);
    struct number number;
    bytes_at begin = p;
    out->type = EVENT_VALUE_NUMBER;
    p = read_number(p, end, &number);
    if (p)
        out->number = double_of(&number, begin, p);
    return p;
}

// ---- the event ----

// The event's next key, as the field that it names.
static inline bytes_at read_field(struct event_scan *s, bytes_at p, bytes_at end, unsigned *field,
                                  struct str *key)
{
    unsigned guess = s->follower[*field];
    if (end - p > NAME_WORDS * WORD && *p == '"' && is_at(&s->names[guess], p + 1)) {
        *field = guess;
        *key = (struct str){(const char *)p + 1, s->names[guess].n - 1};
        return read_colon(p + 1 + s->names[guess].n, end);
    }
    p = read_key(p, end, key);
    if (p) {
        unsigned found = find_field(s, *key);
        if (found < EVENT_FIELDS)
            s->follower[*field] = (uint8_t)found;
        *field = found;
    }
    return p;
}

static inline bytes_at read_member(struct event_scan *s, bytes_at p, bytes_at end, unsigned *field,
                                   struct keys *unknown, struct event_values *out)
{
    struct str key;
    p = read_field(s, p, end, field, &key);
    if (!p)
        return NULL;
    if (*field == EVENT_FIELDS)
        return add_key(unknown, key) ? skip_value(p, end, 1) : NULL;
    if (out->sent & (1u << *field))
        return NULL;
    out->sent |= 1u << *field;
    return read_value(p, end, &out->of[*field]);
}

bool event_scan_read(struct event_scan *s, struct str bytes, struct event_values *out)
{
    // Each of jansson's tokens is a byte at least: so short an event has not too many.
    if (bytes.n == 0 || bytes.n > EVENT_JSON_TOKENS)
        return false;
    bytes_at p = (bytes_at)bytes.p, end = p + bytes.n;
    struct keys unknown;
    unknown.count = 0;
    unsigned field = EVENT_FIELDS;
    out->sent = 0;
    p = skip_space(p, end);
    if (p == end || *p != '{')
        return false;
    p = skip_space(p + 1, end);
    bool more = !(p < end && *p == '}');
    if (!more)
        p++;
    while (p && more) {
        p = read_member(s, p, end, &field, &unknown, out);
        if (p)
            p = read_comma(p, end, '}', &more);
    }
    return p && skip_space(p, end) == end;
}
