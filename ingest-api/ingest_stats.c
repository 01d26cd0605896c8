// SPDX-License-Identifier: Apache-2.0
#include "ingest-api/ingest_stats.h"

STATS_DEFINE(ingest_stats, INGEST_STATS)
