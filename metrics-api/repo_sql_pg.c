// SPDX-License-Identifier: Apache-2.0
// Nothing but its key finds a row of llm_minute or llm_hour, so every statement begins with series
// and goes on by their ids, window by window. Plans are generic; what bounds window_start is given
// as a parameter of the scan itself wherever it can be, since PostgreSQL then opens the partitions
// of that time alone.
#include "metrics-api/repo_sql_pg.h"

// ---- whose --------------------------------------------------------------------------------------

#define OF_TENANT "tenant_id = $1::text"
#define OF_ANY_TENANT "$1::text IS NULL"
#define OF_TENANTS "tenant_id = ANY ($1::text[])"
#define OF_NAMES                                                                                   \
    " AND ($2::text[] IS NULL OR route = ANY ($2)) AND ($3::text[] IS NULL OR model = ANY ($3))"
// As two conditions of the index: a tenant may have ten thousand series.
#define OF_GIVEN_NAMES " AND route = ANY ($2::text[]) AND model = ANY ($3::text[])"
#define MINE(whose, which)                                                                         \
    "mine AS MATERIALIZED (SELECT series_id, tenant_id, route, model FROM llm_series WHERE " whose \
        which ")"

// ---- what holds for all rows --------------------------------------------------------------------

// A row even where there is nothing. Each table is looked at once, which takes a fortieth less of
// the time of 60 rows than a subquery a column.
#define META_AND(more)                                                                             \
    "SELECT NULL::text, NULL::text, NULL::text, NULL::int8, " FACT_PACK_PG_NULLS ", 1::int8,"      \
    " b.closed_through, r.minutes_from, r.hours_from, w.open, w.partly, g.gaps_from, "             \
    "g.gaps_to" more " FROM (SELECT"                                                               \
    " array_agg(window_start ORDER BY window_start) FILTER (WHERE closed_at IS NULL) AS open,"     \
    " array_agg(window_start ORDER BY window_start) FILTER (WHERE closed_at IS NOT NULL) AS "      \
    "partly"                                                                                       \
    " FROM llm_window WHERE NOT complete) w CROSS JOIN (SELECT"                                    \
    " array_agg(windows_from ORDER BY gap_id) AS gaps_from,"                                       \
    " array_agg(windows_to ORDER BY gap_id) AS gaps_to FROM streamlens_gap) g"                     \
    " LEFT JOIN streamlens_publisher b ON true LEFT JOIN streamlens_retention r ON true"
#define META META_AND("")
#define NO_META                                                                                    \
    "NULL::int8, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz[],"    \
    " NULL::timestamptz[], NULL::timestamptz[], NULL::timestamptz[]"
#define MINUTE_US "60000000::int8"
#define HOUR_US "3600000000::int8"

// ---- stored rows --------------------------------------------------------------------------------

// clang-format off

// Where a series' rows begin and end: at the cursor's window those of names behind the cursor's
// are still to come.
#define BEHIND "(s.route, s.model) > ($9::text, $10::text)"
#define BOUNDS_DESC                                                                                \
    "$5::timestamptz AS low, CASE WHEN $8::timestamptz IS NULL THEN $6::timestamptz"               \
    " WHEN " BEHIND " THEN least($6::timestamptz, $8::timestamptz + interval '1 minute')"          \
    " ELSE least($6::timestamptz, $8::timestamptz) END AS high"
#define BOUNDS_ASC                                                                                 \
    "CASE WHEN $8::timestamptz IS NULL THEN $5::timestamptz"                                       \
    " WHEN " BEHIND " THEN greatest($5::timestamptz, $8::timestamptz)"                             \
    " ELSE greatest($5::timestamptz, $8::timestamptz + interval '1 minute') END AS low,"           \
    " $6::timestamptz AS high"
#define BOUNDED(bounds) "bounded AS (SELECT s.*, " bounds " FROM mine s)"
#define IN_RANGE " window_start >= $5::timestamptz AND window_start < $6::timestamptz"
#define IN_BOUNDS IN_RANGE " AND window_start >= s.low AND window_start < s.high"

#define PUBLISHED_WHERE(range)                                                                     \
    " LEFT JOIN LATERAL (SELECT publish_seq, first_events FROM llm_publish"                        \
    " WHERE $4::int4 & 32 <> 0 AND series_id = m.series_id AND window_start = m.window_start"      \
    range " OFFSET 0) p ON true"
#define PUBLISHED PUBLISHED_WHERE(" AND" IN_RANGE)
#define PACK FACT_PACK_PG_COLUMNS("$4::int4") FACT_PACK_PG_PUBLISHED("$4::int4")

// The scan's own aggregate: nothing is sorted to be grouped.
#define ROWS_ONE(order, bounds)                                                                    \
    "WITH " MINE(OF_TENANT, OF_GIVEN_NAMES) ", " BOUNDED(bounds)                                   \
    " SELECT s.tenant_id, s.route, s.model, " MINUTE_US ", " FACT_PACK_PG_NAMES ", " NO_META       \
    " FROM bounded s CROSS JOIN LATERAL (SELECT " PACK " FROM (SELECT * FROM llm_minute"           \
    "  WHERE series_id = s.series_id AND" IN_BOUNDS " ORDER BY window_start " order                \
    "  LIMIT $7::int8) m" PUBLISHED " OFFSET 0) f WHERE f_start IS NOT NULL UNION ALL " META

// Many series. Reading the limit's rows of each would be n times too much. So: of each series the
// first limit / n windows (heads). If those are as many as the limit, its last one bounds the
// answer (edge), since that many rows are known to come no later. Only series whose heads all come
// before it can have more to give (deeper). Then the rows of the keys that are left.
#define ROWS_MANY(order, bounds, last, before, no_edge)                                            \
    "WITH " MINE(OF_TENANT, OF_NAMES) ", " BOUNDED(bounds)                                         \
    ", depth AS MATERIALIZED"                                                                      \
    " (SELECT ($7::int8 + count(*) - 1) / greatest(count(*), 1) AS n FROM mine)"                   \
    ", heads AS MATERIALIZED (SELECT s.*, m.window_start FROM bounded s CROSS JOIN LATERAL"        \
    "  (SELECT window_start FROM llm_minute WHERE series_id = s.series_id AND" IN_BOUNDS           \
    "   ORDER BY window_start " order " LIMIT (SELECT n FROM depth)) m)"                           \
    ", edge AS MATERIALIZED (SELECT coalesce((SELECT window_start FROM heads"                      \
    "   ORDER BY window_start " order " OFFSET $7::int8 - 1 LIMIT 1), '" no_edge "') AS at)"       \
    ", ends AS (SELECT series_id, tenant_id, route, model, low, high,"                             \
    "   " last "(window_start) AS last FROM heads"                                                 \
    "  GROUP BY series_id, tenant_id, route, model, low, high"                                     \
    "  HAVING count(*) = (SELECT n FROM depth)"                                                    \
    "   AND (SELECT at FROM edge) " before " " last "(window_start))"                              \
    ", deeper AS (SELECT s.series_id, s.tenant_id, s.route, s.model, m.window_start"               \
    "  FROM ends s CROSS JOIN LATERAL (SELECT window_start FROM llm_minute"                        \
    "   WHERE series_id = s.series_id AND" IN_BOUNDS " AND window_start " before " s.last"         \
    "   AND (SELECT at FROM edge) " before "= window_start"                                        \
    "   ORDER BY window_start " order " LIMIT $7::int8) m)"                                        \
    ", keys AS MATERIALIZED (SELECT * FROM"                                                        \
    "  (SELECT series_id, tenant_id, route, model, window_start FROM heads"                        \
    "   WHERE (SELECT at FROM edge) " before "= window_start UNION ALL SELECT * FROM deeper) u"    \
    "  ORDER BY window_start " order ", route, model LIMIT $7::int8)"                              \
    " SELECT s.tenant_id, s.route, s.model, " MINUTE_US ", " PACK ", " NO_META                     \
    " FROM keys s CROSS JOIN LATERAL (SELECT * FROM llm_minute WHERE series_id = s.series_id"      \
    "  AND window_start = s.window_start OFFSET 0) m" PUBLISHED                                    \
    " GROUP BY s.tenant_id, s.route, s.model UNION ALL " META

// clang-format on

// ---- facts of spans -----------------------------------------------------------------------------

// clang-format off

// The hour in which the range ends: whole where no minute lies behind its end.
#define TAIL                                                                                       \
    "tail AS MATERIALIZED (SELECT $9::timestamptz AS low, $10::timestamptz AS high, NOT EXISTS"    \
    " (SELECT FROM llm_window WHERE window_start >= $10::timestamptz"                              \
    "  AND window_start < $9::timestamptz + interval '1 hour') AS whole"                           \
    " WHERE $9::timestamptz IS NOT NULL)"                                                          \
    ", hours AS MATERIALIZED (SELECT * FROM"                                                       \
    " unnest($5::timestamptz[], $6::timestamptz[]) AS u(low, high)"                                \
    " UNION ALL SELECT low, low + interval '1 hour' FROM tail WHERE whole)"                        \
    ", minutes AS MATERIALIZED (SELECT * FROM"                                                     \
    " unnest($7::timestamptz[], $8::timestamptz[]) AS u(low, high)"                                \
    " UNION ALL SELECT low, high FROM tail WHERE NOT whole)"

// The scan's own aggregate: a pack a series and span.
#define SPANS(table, window_us, spans)                                                             \
    "SELECT s.tenant_id, s.route, s.model, " window_us ", " FACT_PACK_PG_NAMES ", " NO_META        \
    " FROM mine s CROSS JOIN " spans " r CROSS JOIN LATERAL"                                       \
    " (SELECT " FACT_PACK_PG_COLUMNS("$4::int4") FACT_PACK_PG_NO_PUBLISHED                         \
    "  FROM " table " m WHERE m.series_id = s.series_id AND m.window_start >= r.low"               \
    "  AND m.window_start < r.high OFFSET 0) f WHERE f_start IS NOT NULL"
#define FACTS(whose, which)                                                                        \
    "WITH " MINE(whose, which) ", " TAIL " " SPANS("llm_hour", HOUR_US, "hours")                   \
    " UNION ALL " SPANS("llm_minute", MINUTE_US, "minutes") " UNION ALL " META

// clang-format on

// ---- what has changed ---------------------------------------------------------------------------

// xmin has 32 bits and is compared by its age, which is right over 2^31 transactions; `since` is
// empty where a position is older. A row that was frozen keeps its xmin: one of 2^32 transactions
// ago may look as if it had changed, once.
//
// A window is known by the transaction itself, which raises llm_window.changes (sql/README.md); its
// rows only by being no older than whatever was running, since a flush writes them under
// savepoints, whose numbers no snapshot lists. So a row may be given twice where transactions
// overlap, but none is left out.
//
// A standby does not tell which transactions are running: all from the oldest one on count as such.

// clang-format off

#define SINCE                                                                                      \
    "since AS MATERIALIZED (SELECT s, low, age((low % 4294967296)::text::xid) AS behind FROM"      \
    " (SELECT s, pg_snapshot_xmin(s)::text::int8 AS low"                                           \
    "  FROM (SELECT $5::text::pg_snapshot) g(s)) l"                                                \
    " WHERE pg_snapshot_xmax(pg_current_snapshot())::text::int8 - low < 2000000000)"
#define LATER(table) "age(" table ".xmin) BETWEEN 0 AND (SELECT behind FROM since)"
#define CHANGED                                                                                    \
    "changed AS MATERIALIZED (SELECT window_start FROM llm_window WHERE " LATER("llm_window")      \
    " AND NOT pg_visible_in_snapshot(((SELECT low + behind FROM since)"                            \
    "  - age(llm_window.xmin))::text::xid8, (SELECT s FROM since))"                                \
    " AND window_start >= coalesce((SELECT minutes_from FROM streamlens_retention), '-infinity'))"
#define CHANGED_OF_SERIES(most)                                                                    \
    " FROM changed w CROSS JOIN LATERAL (SELECT * FROM llm_minute WHERE series_id = s.series_id"   \
    "  AND window_start = w.window_start AND (SELECT count(*) FROM changed) <= " most              \
    "  AND " LATER("llm_minute") " OFFSET 0) m"

// Of another database, of one that was restored, or of a standby that was promoted before it had
// all, the same numbers mean other transactions.
#define TIMELINE                                                                                   \
    "CASE WHEN pg_is_in_recovery()"                                                                \
    " THEN (SELECT to_hex(timeline_id) FROM pg_control_checkpoint())"                              \
    " ELSE lower(ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0')) END"
#define POSITION                                                                                   \
    "(SELECT left(md5(concat_ws(' ', system_identifier, " TIMELINE ", current_database(),"         \
    "  current_schema(), (SELECT date_part('epoch', created_at) FROM streamlens_installation))),"  \
    "  16) FROM pg_control_system()) || '-' || CASE WHEN pg_is_in_recovery()"                      \
    " THEN pg_snapshot_xmin(pg_current_snapshot()) || ':'"                                         \
    "  || pg_snapshot_xmin(pg_current_snapshot()) || ':' ELSE pg_current_snapshot()::text END"
#define ABOUT                                                                                      \
    POSITION ", (SELECT count(*) FROM changed), (SELECT min(window_start) FROM changed),"          \
    " (SELECT max(window_start) + interval '1 minute' FROM changed)"
#define NO_ABOUT "NULL::text, NULL::int8, NULL::timestamptz, NULL::timestamptz"

#define LOOK_AT_ALL                                                                                \
    "WITH " MINE(OF_TENANTS, OF_NAMES) ", " SINCE ", " CHANGED " " META_AND(", " ABOUT)            \
    " UNION ALL SELECT s.tenant_id, s.route, s.model, " MINUTE_US ", " FACT_PACK_PG_NAMES ", "     \
    NO_META ", " NO_ABOUT " FROM mine s CROSS JOIN LATERAL (SELECT " PACK                          \
    CHANGED_OF_SERIES("$6::int8") PUBLISHED_WHERE("") " OFFSET 0) f WHERE f_start IS NOT NULL"
#define LOOK_AT_KEYS                                                                               \
    "WITH " MINE(OF_TENANT, OF_NAMES) ", " SINCE ", " CHANGED                                      \
    " SELECT NULL::int8, NULL::timestamptz[], " ABOUT                                              \
    " UNION ALL SELECT s.series_id, starts, " NO_ABOUT                                             \
    " FROM mine s CROSS JOIN LATERAL (SELECT array_agg(m.window_start) AS starts"                  \
    CHANGED_OF_SERIES("$4::int8") " OFFSET 0) f WHERE starts IS NOT NULL"
#define LOOK_AT_ROWS                                                                               \
    "WITH " MINE(OF_TENANT, OF_NAMES " AND series_id = ANY ($5::int8[])") " " META " UNION ALL"    \
    " SELECT s.tenant_id, s.route, s.model, " MINUTE_US ", " PACK ", " NO_META                     \
    " FROM unnest($5::int8[], $6::timestamptz[]) k(series_id, at) JOIN mine s USING (series_id)"   \
    " CROSS JOIN LATERAL (SELECT * FROM llm_minute WHERE series_id = s.series_id"                  \
    "  AND window_start = k.at OFFSET 0) m" PUBLISHED_WHERE("")                                    \
    " GROUP BY s.tenant_id, s.route, s.model"

// clang-format on

// ---- names --------------------------------------------------------------------------------------

// The first or last window of a series in the range: by hours where minutes have been dropped.
#define SEEN(name, order, pick)                                                                    \
    " CROSS JOIN LATERAL (SELECT " pick "(window_start) AS " name " FROM ("                        \
    "(SELECT window_start FROM llm_hour WHERE series_id = s.series_id AND" IN_RANGE                \
    " AND window_start < (SELECT minutes_from FROM streamlens_retention)"                          \
    " ORDER BY window_start " order " LIMIT 1) UNION ALL"                                          \
    " (SELECT window_start FROM llm_minute WHERE series_id = s.series_id AND" IN_RANGE             \
    " AND window_start >= coalesce((SELECT minutes_from FROM streamlens_retention), '-infinity')"  \
    " ORDER BY window_start " order " LIMIT 1)) u) " name
#define NAMES(whose, columns, keys, prefixed, behind)                                              \
    "WITH " MINE(whose, OF_NAMES                                                                   \
                 " AND ($4::text IS NULL OR " prefixed ")"                                         \
                 " AND ($8::text IS NULL OR " behind                                               \
                 ")") " SELECT " columns ", min(first.first), max(last.last), count(*),"           \
                      " (SELECT closed_through FROM streamlens_publisher)"                         \
                      " FROM mine s" SEEN("first", "ASC", "min") SEEN(                             \
                          "last", "DESC", "max") " WHERE first.first IS NOT NULL GROUP BY " keys   \
                                                 " ORDER BY " keys " LIMIT $7::int8"
#define NAMES_OF_SERIES(whose)                                                                     \
    NAMES(whose, "s.tenant_id, s.route, s.model", "s.tenant_id, s.route, s.model",                 \
          "starts_with(route, $4) OR starts_with(model, $4)",                                      \
          "(tenant_id, route, model) > ($8, $9::text, $10::text)")
#define NAMES_OF_TENANTS(whose)                                                                    \
    NAMES(whose, "s.tenant_id, NULL::text, NULL::text", "s.tenant_id",                             \
          "starts_with(tenant_id, $4)",                                                            \
          "tenant_id > $8 AND $9::text IS NULL AND $10::text IS NULL")
#define NAMES_OF_ROUTES(whose)                                                                     \
    NAMES(whose, "NULL::text, s.route, NULL::text", "s.route", "starts_with(route, $4)",           \
          "route > $9::text AND $10::text IS NULL")
#define NAMES_OF_MODELS(whose)                                                                     \
    NAMES(whose, "NULL::text, NULL::text, s.model", "s.model", "starts_with(model, $4)",           \
          "model > $10::text AND $9::text IS NULL")

// ---- the list -----------------------------------------------------------------------------------

static const struct {
    const char *sql;
    int params;
} statements[REPO_STATEMENTS] = {
    [ROWS_ONE_DESC] = {ROWS_ONE("DESC", BOUNDS_DESC), 10},
    [ROWS_ONE_ASC] = {ROWS_ONE("ASC", BOUNDS_ASC), 10},
    [ROWS_DESC] = {ROWS_MANY("DESC", BOUNDS_DESC, "min", "<", "-infinity"), 10},
    [ROWS_ASC] = {ROWS_MANY("ASC", BOUNDS_ASC, "max", ">", "infinity"), 10},
    [FACTS_NAMED] = {FACTS(OF_TENANT, OF_GIVEN_NAMES), 10},
    [FACTS_TENANT] = {FACTS(OF_TENANT, OF_NAMES), 10},
    [FACTS_ALL] = {FACTS(OF_ANY_TENANT, OF_NAMES), 10},
    [LOOK] = {LOOK_AT_ALL, 6},
    [LOOK_KEYS] = {LOOK_AT_KEYS, 5},
    [LOOK_ROWS] = {LOOK_AT_ROWS, 6},
    [NAMES_SERIES] = {NAMES_OF_SERIES(OF_TENANT), 10},
    [NAMES_SERIES_ALL] = {NAMES_OF_SERIES(OF_ANY_TENANT), 10},
    [NAMES_TENANTS] = {NAMES_OF_TENANTS(OF_TENANT), 10},
    [NAMES_TENANTS_ALL] = {NAMES_OF_TENANTS(OF_ANY_TENANT), 10},
    [NAMES_ROUTES] = {NAMES_OF_ROUTES(OF_TENANT), 10},
    [NAMES_ROUTES_ALL] = {NAMES_OF_ROUTES(OF_ANY_TENANT), 10},
    [NAMES_MODELS] = {NAMES_OF_MODELS(OF_TENANT), 10},
    [NAMES_MODELS_ALL] = {NAMES_OF_MODELS(OF_ANY_TENANT), 10},
};

int repo_sql_params(enum repo_statement st)
{
    return statements[st].params;
}

const char *repo_sql(enum repo_statement st)
{
    return statements[st].sql;
}
