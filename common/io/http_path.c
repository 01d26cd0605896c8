// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_path.h"

bool http_path_has_parameter(const char *route)
{
    return strchr(route, '{') != NULL;
}

bool http_path_matches(const char *route, struct str path, struct str *parameter)
{
    *parameter = (struct str){NULL, 0};
    const char *open = strchr(route, '{');
    if (!open)
        return str_eq(path, str_of(route));
    const char *close = strchr(open, '}');
    assert(close && !strchr(close, '{'));
    struct str before = {route, (size_t)(open - route)}, after = str_of(close + 1);
    if (path.n <= before.n + after.n)
        return false;
    struct str segment = {path.p + before.n, path.n - before.n - after.n};
    if (memcmp(path.p, before.p, before.n) != 0 ||
        memcmp(segment.p + segment.n, after.p, after.n) != 0 || memchr(segment.p, '/', segment.n))
        return false;
    *parameter = segment;
    return true;
}
