// SPDX-License-Identifier: Apache-2.0
// Prometheus' HTTP API: what each endpoint takes and answers, and the life of a query that waits
// for rows. Errors are in Prometheus' own form, those of credentials and of HTTP itself too, since
// Grafana reads no other.
//
// Whose: with a credential its tenant. Who may read any tenant names one by X-Scope-OrgID, or sees
// all of them; a tenant that is not the credential's is answered 403.
#ifndef STREAMLENS_PROMETHEUS_API_H
#define STREAMLENS_PROMETHEUS_API_H

#include "common/io/http_server.h"
#include "metrics-api/prometheus/load.h"

#define PROM_BODY_MAX (PROM_QUERY_BYTES_MAX * 4) // a form's; percent-encoded

struct prom_api;
// Borrows all.
struct prom_api *prom_api_new(struct prom_loader *loader, const struct config *c,
                              const struct hash_key *hash_key, struct metrics_stats *stats);
void prom_api_free(struct prom_api *p); // no query is under way any more

#define PROM_PATHS "/api/v1/"
// For http_server_write_errors().
void prom_api_write_error(struct http_exchange *x, int status, const struct err *e);

// Answers x, now or later. rights: whose rows who asks may see.
void prom_api_answer(struct prom_api *p, struct http_exchange *x, enum prom_endpoint endpoint,
                     const struct question_rights *rights);

#endif
