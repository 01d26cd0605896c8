// SPDX-License-Identifier: Apache-2.0
#include "tests/support/event_plain.h"

#include "common/core/event_scan.h"

static bool scan_nothing(struct event_scan *s UNUSED, struct str bytes UNUSED,
                         uint32_t known UNUSED, struct event_values *values UNUSED,
                         struct event *out UNUSED)
{
    return false;
}

#define event_scan_read scan_nothing
#define event_parser_new plain_parser_new
#define event_parser_free plain_parser_free
#define event_parse plain_parse
#define event_parse_typed plain_parse_typed
#define event_check_time plain_check_time
#include "common/core/event.c" // NOLINT(bugprone-suspicious-include): that is the point
