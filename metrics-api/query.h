// SPDX-License-Identifier: Apache-2.0
// What a client asks of GET /v1/metrics. Pure: decoded parameters in, a typed query or an error
// that names the parameter out. All that later grows the API (ranges, steps, groups) is parsed
// here.
#ifndef STREAMLENS_QUERY_H
#define STREAMLENS_QUERY_H

#include "common/core/err.h"

#define QUERY_LIMIT_DEFAULT 60
#define QUERY_LIMIT_MAX 10000 // a week of minutes of one series

// Zero-initialise it to begin.
struct query {
    char *tenant_id;     // owned; after query_finish() one that the asker may read, never NULL
    char *route, *model; // owned; NULL where not asked for
    int64_t limit;       // 1 to QUERY_LIMIT_MAX after query_finish()
    unsigned given;      // a bit each parameter that was there
};

// One parameter. Unknown names are ignored, an empty value counts as not given, a known name may
// come once.
int query_param(struct query *q, struct str name, struct str value, struct err *e) MUST_CHECK;

// Whose rows the asker may see.
struct query_rights {
    struct str tenant; // its own, which it need not name; absent where it has none
    bool any_tenant;
};
enum query_verdict {
    QUERY_FINE,
    QUERY_WRONG,
    QUERY_OTHER_TENANT, // it names a tenant that is not the asker's to read
};
// Defaults, and what has to be there; e names the parameter at fault.
enum query_verdict query_finish(struct query *q, const struct query_rights *rights,
                                struct err *e) MUST_CHECK;
void query_clear(struct query *q);

#endif
