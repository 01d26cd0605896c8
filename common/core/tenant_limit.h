// SPDX-License-Identifier: Apache-2.0
// What a tenant may send, as the table streamlens_limit has it (sql/README.md): streamlens-admin
// writes it, ingest-api reads it.
#ifndef STREAMLENS_TENANT_LIMIT_H
#define STREAMLENS_TENANT_LIMIT_H

#include "common/core/token_bucket.h"

#define TENANT_LIMITS_MAX 65536 // rows; who has none is held to that of TENANT_LIMIT_OTHERS
#define TENANT_LIMIT_OTHERS "*" // the tenant_id of that row
#define TENANT_LIMIT_BURST_S 10 // the burst where none is given, in seconds at the rate
#define TENANT_LIMIT_MOST TOKEN_BUCKET_MOST

struct tenant_limit {
    struct token_limit events, bytes; // per_second 0: no limit
};

// per_second and burst as in the table, 0 for NULL. Clients gather events for seconds before they
// send them (OpenTelemetry's exporters for 5): with less burst than that, one that keeps to its
// rate would be refused for gathering.
static inline struct token_limit tenant_limit_of(int64_t per_second, int64_t burst)
{
    if (burst == 0)
        burst = min_i64(per_second * TENANT_LIMIT_BURST_S, TENANT_LIMIT_MOST);
    return (struct token_limit){.per_second = per_second, .burst = burst};
}

#endif
