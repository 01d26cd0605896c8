// SPDX-License-Identifier: Apache-2.0
// The production seam processor/outlet.h over fake_coordinator.
#ifndef SIM_FAKE_OUTLET_H
#define SIM_FAKE_OUTLET_H

#include "processor/outlet.h"
#include "tests/sim/fake_coordinator.h"
#include "tests/sim/fuse.h"

enum { OUTLET_METRICS, OUTLET_PROGRESS };   // topics
enum { OUTLET_PUBLISHER, OUTLET_STRANGER }; // transactional ids

// A record of the first topic has its sequence for a key, and its fake_publish_value; one of the
// second the sequence for its value. A stranger's have the key OUTLET_STRANGE.
#define OUTLET_STRANGE (-1)

struct outlet *fake_outlet_new(struct coordinator *c, struct fuse *fuse); // both borrowed
void fake_outlet_free(struct outlet *o);

// The last sequence that a reader gets.
int64_t fake_outlet_last(const struct coordinator *c);

#endif
