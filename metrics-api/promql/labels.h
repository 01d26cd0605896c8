// SPDX-License-Identifier: Apache-2.0
// The labels of a series: sorted by name, each name once, no empty value (which is the same as
// none). Values are never changed; what changes them makes new ones in an arena and shares the
// strings.
#ifndef STREAMLENS_PROMQL_LABELS_H
#define STREAMLENS_PROMQL_LABELS_H

#include "common/core/buf.h"
#include "metrics-api/promql/arena.h"

#define LABELS_NAME STR_LIT("__name__")

struct label {
    struct str name, value;
};
struct labels {
    const struct label *v; // borrowed
    size_t n;
};

// Bytewise, a shorter one before a longer one that begins so.
int str_compare(struct str a, struct str b);
bool str_has(const struct str *list, size_t n, struct str s);

struct str labels_get(struct labels l, struct str name); // empty, p not NULL, where there is none
int labels_compare(struct labels a, struct labels b);    // the order of results
struct labels labels_set(struct arena *a, struct labels l, struct str name, struct str value);
struct labels labels_keep(struct arena *a, struct labels l, const struct str *names, size_t n);
struct labels labels_drop(struct arena *a, struct labels l, const struct str *names, size_t n);
// Without __name__, __type__ and __unit__: what a function's result is no longer.
struct labels labels_drop_metadata(struct arena *a, struct labels l);

// Appends bytes that are the same for the same labels only.
void labels_key(struct labels l, struct buf *key);
void labels_key_with(struct labels l, const struct str *names, size_t n, struct buf *key);
void labels_key_without(struct labels l, const struct str *names, size_t n, struct buf *key);

// {__name__="x", a="b"}, as Prometheus writes them in messages.
void labels_print(struct labels l, struct buf *out);
void label_name_print(struct str name, struct buf *out); // quoted where it must be
void quoted_print(struct str s, struct buf *out);        // as a string literal of Go

// In place: a '?' for each byte that is no UTF-8. For messages, which quote strangers and are cut.
void text_clean(char *text);

bool label_name_valid(struct str name); // not empty, UTF-8

#endif
