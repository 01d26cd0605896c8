// SPDX-License-Identifier: Apache-2.0
// The credential in a request's header fields. Pure.
#ifndef STREAMLENS_AUTH_CREDENTIAL_H
#define STREAMLENS_AUTH_CREDENTIAL_H

#include "common/core/base.h"

#define AUTH_CREDENTIAL_MAX 8192 // bytes of a key or token

enum auth_found { AUTH_FOUND_NONE, AUTH_FOUND_BROKEN, AUTH_FOUND };

struct auth_fields {
    struct str authorization, x_api_key; // the first of each
    size_t authorization_count, x_api_key_count;
};

// Exactly one field must carry one: `Authorization: Bearer TEXT` (the scheme in any case) or
// `X-API-Key: TEXT`. TEXT is 1 to AUTH_CREDENTIAL_MAX printable ASCII characters, no blanks.
enum auth_found auth_credential(const struct auth_fields *fields, struct str *out);

#endif
