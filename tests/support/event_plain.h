// SPDX-License-Identifier: Apache-2.0
// event_parse() without the scanner: common/core/event.c once more, under other names, with jansson
// as its only reader. A parser belongs to the functions of the side that made it.
#ifndef STREAMLENS_TESTS_EVENT_PLAIN_H
#define STREAMLENS_TESTS_EVENT_PLAIN_H

#include "common/core/event.h"

struct event_parser *plain_parser_new(void);
void plain_parser_free(struct event_parser *p);
int plain_parse(struct event_parser *p, enum event_kind kind, struct str bytes, struct event *out,
                struct err *e) MUST_CHECK;
int plain_parse_typed(struct event_parser *p, struct str bytes, struct event *out,
                      struct err *e) MUST_CHECK;
int plain_check_time(const struct event *ev, int64_t reference_us, int64_t margin_us,
                     struct err *e) MUST_CHECK;

#endif
