// SPDX-License-Identifier: Apache-2.0
// What every user of librdkafka here shares: configuration, logging, checks of topics. rdkafka.h is
// included by this header and by *_kafka.c files only.
#ifndef STREAMLENS_KAFKA_H
#define STREAMLENS_KAFKA_H

#include "common/core/config.h"
#include "common/core/err.h"

#include <librdkafka/rdkafka.h>

// A configuration with what all clients here set (brokers, client.id, reconnect.backoff.max.ms=500,
// allow.auto.create.topics=false, log callback to log.h), then `props` (pairs of name and value,
// ended by NULL; may be NULL), then the operator's KAFKA_CONF_*, which may not change what the
// counts rest on (acks, isolation.level, group.id …). NULL names the property at fault. The name
// for topics, group and ids carries TOPIC_PREFIX: config_topic(), config_group().
rd_kafka_conf_t *kafka_conf_new(const struct config *c, const char *client_id,
                                const char *const *props, struct err *e) MUST_CHECK;

// One topic as the broker has it now.
struct kafka_topic_info {
    int partitions; // 0 where it does not exist
    bool log_append_time;
    int64_t retention_ms;    // -1 = unlimited
    char cleanup_policy[24]; // "delete", "compact", or both with a comma
};
// Asks DescribeConfigs and metadata within timeout_ms, blocking; never creates the topic. 0 also
// where the topic does not exist (or was made only now: brokers learn of it with a delay), -1 where
// the broker does not answer. rk is any producer or consumer.
int kafka_topic_info(rd_kafka_t *rk, const char *topic, int timeout_ms,
                     struct kafka_topic_info *out, struct err *e) MUST_CHECK;

// Whether both input topics exist, have `partitions` partitions each and LogAppendTime. 0: they do.
// -1: they do not; the error names the topic, both numbers, and the command that mends it. 1: the
// broker did not answer within timeout_ms, ask again. A missing topic is waited for up to 2 s,
// since brokers learn of a new one with a delay. Blocks: for use before a loop runs.
int kafka_check_inputs(rd_kafka_t *rk, const struct config *c, int64_t partitions, int timeout_ms,
                       struct err *e) MUST_CHECK;

#endif
