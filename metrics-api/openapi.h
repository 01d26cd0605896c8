// SPDX-License-Identifier: Apache-2.0
// The OpenAPI document, made by openapi.py of openapi.json and the schema of a row.
#ifndef STREAMLENS_OPENAPI_H
#define STREAMLENS_OPENAPI_H

#include "common/core/base.h"

extern const struct str openapi_json, openapi_json_gzip;
extern const char openapi_etag[], openapi_etag_gzip[]; // entity tags, with their quotes

#endif
