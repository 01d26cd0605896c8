// SPDX-License-Identifier: Apache-2.0
#include "common/io/auth_stats.h"

STATS_DEFINE(auth_stats, AUTH_STATS)
