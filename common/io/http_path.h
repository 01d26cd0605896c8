// SPDX-License-Identifier: Apache-2.0
// Paths of routes: "/a/b" is itself, and in "/a/{name}/b" the braces stand for one segment that is
// not empty. Pure.
#ifndef STREAMLENS_HTTP_PATH_H
#define STREAMLENS_HTTP_PATH_H

#include "common/core/base.h"

bool http_path_has_parameter(const char *route);
// Whether the path, still percent-encoded, is that of the route; and what stands in it for the
// parameter, { NULL, 0 } where it has none.
bool http_path_matches(const char *route, struct str path, struct str *parameter) MUST_CHECK;

#endif
