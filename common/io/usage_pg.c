// SPDX-License-Identifier: Apache-2.0
// An array is: its dimensions (0 or 1 here), a flag for NULLs, the elements' type, their count and
// first index; then each element with its length. An element is a record: how many members, then
// each with its type and length.
#include "common/io/usage_pg.h"

#define OID_INT8 20
#define OID_TEXT 25

#define MEMBER(name) MEMBER_##name,
enum {
    MEMBER_model,
    MEMBER_asked,
    MEMBER_tier,
    MEMBER_context_above,
    MEMBER_requests,
    USAGE_CLASSES(MEMBER) MEMBERS
};

// ---- writing ----

static void write_text(struct buf *b, struct str s)
{
    db_put_be(b, OID_TEXT, 4);
    db_copy_text(b, s);
}

static void write_i64(struct buf *b, int64_t v)
{
    db_put_be(b, OID_INT8, 4);
    db_copy_i64(b, v);
}

static void write_line(struct buf *b, const struct usage_key *key, const struct usage *u)
{
    size_t element = db_copy_open(b);
    db_put_be(b, MEMBERS, 4);
    write_text(b, key->model);
    write_text(b, key->asked);
    write_text(b, key->tier);
    write_i64(b, key->context_above);
    write_i64(b, u->requests);
#define WRITE(name) write_i64(b, u->name);
    USAGE_CLASSES(WRITE)
#undef WRITE
    db_copy_close(b, element);
}

void usage_pg_write(struct buf *b, Oid type, const struct usage_lines *l)
{
    static const struct usage_key other = {.model = {USAGE_OTHER, sizeof(USAGE_OTHER) - 1}};
    static const struct usage none;
    bool has_other = memcmp(&l->other, &none, sizeof(none)) != 0;
    size_t n = l->n + has_other, field = db_copy_open(b);
    db_put_be(b, n > 0, 4);
    db_put_be(b, 0, 4);
    db_put_be(b, type, 4);
    if (n > 0) {
        db_put_be(b, n, 4);
        db_put_be(b, 1, 4);
    }
    for (size_t i = 0; i < l->n; i++)
        write_line(b, &l->v[i].key, &l->v[i].sum);
    if (has_other)
        write_line(b, &other, &l->other);
    db_copy_close(b, field);
}

// ---- reading ----

static struct str take_text(struct db_cursor *c)
{
    if (db_take_be(c, 4) != OID_TEXT)
        c->failed = true;
    return db_take_field(c);
}

// A count is never negative.
static int64_t take_i64(struct db_cursor *c)
{
    if (db_take_be(c, 4) != OID_INT8 || db_take_be(c, 4) != 8)
        c->failed = true;
    int64_t v = (int64_t)db_take_be(c, 8);
    if (v < 0)
        c->failed = true;
    return v;
}

static bool take_line(struct db_cursor *array, struct usage_lines *l)
{
    struct db_cursor c = {.left = db_take_field(array)};
    if (db_take_be(&c, 4) != MEMBERS)
        return false;
    struct usage_key key;
    struct usage u;
    key.model = take_text(&c);
    key.asked = take_text(&c);
    key.tier = take_text(&c);
    key.context_above = take_i64(&c);
    u.requests = take_i64(&c);
#define TAKE(name) u.name = take_i64(&c);
    USAGE_CLASSES(TAKE)
#undef TAKE
    if (c.failed || c.left.n != 0)
        return false;
    usage_lines_add(l, &key, &u);
    return true;
}

int usage_pg_read(struct usage_lines *l, struct str field, struct err *e)
{
    struct db_cursor c = {.left = field};
    uint64_t dimensions = db_take_be(&c, 4);
    db_take_be(&c, 4);
    db_take_be(&c, 4); // the type is the column's
    uint64_t n = 0;
    if (dimensions == 1) {
        n = db_take_be(&c, 4);
        db_take_be(&c, 4);
    }
    if (c.failed || dimensions > 1)
        return err_set(e, "usage is no array of one dimension");
    for (uint64_t i = 0; i < n; i++)
        if (!take_line(&c, l))
            return err_set(e, "line %llu of usage has a member that is missing or below 0",
                           (unsigned long long)i + 1);
    return c.left.n == 0 ? 0 : err_set(e, "usage goes on after its last line");
}
