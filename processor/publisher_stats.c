// SPDX-License-Identifier: Apache-2.0
#include "processor/publisher_stats.h"

STATS_DEFINE(publisher_stats, PUBLISHER_STATS)
