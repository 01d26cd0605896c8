// SPDX-License-Identifier: Apache-2.0
// The names under which a model's name is looked up in the catalogue, most exact first. A pure
// function of the bytes; which of them is priced is price.h's matter.
//
//   as it is                                     gpt-4o-2024-05-13
//   without prefixes of provider and region      openrouter/openai/gpt-4o, us.anthropic.claude-…
//   without suffixes of date and version         -2024-08-06, -20250929, @20250929, -v1:0, -001,
//                                                -latest
//
// Only what is known to be a prefix or a suffix is taken away, one at a time, and each form on the
// way is tried: a name with an own entry is never priced as another. Never an open prefix match:
// gpt-4o-mini is not gpt-4o. What changes the price stays: ":free", "ft:", "-preview", "-audio".
#ifndef STREAMLENS_PRICE_NAME_H
#define STREAMLENS_PRICE_NAME_H

#include "common/core/base.h"

#define PRICE_NAME_MAX 255
#define PRICE_NAME_FORMS_MAX 48

struct price_name_forms {
    char lower[PRICE_NAME_MAX];            // the name in lower case; forms point into it
    struct str form[PRICE_NAME_FORMS_MAX]; // form[0] is the whole name
    size_t n;
    size_t without_prefix; // forms from here on have lost a prefix, the ones before are exact …
    size_t without_suffix; // … and from here on a suffix
};
// name: 1 to PRICE_NAME_MAX bytes (a longer one gives no form).
void price_name_forms(struct str name, struct price_name_forms *out);

#endif
