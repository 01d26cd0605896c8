// SPDX-License-Identifier: Apache-2.0
#include "common/io/auth_credential.h"

#include <strings.h>

#define BEARER "bearer"

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

// False where it is another scheme, or none.
static bool cut_scheme(struct str *s)
{
    size_t n = strlen(BEARER);
    if (s->n <= n || strncasecmp(s->p, BEARER, n) != 0 || s->p[n] != ' ')
        return false;
    *s = trim((struct str){s->p + n, s->n - n});
    return true;
}

enum auth_found auth_credential(const struct auth_fields *fields, struct str *out)
{
    size_t count = fields->authorization_count + fields->x_api_key_count;
    if (count == 0)
        return AUTH_FOUND_NONE;
    if (count > 1)
        return AUTH_FOUND_BROKEN;
    *out = trim(fields->authorization_count ? fields->authorization : fields->x_api_key);
    if (fields->authorization_count && !cut_scheme(out))
        return AUTH_FOUND_BROKEN;
    if (out->n == 0 || out->n > AUTH_CREDENTIAL_MAX)
        return AUTH_FOUND_BROKEN;
    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] <= ' ' || out->p[i] > '~')
            return AUTH_FOUND_BROKEN;
    }
    return AUTH_FOUND;
}
