// SPDX-License-Identifier: Apache-2.0
// Regular expressions as Prometheus has them: RE2's syntax, a match is of the whole text, and time
// is linear in it. Behind it stands RE2 itself (regex_re2.cc).
#ifndef STREAMLENS_PROMQL_REGEX_H
#define STREAMLENS_PROMQL_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REGEX_GROUPS_MAX 64 // of a pattern, whose texts can be asked for; the whole is one of them

struct regex; // owned by whoever made it

// What a group matched, as offsets; from == to == -1 where it took no part.
struct regex_span {
    long from, to;
};

// NULL where the pattern is wrong or too large; why stands in `error`, which always ends with NUL.
struct regex *regex_new(const char *pattern, size_t n, char *error, size_t error_size);
void regex_free(struct regex *re);

bool regex_matches(const struct regex *re, const char *text, size_t n);
// The same, with the groups' texts: spans[0] is the whole, unused spans are -1.
bool regex_groups(const struct regex *re, const char *text, size_t n,
                  struct regex_span spans[REGEX_GROUPS_MAX]);
// The number of a named group (?P<name>…); -1 where there is none.
int regex_group_named(const struct regex *re, const char *name, size_t n);

#ifdef __cplusplus
}
#endif

#endif
