// SPDX-License-Identifier: Apache-2.0
// What authentication counts of itself (common/core/stats.h tells how the list works).
#ifndef STREAMLENS_AUTH_STATS_H
#define STREAMLENS_AUTH_STATS_H

#include "common/core/stats.h"

#define AUTH_STATS(COUNTER, GAUGE, HISTOGRAM)                                                      \
    COUNTER(accepted, "streamlens_auth_checks_total", "result=\"accepted\"",                       \
            "Requests judged by their credential, by result.")                                     \
    COUNTER(absent, "streamlens_auth_checks_total", "result=\"no_credential\"", "")                \
    COUNTER(refused, "streamlens_auth_checks_total", "result=\"refused\"", "")                     \
    COUNTER(limited, "streamlens_auth_checks_total", "result=\"refused_over_limit\"", "")          \
    COUNTER(lacks_scope, "streamlens_auth_checks_total", "result=\"lacks_scope\"", "")             \
    COUNTER(unavailable, "streamlens_auth_checks_total", "result=\"unavailable\"", "")             \
    COUNTER(key_readings_ok, "streamlens_auth_key_readings_total", "result=\"ok\"",                \
            "Readings of all API keys from PostgreSQL, by result.")                                \
    COUNTER(key_readings_failed, "streamlens_auth_key_readings_total", "result=\"failed\"", "")    \
    GAUGE(key_reading_age_seconds, "streamlens_auth_key_reading_age_seconds", "",                  \
          "Time since API keys were last read, as of the last look at them.")                      \
    GAUGE(keys, "streamlens_auth_keys", "", "API keys that are known.")                            \
    GAUGE(keys_left_out, "streamlens_auth_keys_left_out", "",                                      \
          "Rows of streamlens_key that were not taken: too many, or of another form.")             \
    COUNTER(last_used_writes_ok, "streamlens_auth_last_used_writes_total", "result=\"ok\"",        \
            "Statements that write when API keys were last used, by result.")                      \
    COUNTER(last_used_writes_failed, "streamlens_auth_last_used_writes_total",                     \
            "result=\"failed\"", "")                                                               \
    COUNTER(jwks_readings_ok, "streamlens_auth_jwks_readings_total", "result=\"ok\"",              \
            "Readings of a new JWT_JWKS_FILE, by result.")                                         \
    COUNTER(jwks_readings_failed, "streamlens_auth_jwks_readings_total", "result=\"failed\"", "")  \
    GAUGE(jwks_keys, "streamlens_auth_jwks_keys", "", "Keys that tokens may be signed with.")      \
    COUNTER(tokens_cached, "streamlens_auth_tokens_total", "from=\"cache\"",                       \
            "Tokens judged, by where their signature's check came from.")                          \
    COUNTER(tokens_checked, "streamlens_auth_tokens_total", "from=\"check\"", "")
STATS_DECLARE(auth_stats, AUTH_STATS)

#endif
