// SPDX-License-Identifier: Apache-2.0
// Every step takes a position and gives the one behind what it has read, or NULL: not for this
// reader. `end` is where the event's last bracket stands: it may be read, and is what ends all but
// strings.
//
// What makes it quick: what leads from one value to the next is guessed to be what stood there in
// the event before, which is one comparison; strings are looked through sixteen bytes at a time,
// and digits eight; a decimal becomes a double by a multiplication.
#include "common/core/event_scan.h"

#include "common/core/digits.h"
#include "common/core/number.h"
#include "common/core/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define WIDTH 16 // bytes of a vector, and the least that stands before an event's last bracket
#define UNKNOWN_KEYS 32
#define NUMBER_MAX 63
#define SLOTS 64 // a power of two, above twice EVENT_FIELDS

typedef const unsigned char *bytes_at;
typedef unsigned char vector __attribute__((vector_size(WIDTH)));
typedef signed char signed_vector __attribute__((vector_size(WIDTH)));

static inline vector load_vector(const void *p)
{
    vector v;
    memcpy(&v, p, sizeof(v));
    return v;
}

// A bit of each byte; they are 0 or 0xff, as comparisons leave them.
static inline unsigned bits_of(vector v)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8((__m128i)v);
#else
    // The factor moves the lowest bit of each byte into the highest byte.
    const uint64_t lowest = UINT64_C(0x0101010101010101), gather = UINT64_C(0x0102040810204080);
    unsigned char bytes[WIDTH];
    memcpy(bytes, &v, sizeof(bytes));
    uint64_t first = digits_load(bytes) & lowest, second = digits_load(bytes + 8) & lowest;
    return (unsigned)(first * gather >> 56 | second * gather >> 56 << 8);
#endif
}

// ---- the known names, and what leads to their values ----

#define LEAD_MAX (2 * WIDTH)
#define AT_BEGIN EVENT_FIELDS // in place of a field: before the first one
#define UNKNOWN (EVENT_FIELDS + 1)

// The bytes from a comma, or the first bracket, to a known field's value: `,"model":"`.
struct lead {
    unsigned char text[LEAD_MAX];
    const struct lead *next; // what leads on from that field
    uint32_t bit;            // of the field
    uint16_t second;         // where in it the second vector begins, which ends where it ends
    uint16_t beyond;         // a bit for each byte of the first vector that is not part of it
    uint8_t n;
    uint8_t field;
    bool string; // it ends with the quote that begins a string
};

struct event_scan {
    uint32_t names;       // a bit for each field that takes a name
    uint8_t slots[SLOTS]; // number of the field + 1, 0 = free; by slot_of() its name
    // What came last behind this field. A guess: that a byte differs costs nothing but time. Where
    // all are the same, the comma, the key and the colon are what they were when they were read.
    struct lead leads[EVENT_FIELDS + 2];
};

// Where to begin to look for a key. These factors give each of today's names a slot of its own.
static size_t slot_of(struct str key)
{
    if (key.n == 0)
        return 0;
    return ((unsigned char)key.p[0] + 2u * (unsigned char)key.p[key.n - 1] + 25 * key.n) % SLOTS;
}

struct event_scan *event_scan_new(void)
{
    struct event_scan *s = xcalloc(1, sizeof(*s));
    for (unsigned i = 0; i < EVENT_FIELDS; i++) {
        size_t at = slot_of(event_fields[i].name);
        while (s->slots[at])
            at = (at + 1) % SLOTS;
        s->slots[at] = (uint8_t)(i + 1);
        if (event_field_takes_names(&event_fields[i]))
            s->names |= 1u << i;
    }
    for (size_t i = 0; i < ARRAY_LEN(s->leads); i++)
        s->leads[i].second = UINT16_MAX; // above EVENT_JSON_TOKENS: nothing yet
    return s;
}

void event_scan_free(struct event_scan *s)
{
    free(s);
}

// The number of the field, UNKNOWN where the key is none of ours.
static unsigned find_field(const struct event_scan *s, struct str key)
{
    for (size_t at = slot_of(key); s->slots[at]; at = (at + 1) % SLOTS)
        if (str_eq(event_fields[s->slots[at] - 1].name, key))
            return s->slots[at] - 1u;
    return UNKNOWN;
}

// Behind the field `before`: from p to where the value begins, which is behind the quote of a
// string.
static void learn_lead(struct event_scan *s, unsigned before, bytes_at p, bytes_at value,
                       unsigned field)
{
    size_t n = (size_t)(value - p);
    if (n > LEAD_MAX)
        return;
    struct lead lead = {.next = &s->leads[field],
                        .bit = 1u << field,
                        .second = n > WIDTH ? (uint16_t)(n - WIDTH) : 0,
                        .beyond = n < WIDTH ? (uint16_t)(0xffffu << n) : 0,
                        .n = (uint8_t)n,
                        .field = (uint8_t)field,
                        .string = value[-1] == '"'};
    memcpy(lead.text, p, n);
    s->leads[before] = lead;
}

static inline bool leads_on(const struct lead *lead, bytes_at p, bytes_at end)
{
    ptrdiff_t at = lead->second;
    if (end - p < at + WIDTH - 1) // the last byte may be the bracket
        return false;
    vector first = load_vector(p) == load_vector(lead->text);
    vector second = load_vector(p + at) == load_vector(lead->text + at);
    return (bits_of(first & second) | lead->beyond) == 0xffff;
}

// ---- strings ----

// A bit for each of the sixteen bytes that is no printable ASCII, a quote or a backslash.
static inline unsigned special_bytes(bytes_at p)
{
    vector v = load_vector(p);
    // Moved to where signed bytes begin, printable ASCII is all that is below a bound.
    const unsigned char move = 0x80 - ' ';
    vector printable = (vector)((signed_vector)(v + move) < (signed char)(0x7f - ' ' - 0x80));
    vector ends = (vector)(v == '"') | (vector)(v == '\\');
    return bits_of(printable & ~ends) ^ 0xffff;
}

// The same of an event's last bytes, less than sixteen: they are looked at where they stand in its
// last vector, so that none behind them is read.
static NOINLINE bytes_at plain_end_of_last(bytes_at p, bytes_at end)
{
    unsigned left = (unsigned)(end - p);
    return p + __builtin_ctz(special_bytes(end - WIDTH) >> (WIDTH - left) | 1u << left);
}

// The first such byte from p on, or `end`.
static inline bytes_at plain_end(bytes_at p, bytes_at end)
{
    for (; p <= end - WIDTH; p += WIDTH) {
        unsigned special = special_bytes(p);
        if (special)
            return p + __builtin_ctz(special);
    }
    return plain_end_of_last(p, end);
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

// The rest of a string, from the first byte that is not plain.
static NOINLINE bytes_at read_unusual(bytes_at p, bytes_at end, bytes_at begin,
                                      struct event_value *out)
{
    p = text_end(p, end);
    if (!p || *p != '"')
        return NULL;
    out->string = (struct str){(const char *)begin, (size_t)(p - begin)};
    out->is_name = false;
    return p + 1;
}

// From behind the opening quote to behind the closing one.
static inline bytes_at read_string(bytes_at p, bytes_at end, struct event_value *out)
{
    bytes_at begin = p;
    out->type = EVENT_VALUE_STRING;
    p = plain_end(p, end);
    if (*p != '"')
        return read_unusual(p, end, begin, out);
    size_t n = (size_t)(p - begin);
    out->string = (struct str){(const char *)begin, n};
    out->is_name = n - 1 < EVENT_NAME_MAX;
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

// The rest of a string, from the first byte that is not plain.
static NOINLINE bytes_at skip_unusual(bytes_at p, bytes_at end)
{
    for (;;) {
        p = text_end(p, end);
        if (!p)
            return NULL;
        if (*p == '"')
            return p + 1;
        p = *p == '\\' ? skip_escape(p, end) : NULL;
        if (!p)
            return NULL;
        p = plain_end(p, end);
    }
}

static inline bytes_at skip_string(bytes_at p, bytes_at end)
{
    p = plain_end(p, end);
    return *p == '"' ? p + 1 : skip_unusual(p, end);
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
    static const uint32_t powers[] = {1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000};
    bytes_at begin = p;
    unsigned count;
    do {
        uint64_t word = digits_load_before(p, end);
        count = digits_count(word);
        if (count > 0)
            n->digits = n->digits * powers[count] + digits_value(word, count);
        p += count;
    } while (count == DIGITS_WORD);
    n->count += (int)(p - begin);
    return p > begin ? p : NULL;
}

static NOINLINE bytes_at read_exponent(bytes_at p, bytes_at end, int *power)
{
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    struct number exponent = {0};
    p = read_digits(p, end, &exponent);
    if (!p || exponent.count > 2)
        return NULL;
    *power = negative ? -(int)exponent.digits : (int)exponent.digits;
    return p;
}

// JSON's grammar. With NUMBER_MAX characters and two digits of exponent no double overflows.
static inline bytes_at read_number(bytes_at p, bytes_at end, struct number *n)
{
    bytes_at begin = p;
    *n = (struct number){.negative = *p == '-'};
    p += n->negative;
    bool zero_first = *p == '0';
    p = read_digits(p, end, n);
    if (!p || (zero_first && n->count > 1))
        return NULL;
    if (*p == '.') {
        int whole = n->count;
        p = read_digits(p + 1, end, n);
        if (!p)
            return NULL;
        n->power = whole - n->count;
    }
    if ((*p | 0x20) == 'e') {
        int power = 0;
        p = read_exponent(p + 1, end, &power);
        n->power += power;
    }
    return p && p - begin <= NUMBER_MAX ? p : NULL;
}

// The double next to what is written.
static inline double double_of(const struct number *n, bytes_at begin, bytes_at end)
{
    double value;
    if (n->count <= 19 && n->power == 0)
        value = (double)n->digits; // which rounds as it should
    else if (n->count > 19 || !number_of_decimal(n->digits, n->power, &value))
        return number_of_chars((const char *)begin, (const char *)end);
    return n->negative ? -value : value;
}

// ---- values ----

static inline bool is_space(unsigned char c)
{
    return c <= ' ' && (c == ' ' || c == '\t' || c == '\n' || c == '\r');
}

static inline bytes_at skip_space(bytes_at p)
{
    while (is_space(*p))
        p++;
    return p;
}

static bytes_at skip_word(bytes_at p, bytes_at end, struct str word)
{
    if ((size_t)(end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return NULL;
    return p + word.n;
}

// A bracket that closes what is inside of the event: the last one does not.
static inline bytes_at skip_close(bytes_at p, bytes_at end, unsigned char close)
{
    return *p == close && p < end ? p + 1 : NULL;
}

// From behind one element: *more says whether another follows.
static inline bytes_at read_comma(bytes_at p, bytes_at end, unsigned char close, bool *more)
{
    p = skip_space(p);
    *more = *p == ',';
    return *more ? skip_space(p + 1) : skip_close(p, end, close);
}

// A key and its colon, up to the value.
static inline bytes_at read_key(bytes_at p, bytes_at end, struct str *key)
{
    struct event_value name;
    if (*p != '"' || !(p = read_string(p + 1, end, &name)))
        return NULL;
    *key = name.string;
    p = skip_space(p);
    return *p == ':' ? skip_space(p + 1) : NULL;
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

static bytes_at skip_other(bytes_at p, bytes_at end, int depth);

static inline bytes_at skip_value(bytes_at p, bytes_at end, int depth)
{
    return *p == '"' ? skip_string(p + 1, end) : skip_other(p, end, depth);
}

// From behind the opening bracket; depth is that of the container.
static bytes_at skip_array(bytes_at p, bytes_at end, int depth)
{
    p = skip_space(p);
    if (*p == ']')
        return skip_close(p, end, ']');
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
    p = skip_space(p);
    if (*p == '}')
        return skip_close(p, end, '}');
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

static bytes_at skip_other(bytes_at p, bytes_at end, int depth)
{
    struct event_value value;
    struct number number;
    if (begins_number(*p))
        return read_number(p, end, &number);
    return read_other(p, end, depth, &value);
}

static NOINLINE bytes_at read_any_number(bytes_at p, bytes_at end, double *out)
{
    struct number number;
    bytes_at begin = p;
    p = read_number(p, end, &number);
    if (p)
        *out = double_of(&number, begin, p);
    return p;
}

// A known field's value that is no string.
static NOINLINE bytes_at read_value(bytes_at p, bytes_at end, struct event_value *out)
{
    if (!begins_number(*p))
        return read_other(p, end, 1, out);
    out->type = EVENT_VALUE_NUMBER;
    // Most are short and whole: what has to be asked of others costs twice as much.
    uint64_t word = digits_load_before(p, end);
    unsigned count = digits_count(word);
    if (count == 0 || count == DIGITS_WORD || *p == '0' || p[count] == '.' ||
        (p[count] | 0x20) == 'e')
        return read_any_number(p, end, &out->number);
    out->number = digits_value(word, count);
    return p + count;
}

// ---- the event ----

// A member for which the guess was wrong, from behind the comma or the first bracket up to its
// value; learns from it. *field may be UNKNOWN.
static NOINLINE bytes_at find_value(struct event_scan *s, unsigned before, bytes_at p, bytes_at end,
                                    struct keys *unknown, unsigned *field)
{
    struct str key;
    bytes_at value = read_key(skip_space(p + 1), end, &key);
    if (!value)
        return NULL;
    *field = find_field(s, key);
    if (*field == UNKNOWN)
        return add_key(unknown, key) ? value : NULL;
    value += *value == '"';
    learn_lead(s, before, p, value, *field);
    return value;
}

// What is found in an event, and where it goes.
struct finds {
    uint32_t known, names; // fields that go to `event`, and those of them that take names
    struct event_values *values;
    struct event *event;
};

// Mostly it is a name, and known to be a good one.
static inline bool take(const struct finds *f, unsigned field, uint32_t bit)
{
    const struct event_value *v = &f->values->of[field];
    if (v->type == EVENT_VALUE_STRING && v->is_name && (f->names & bit)) {
        // By halves, as they were written: a load of both would wait until they are in the cache.
        // With `finds` by its address, for the same reason, a tenth of an event's time.
        struct str *member = (struct str *)((char *)f->event + event_fields[field].offset);
        member->p = v->string.p;
        member->n = v->string.n;
        return true;
    }
    return !(f->known & bit) || event_field_take(&event_fields[field], v, f->event, NULL) == 0;
}

// From the first bracket to the last one.
static bytes_at read_members(struct event_scan *s, bytes_at p, bytes_at end, const struct finds *f)
{
    struct keys unknown;
    unknown.count = 0;
    const struct lead *lead = &s->leads[AT_BEGIN];
    uint32_t seen = 0, nulls = 0;
    while (p) {
        unsigned field = lead->field;
        uint32_t bit = lead->bit;
        bool string = lead->string;
        if (leads_on(lead, p, end)) {
            p += lead->n;
            lead = lead->next;
        } else {
            p = skip_space(p);
            if (*p != ',' && lead != &s->leads[AT_BEGIN])
                break;
            unsigned found;
            p = find_value(s, (unsigned)(lead - s->leads), p, end, &unknown, &found);
            if (!p)
                break;
            lead = &s->leads[found];
            if (found == UNKNOWN) {
                p = skip_value(p, end, 1);
                continue;
            }
            field = found;
            bit = 1u << found;
            string = p[-1] == '"';
        }
        if (seen & bit)
            return NULL;
        seen |= bit;
        struct event_value *v = &f->values->of[field];
        if (string) {
            p = read_string(p, end, v);
        } else {
            p = read_value(p, end, v);
            if (v->type == EVENT_VALUE_NULL) {
                nulls |= bit;
                continue;
            }
        }
        if (!p || !take(f, field, bit))
            return NULL;
    }
    f->values->sent = seen & ~nulls;
    return p;
}

// Where the object's last bracket must stand. NULL where it cannot.
static bytes_at last_bracket(bytes_at begin, bytes_at end)
{
    while (end > begin && is_space(end[-1]))
        end--;
    return end - begin > WIDTH && end[-1] == '}' ? end - 1 : NULL;
}

bool event_scan_read(struct event_scan *s, struct str bytes, uint32_t known,
                     struct event_values *values, struct event *out)
{
    // Each of jansson's tokens is a byte at least: so short an event has not too many.
    if (bytes.n == 0 || bytes.n > EVENT_JSON_TOKENS)
        return false;
    bytes_at p = (bytes_at)bytes.p, end = last_bracket(p, p + bytes.n);
    if (!end || *(p = skip_space(p)) != '{')
        return false;
    struct finds f = {.known = known, .names = known & s->names, .values = values, .event = out};
    return read_members(s, p, end, &f) == end;
}
