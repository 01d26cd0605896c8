// SPDX-License-Identifier: Apache-2.0
// The order matters: pins are read first, so that a wrong number is refused before anything is
// made; topics come before the schema, so that services that find the schema find the topics too.
#include "deploy/admin/setup/setup.h"

#include <stdio.h>

#include "deploy/admin/prices/prices_default.h"
#include "deploy/admin/removal/retention.h"
#include "deploy/admin/setup/schema_pg.h"
#include "deploy/admin/setup/topics_kafka.h"

// A variable that is given must name the pinned number; one that is not takes it.
static int settle(const char *name, int64_t given, bool found, int64_t *number, struct err *e)
{
    if (given == CONFIG_UNSET)
        return 0;
    if (found && given != *number)
        return err_field(e, name, -1,
                         "%lld was given, but %lld is pinned in this database; unset it, or give "
                         "%lld (streamlens-admin settings set changes what can be changed)",
                         (long long)given, (long long)*number, (long long)*number);
    *number = given;
    return 0;
}

static int settle_all(const struct config *c, struct schema_pins *p, struct err *e)
{
    if (p->found && strcmp(p->topic_prefix, c->topic_prefix) != 0)
        return err_field(e, "TOPIC_PREFIX", -1,
                         "'%.100s' was given, but this database belongs to the installation with "
                         "TOPIC_PREFIX='%.100s'; use another database",
                         c->topic_prefix, p->topic_prefix);
    if (!p->found && strlen(c->topic_prefix) >= sizeof(p->topic_prefix))
        return err_field(e, "TOPIC_PREFIX", -1, "is longer than a topic's name may be");
    if (!p->found)
        snprintf(p->topic_prefix, sizeof(p->topic_prefix), "%s", c->topic_prefix);
    struct config_pinned *n = &p->numbers;
    if (settle("PARTITIONS", c->partitions, p->found, &n->partitions, e) < 0 ||
        settle("JOIN_TTL_MS", c->join_ttl_ms, p->found, &n->join_ttl_ms, e) < 0 ||
        settle("JOIN_SKEW_MS", c->join_skew_ms, p->found, &n->join_skew_ms, e) < 0 ||
        settle("MAX_SERIES_PER_TENANT", c->max_series_per_tenant, p->found,
               &n->max_series_per_tenant, e) < 0)
        return -1;
    return 0;
}

// Topics without an end to their retention are retention's own affair: what is not counted yet it
// knows when it runs.
static int check_retention(const struct config *c, struct topics *t, const struct config_pinned *n,
                           struct err *e)
{
    int64_t topics_ms;
    if (topics_input_retention(t, &topics_ms, e) < 0)
        return -1;
    if (topics_ms < 0)
        return 0;
    return retention_check(c, topics_ms, RETENTION_OF_TOPICS, n->join_ttl_ms + n->join_skew_ms, e);
}

static int run(const struct config *c, struct schema *s, struct topics *t, struct err *e)
{
    struct schema_pins pins;
    if (schema_read_pins(s, &pins, e) < 0)
        return -1;
    if (!pins.found)
        pins.numbers = config_pinned_default();
    if (settle_all(c, &pins, e) < 0)
        return -1;
    int rc = check_retention(c, t, &pins.numbers, e);
    if (rc < 0)
        return rc;
    // Topics that are there already say what N is, where nobody else does.
    int64_t existing = 0;
    if (!pins.found && topics_input_partitions(t, &existing, e) < 0)
        return -1;
    if (c->partitions == CONFIG_UNSET && existing > 0)
        pins.numbers.partitions = existing;
    if (topics_setup(t, pins.numbers.partitions, e) < 0 || schema_apply(s, e) < 0)
        return -1;
    return schema_pin(s, &pins, e);
}

int setup_run(const struct config *c, const struct args *a, struct err *e)
{
    (void)a; // it has no options
    if (prices_default_check(c, e) < 0 || retention_check_hours(c, e) < 0)
        return ARGS_WRONG;
    struct topics *t = topics_open(c, e);
    struct schema *s = t ? schema_open(c, e) : NULL;
    int rc = s ? run(c, s, t, e) : -1;
    if (rc == 0)
        rc = prices_default_load(c, e);
    schema_close(s);
    topics_close(t);
    return rc;
}
