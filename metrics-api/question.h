// SPDX-License-Identifier: Apache-2.0
// What a client asks for: decoded parameters in, a typed question or an error that names the
// parameter and what is allowed out. Pure: the time of asking is an argument.
//
// Four kinds of answers come of it. ROWS are windows as they are stored, one a series and minute
// (the original's answer; also with a range). CELLS are sums: one a group and step, wherever step
// or group_by was given (tz and fill need a step, the tenant `*` one of the two), and for summary,
// top, heatmap and cost. NAMES are what exists: series, tenants, routes, models. PRICES are of the
// catalogue, and of no range: its cards, or what one name costs.
#ifndef STREAMLENS_QUESTION_H
#define STREAMLENS_QUESTION_H

#include "common/core/err.h"
#include "metrics-api/fields.h"
#include "metrics-api/fold.h"
#include "metrics-api/render.h"

enum question_endpoint {
    ENDPOINT_METRICS,
    ENDPOINT_SUMMARY,
    ENDPOINT_TOP,
    ENDPOINT_HEATMAP,
    ENDPOINT_STREAM,
    ENDPOINT_SERIES,
    ENDPOINT_TENANTS,
    ENDPOINT_ROUTES,
    ENDPOINT_MODELS,
    ENDPOINT_COST,
    ENDPOINT_PRICES,
};

#define QUESTION_LIMIT_DEFAULT 60 // of rows without a range, as the original
#define QUESTION_LIMIT_MAX 10000  // a week of minutes of one series; also the default with a range
#define QUESTION_TOP_DEFAULT 10
#define QUESTION_COST_DEFAULT 100
#define QUESTION_HEATMAP_STEPS_MAX 2500 // which has neither limit nor pages
#define QUESTION_NAMES_MAX 100          // distinct values of route= and of model=
#define QUESTION_PARAMETERS_MAX 300     // unknown ones too
#define QUESTION_STEP_MAX_US (7 * US_PER_DAY)
#define QUESTION_RANGE_MAX_US (4000 * US_PER_DAY)
#define QUESTION_ZONE_MAX 64
#define QUESTION_ALL_TENANTS "*"

enum { GROUP_TENANT = 1, GROUP_ROUTE = 2, GROUP_MODEL = 4 };
enum question_fill { FILL_NONE, FILL_ZERO, FILL_NULL };
enum question_by { BY_COST, BY_REQUESTS, BY_ERRORS, BY_P95, BY_TOKENS };
enum question_metric { METRIC_LATENCY, METRIC_TTFT };

// Distinct names, in bytewise order; owned.
struct question_names {
    char *v[QUESTION_NAMES_MAX];
    size_t n;
};

// Zero-initialise it but for the endpoint to begin.
struct question {
    enum question_endpoint endpoint;
    bool cells; // computed; else stored rows (or names)

    // Whose and which.
    char *tenant_id;                      // owned; NULL after question_finish(): of all tenants,
                                          // of prices everybody's alone
    struct question_names routes, models; // none: all
    char *prefix;                         // owned; of the names that are listed; NULL: any
    bool every_tenant;                    // of prices: the cards of all

    // When: windows with from_us <= window_start < to_us, whole minutes. Rows without from, or
    // without both, have INT64_MIN there, and INT64_MAX. At most QUESTION_RANGE_MAX_US otherwise.
    int64_t from_us, to_us;
    int64_t step_us; // of cells; 0: one step, the whole range
    char *zone;      // owned; a name of the tz database, for steps of whole days; NULL: UTC

    // Of prices: as of when, a whole minute, and as of which version (0: the newest; later pages
    // have that of the first); and what is looked up instead of a list. Owned; NULL: not given.
    int64_t at_us, price_version;
    char *name, *asked;

    // What.
    unsigned group_by; // GROUP_…; of rows all three; of names those that are listed
    struct fields fields;
    enum question_fill fill;
    enum question_by by;         // top
    enum question_metric metric; // heatmap

    // How.
    bool ascending; // names and heatmaps are always
    int64_t limit;  // 1 to QUESTION_LIMIT_MAX
    enum render_format format;
    bool has_after;          // a cursor was given: only what is behind `after`
    struct fold_place after; // its names are good as long as given; of rows and cells those of
                             // group_by, of names at least those. Of prices a line: its model and
                             // tenant, the tier as `route` and above_tokens as start_us

    char *last_event_id; // owned; of a stream, as it was given; NULL: it has none

    struct question_given *given; // owned; as it was asked
};

// One parameter, in the order of the query string. Unknown names are ignored, an empty value counts
// as not given; route and model may be repeated, others come once.
int question_param(struct question *q, struct str name, struct str value, struct err *e) MUST_CHECK;
// What the Accept header prefers where `format` is not given. After the parameters.
void question_accept(struct question *q, enum render_format format);

// Whose rows the asker may see.
struct question_rights {
    struct str tenant; // its own, which it need not name; absent where it has none
    bool any_tenant;
};
enum question_verdict {
    QUESTION_FINE,
    QUESTION_WRONG,
    QUESTION_OTHER_TENANT, // it names a tenant that is not the asker's to read
};
// Defaults, what has to be there, and what goes together; e names the parameter at fault. now_us: a
// range without an end ends with the minute that is under way.
enum question_verdict question_finish(struct question *q, const struct question_rights *rights,
                                      int64_t now_us, struct err *e) MUST_CHECK;
void question_clear(struct question *q);

// Where the windows begin that the answer depends on: summary and cost look as far back again.
static inline int64_t question_first_us(const struct question *q)
{
    bool looks_back = q->endpoint == ENDPOINT_SUMMARY || q->endpoint == ENDPOINT_COST;
    return looks_back ? q->from_us - (q->to_us - q->from_us) : q->from_us;
}

// The cursor of the page behind `last`: text for the parameter `cursor`, of A-Z a-z 0-9 - _. It
// holds the range (of prices: instant and version) as it was resolved and the place, and a hash of
// these and of everything else that decides which rows there are, the tenant and the range as it
// was asked included: with another question it is refused. limit, fields, percentiles and format
// may differ from page to page. The hash has no secret: who makes one up gets no other rows than
// those the question may see. After QUESTION_FINE.
void question_cursor(const struct question *q, const struct fold_place *last, struct buf *out);

// What the question is, in one canonical text: equal texts have equal answers while the data stays.
// Times are in it as they were resolved. After QUESTION_FINE.
void question_key(const struct question *q, struct buf *out);

#endif
