// SPDX-License-Identifier: Apache-2.0
#include "processor/processor_stats.h"

STATS_DEFINE(processor_stats, PROCESSOR_STATS)
