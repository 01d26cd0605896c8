// SPDX-License-Identifier: Apache-2.0
// Functions of labels: label_replace and label_join.
#include "metrics-api/promql/eval.h"

static struct str string_argument(const struct node *call, size_t i)
{
    return node_unwrap(call->call.args[i])->string;
}

static int check_name(struct eval *ev, struct str name, const char *which, const char *function)
{
    if (label_name_valid(name))
        return 0;
    return eval_fail(ev, PROMQL_EXECUTION, "invalid %s label name in %s(): %.*s", which, function,
                     (int)(name.n < 100 ? name.n : 100), name.p);
}

static void set_label(struct eval *ev, struct vector *v, size_t i, struct str name,
                      struct str value)
{
    struct row *row = &v->rows[i];
    row->labels = labels_set(ev->arena, row->labels, name, value);
    if (str_eq(name, LABELS_NAME))
        row->drop_name = false;
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The reference at the text's beginning, behind the dollar: a number or a name, in braces or not.
// Returns its length, 0 where it is none.
static size_t reference(struct str text, struct str *name)
{
    bool braces = text.n > 0 && text.p[0] == '{';
    size_t from = braces ? 1 : 0, to = from;
    while (to < text.n && is_word(text.p[to]))
        to++;
    *name = (struct str){text.p + from, to - from};
    if (to == from || (braces && (to == text.n || text.p[to] != '}')))
        return 0;
    return braces ? to + 1 : to;
}

static long group_of(const struct regex *re, struct str name)
{
    long number = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (!(name.p[i] >= '0' && name.p[i] <= '9'))
            return regex_group_named(re, name.p, name.n);
        number = number < REGEX_GROUPS_MAX ? number * 10 + (name.p[i] - '0') : number;
    }
    return number;
}

// $1, ${1}, $name and $$ of the replacement, as Go's Regexp.Expand.
static void expand(const struct regex *re, struct str text, struct str source,
                   const struct regex_span *spans, struct buf *out)
{
    for (size_t i = 0; i < text.n;) {
        if (text.p[i] != '$') {
            buf_addc(out, text.p[i++]);
            continue;
        }
        i++;
        if (i < text.n && text.p[i] == '$') {
            buf_addc(out, '$');
            i++;
            continue;
        }
        struct str name;
        size_t length = reference((struct str){text.p + i, text.n - i}, &name);
        if (length == 0) { // no reference: the dollar itself
            buf_addc(out, '$');
            continue;
        }
        long group = group_of(re, name);
        if (group >= 0 && group < REGEX_GROUPS_MAX && spans[group].from >= 0)
            buf_add(out, source.p + spans[group].from,
                    (size_t)(spans[group].to - spans[group].from));
        i += length;
    }
}

static int replace(struct eval *ev, const struct node *call, const struct regex *re,
                   struct vector *v)
{
    struct str to = string_argument(call, 1), text = string_argument(call, 2),
               from = string_argument(call, 3);
    struct buf value = {0};
    for (size_t i = 0; i < v->n && eval_check(ev) == 0; i++) {
        struct regex_span spans[REGEX_GROUPS_MAX];
        struct str source = labels_get(v->rows[i].labels, from);
        if (!regex_groups(re, source.p, source.n, spans))
            continue;
        buf_clear(&value);
        expand(re, text, source, spans, &value);
        set_label(ev, v, i, to, (struct str){value.p, value.n});
    }
    buf_free(&value);
    return ev->verdict == PROMQL_OK ? vector_merge(ev, v) : -1;
}

int eval_label_replace(struct eval *ev, const struct node *call, struct vector *out)
{
    struct str pattern = string_argument(call, 4);
    char why[200];
    struct regex *re = regex_new(pattern.p, pattern.n, why, sizeof(why));
    if (!re)
        return eval_fail(ev, PROMQL_EXECUTION,
                         "invalid regular expression in label_replace(): %.*s",
                         (int)(pattern.n < 300 ? pattern.n : 300), pattern.p);
    int done = check_name(ev, string_argument(call, 1), "destination", "label_replace");
    if (done == 0)
        done = eval_node(ev, call->call.args[0], out);
    if (done == 0)
        done = replace(ev, call, re, out);
    regex_free(re);
    return done;
}

int eval_label_join(struct eval *ev, const struct node *call, struct vector *out)
{
    struct str to = string_argument(call, 1), separator = string_argument(call, 2);
    for (size_t i = 3; i < call->call.n; i++)
        if (check_name(ev, string_argument(call, i), "source", "label_join") != 0)
            return -1;
    if (check_name(ev, to, "destination", "label_join") != 0 ||
        eval_node(ev, call->call.args[0], out) != 0)
        return -1;
    struct buf value = {0};
    for (size_t i = 0; i < out->n && eval_check(ev) == 0; i++) {
        buf_clear(&value);
        for (size_t j = 3; j < call->call.n; j++) {
            struct str part = labels_get(out->rows[i].labels, string_argument(call, j));
            if (j > 3)
                buf_add(&value, separator.p, separator.n);
            buf_add(&value, part.p, part.n);
        }
        set_label(ev, out, i, to, (struct str){value.p, value.n});
    }
    buf_free(&value);
    return ev->verdict == PROMQL_OK ? vector_merge(ev, out) : -1;
}
