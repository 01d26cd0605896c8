// SPDX-License-Identifier: Apache-2.0
// How the publisher's thread makes the production side of outlet.h. It has no client, hence no
// connection, before outlet_open.
#ifndef STREAMLENS_OUTLET_KAFKA_H
#define STREAMLENS_OUTLET_KAFKA_H

#include "common/core/config.h"
#include "processor/outlet.h"

// c is borrowed. NULL where a property is wrong; the broker may be away.
struct outlet *outlet_kafka_new(const struct config *c, struct err *e);
void outlet_free(struct outlet *o); // closes it

#endif
