// SPDX-License-Identifier: Apache-2.0
// What tests/integration/test_times.py holds to Python's calendar. A line in, a line out:
//   days NAME FROM_US TO_US DAYS     zone_days(): "ok US US …", or "FIELD DETAIL"
//   time NOW_US TEXT                 question_time_parse() and _resolve(): "ok US", or "no"
//   duration TEXT                    question_duration_parse(): "ok US", or "no"
//   clocks                           the TZ of the process and how far it is ahead of UTC
#include "common/core/base.h"
#include "common/io/zone.h"
#include "metrics-api/question_time.h"

#include <stdio.h>
#include <time.h>

static void days(const char *arguments)
{
    char name[128];
    long long from_us, to_us;
    int every;
    if (sscanf(arguments, "%127s %lld %lld %d", name, &from_us, &to_us, &every) != 4)
        exit(1);
    struct err e = {0};
    int64_t *at;
    size_t n;
    if (zone_days(name, from_us, to_us, every, &at, &n, &e) != 0) {
        printf("%s %s\n", e.field, e.detail);
        return;
    }
    printf("ok");
    for (size_t i = 0; i < n; i++)
        printf(" %lld", (long long)at[i]);
    printf("\n");
    free(at);
}

static void answer(int rc, int64_t us)
{
    if (rc == 0)
        printf("ok %lld\n", (long long)us);
    else
        printf("no\n");
}

static void duration(const char *text)
{
    int64_t us = 0;
    int rc = question_duration_parse(str_of(text), &us);
    answer(rc, us);
}

static void time_of(char *arguments)
{
    char *text;
    int64_t now_us = strtoll(arguments, &text, 10), us = 0;
    struct question_time t;
    int rc = question_time_parse(str_of(text + 1), &t);
    if (rc == 0)
        rc = question_time_resolve(&t, now_us, &us);
    answer(rc, us);
}

// What the clocks of the process show: zone_days() must leave them as they were.
static void clocks(void)
{
    struct tm tm;
    time_t at = 1763712000;
    localtime_r(&at, &tm);
    printf("ok %s %ld\n", getenv("TZ") ? getenv("TZ") : "-", tm.tm_gmtoff);
}

int main(void)
{
    char line[4096];
    tzset();
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "days ", 5) == 0)
            days(line + 5);
        else if (strncmp(line, "time ", 5) == 0)
            time_of(line + 5);
        else if (strncmp(line, "duration ", 9) == 0)
            duration(line + 9);
        else
            clocks();
    }
    return 0;
}
