// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_server_stats.h"

STATS_DEFINE(http_stats, HTTP_STATS)
