# SPDX-License-Identifier: Apache-2.0
"""metrics-api against a real PostgreSQL: what it answers, whose rows, and what it does when the database
is slow, away, or not ours. Rows are written by SQL, and the view llm_metrics is what answers are
compared with."""
import concurrent.futures
import http.client
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse

from own_postgres import OwnPostgres
from stack import Stack, needed, wait_for

FIELDS = """tenant_id route model window_start window_end requests errors avg_latency_ms p95_latency_ms
    avg_prompt_tokens avg_completion_tokens estimated_cost_usd responses unanswered in_flight
    p50_latency_ms p90_latency_ms p99_latency_ms max_latency_ms avg_ttft_ms p50_ttft_ms p90_ttft_ms
    p95_ttft_ms p99_ttft_ms max_ttft_ms prompt_tokens completion_tokens cached_prompt_tokens
    cache_write_tokens reasoning_tokens uncached_prompt_tokens cache_write_5m_tokens
    cache_write_1h_tokens output_tokens_per_second generation_tokens generation_ms
    estimated_cost_usd_decimal unpriced_requests unpriced_tokens guessed_requests price_version
    uncached_prompt_cost_usd cached_prompt_cost_usd cache_write_5m_cost_usd cache_write_1h_cost_usd
    completion_cost_usd reasoning_cost_usd request_cost_usd cache_savings_usd
    reported_cost_usd reported_cost_usd_decimal reported_requests clamped_usage
    without_latency error_classes finish_reasons revision updated_at complete
    lossy publish_seq late settled""".split()
DECIMALS = ("estimated_cost_usd_decimal", "reported_cost_usd_decimal")
TIMES = ("window_start", "window_end", "updated_at")
IN_TIME_S = 10  # where 1.5 s is the promise, and nothing at all what breaks it: the rest is a busy machine's
CLASSES = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "request")


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def fill(s, series, minutes, seed=1, newest="timestamptz '2025-11-20 12:00+00'"):
    """Rows with made-up facts: series is [(tenant, route, model, [minute, ...])], a minute counted
    back from the newest."""
    rng = random.Random(seed)
    s.sql("SELECT llm_make_partition(p, d) FROM unnest('{llm_minute,llm_publish}'::text[]) p,"
          f" generate_series({newest}"
          f" - interval '{minutes} min', {newest} + interval '12 hours', '12 hours') d")
    sql = []
    for tenant, route, model, windows in series:
        names = ", ".join(literal(n) for n in (tenant, route, model))
        sql.append(f"INSERT INTO llm_series (tenant_id, route, model) VALUES ({names});")
        for w in windows:
            responses = rng.choice((0, 1, 7, rng.randrange(1, 10**6)))
            timed = rng.choice((0, responses))
            first = rng.choice((0, timed))
            us = [rng.randrange(1, 10**7) for _ in range(5)]
            reported = rng.choice((0, responses))
            row = {
                "requests": responses + 3, "responses": responses, "unanswered": rng.choice((1, 3)),
                "errors": responses // 3, "without_latency": responses - timed,
                "clamped_usage": responses % 5, "reported_requests": reported,
                "uncached_prompt_tokens": responses * 983, "cached_prompt_tokens": responses * 5,
                "cache_write_5m_tokens": responses * 2, "cache_write_1h_tokens": responses * 3,
                "completion_tokens": responses * 331, "reasoning_tokens": responses * 7, "usage": "'{}'",
                "generation_us": first * us[2], "generation_tokens": first * 17,
                "price_version": rng.randrange(0, 5),
                "cost_pusd": rng.choice((0, 1, responses * 10**9, rng.randrange(10**38))),
                "unpriced_requests": responses % 3, "unpriced_tokens": responses % 3 * 11,
                "guessed_requests": responses % 2,
                **{f"cost_{k}_pusd": rng.choice((0, 1, rng.randrange(10**12), rng.randrange(2**63))) for k in CLASSES},
                "cache_savings_pusd": rng.choice((0, -1, 1 - 2**63, rng.randrange(-2**62, 2**62))),
                "reported_cost_pusd": reported * rng.randrange(10**13),
                "latency_count": timed, "latency_sum_us": timed * us[0],
                "latency_max_us": us[4] if timed else 0, "latency_clamped": 0,
                **{f"latency_p{q}_us": u if timed else "NULL" for q, u in zip((50, 90, 95, 99), us)},
                "ttft_count": first, "ttft_sum_us": first * us[1], "ttft_max_us": us[3] if first else 0,
                "ttft_clamped": 0,
                **{f"ttft_p{q}_us": u if first else "NULL" for q, u in zip((50, 90, 95, 99), us[1:])},
                "error_classes": f"""'{{"x": {responses}}}'""", "finish_reasons": "'{}'",
                "revision": rng.randrange(1, 99), "updated_at": "'2025-11-20 13:00:00.25+00'"}
            sql.append(f"INSERT INTO llm_minute (series_id, window_start, {', '.join(row)})"
                       f" SELECT series_id, {newest} - interval '{w} min',"
                       f" {', '.join(map(str, row.values()))}"
                       f" FROM llm_series WHERE (tenant_id, route, model) = ({names});")
    # Of three windows one is complete, one is closed without some partitions, and one is open.
    for state, rest in (("now(), true", 0), ("now(), false", 1), ("NULL::timestamptz, false", 2)):
        sql.append("INSERT INTO llm_window (window_start, closed_at, complete)"
                   f" SELECT DISTINCT window_start, {state} FROM llm_minute"
                   f" WHERE extract(epoch FROM window_start)::bigint / 60 % 3 = {rest}"
                   " ON CONFLICT DO NOTHING;")
    # Half of the rows were published, some before the last of their events, and some wait to be.
    sql.append("INSERT INTO llm_publish (window_start, series_id, publish_seq, first_events)"
               " SELECT window_start, series_id, revision * 7, requests + responses - series_id % 3"
               " FROM llm_minute WHERE revision % 2 = 0 ON CONFLICT DO NOTHING;"
               "INSERT INTO llm_publish (window_start, series_id) SELECT window_start, series_id"
               " FROM llm_minute WHERE revision % 4 = 1 ON CONFLICT DO NOTHING;")
    subprocess.run(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", s.dsn], text=True,
                   input="\n".join(sql), check=True, timeout=60)


def ask(service, timeout=60, **params):
    """(status, headers, decoded body) of GET /v1/metrics."""
    return ask_raw(service, "/v1/metrics?" + urllib.parse.urlencode(params), timeout)


def ask_raw(service, target, timeout=60, method="GET"):
    c = http.client.HTTPConnection("127.0.0.1", service.port, timeout=timeout)
    try:
        c.request(method, target)
        r = c.getresponse()
        body = r.read()
        return r.status, r.headers, json.loads(body) if body else None
    finally:
        c.close()


class Lock:
    """Holds llm_minute, so that whatever reads it waits."""

    def __init__(self, s):
        self.psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-d", s.dsn], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.psql.stdin.write("BEGIN; LOCK TABLE llm_minute;\n\\echo locked\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "locked\n"

    def __enter__(self):
        return self

    def release(self):
        if self.psql.poll() is None:
            self.psql.communicate("ROLLBACK;\n")

    def __exit__(self, *_):
        self.release()


def running(s, what="metrics-api", state="active"):
    return int(s.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                     f" application_name = 'streamlens-{what}' AND state = '{state}'"))


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = s = Stack().__enter__()
        cls.addClassCleanup(s.__exit__, None, None, None)
        rng = random.Random(20261121)
        minutes = 4 * 1440
        series = [("acme", f"r{i % 3}", f"m{i // 3}",
                   rng.sample(range(minutes), rng.choice((0, 1, 2, 40, 70, 200))))
                  for i in range(12)]
        series += [("acme", "old", "m0", range(5000, 5130)), ("acme", "new", "m0", range(130)),
                   ("other", "r0", "m0", range(100)), ("many", "", "", [])]
        series[-1:] = [("many", f"r{i}", "m", sorted(rng.sample(range(20), rng.choice((1, 3, 20)))))
                       for i in range(150)]
        series.append(("o'; --\"\\ ü💩", "r'\"", "m%s%n", [1, 2]))
        cls.series = series
        fill(s, series, minutes)
        s.sql("INSERT INTO streamlens_gap (partition, topic, from_offset, to_offset, windows_from,"
              " windows_to) VALUES (0, 'llm.requests', 3, 4, '2025-11-20 10:00:30+00',"
              " '2025-11-20 11:00+00')")
        cls.api = s.start("metrics-api")

    def expected(self, where, limit):
        columns = (f"{f}::text" if f in DECIMALS else f for f in FIELDS)
        text = self.stack.sql(
            f"SELECT coalesce(json_agg(v), '[]') FROM (SELECT {', '.join(columns)} FROM llm_metrics"
            f" WHERE {where} ORDER BY window_start DESC, route, model LIMIT {limit}) v")
        rows = json.loads(text)
        for row in rows:
            for name in TIMES:
                row[name] = row[name].replace("+00:00", "Z").replace(".25Z", ".250Z")
        return rows

    def test_rows_are_those_of_the_view_newest_first_whatever_is_asked(self):
        questions = [{"tenant_id": t, **f} for t in ("acme", "many", "other", "nobody")
                     for f in ({}, {"route": "r0"}, {"model": "m0"}, {"route": "r1", "model": "m1"},
                               {"route": "old"}, {"route": "new", "model": "m0"}, {"route": "none"},
                               {"route": "", "model": ""})]
        seen, kinds, published = 0, set(), set()
        for q in questions:
            where = " AND ".join(f"{k} = {literal(v)}" for k, v in q.items() if v)
            for limit in (1, 2, 13, 60, 149, 151, 1000, 10000):
                status, _, answer = ask(self.api, **q, limit=limit)
                self.assertEqual(status, 200, answer)
                want = self.expected(where, limit)
                self.assertEqual(answer["metrics"], want, (q, limit))
                self.assertEqual(answer["count"], len(want))
                seen += len(want)
                kinds.update((row["complete"], row["lossy"]) for row in answer["metrics"])
                published.update((row["publish_seq"] > 0, row["late"], row["settled"])
                                 for row in answer["metrics"])
        self.assertGreater(seen, 10000)
        self.assertEqual(kinds, {(c, x) for c in (True, False) for x in (True, False)})
        self.assertEqual(published, {(seq, late, settled) for settled in (True, False)
                                     for seq, late in ((False, 0), (True, 0), (True, 1), (True, 2))})

    def test_windows_of_today_and_older_ones_make_one_answer(self):
        now = self.stack.sql("SELECT quote_literal(date_trunc('minute', now()))")
        fill(self.stack, [("live", "r", "m", [*range(30), *range(1430, 1450), *range(3000, 3100)])], 4000,
             newest="timestamptz " + now)
        queries = []
        for limit in (1, 30, 31, 60, 200):
            before = self.api.metric('streamlens_pg_queries_total{result="ok"}')
            answer = ask(self.api, tenant_id="live", route="r", model="m", limit=limit)[2]
            self.assertEqual(answer["metrics"], self.expected("tenant_id = 'live'", limit), limit)
            queries.append(self.api.metric('streamlens_pg_queries_total{result="ok"}') - before)
        self.assertEqual(queries, [1, 1, 1, 2, 2])

    def test_what_of_a_row_was_published_and_whether_it_has_settled(self):
        s, newest = self.stack, "timestamptz '2025-11-22 12:00+00'"
        fill(s, [("published", "r", "m", range(4))], 10, newest=newest)
        mine = f"window_start > {newest} - interval '4 min'"
        # From the newest: closed and all answered; closed and one in flight; the same two of a window that is open.
        s.sql(f"UPDATE llm_minute SET requests = 10, responses = 7, unanswered = 3 - extract(minute FROM"
              f" {newest} - window_start)::int % 2 WHERE {mine};"
              f"DELETE FROM llm_window WHERE {mine};"
              f"INSERT INTO llm_window (window_start, closed_at) SELECT window_start,"
              f" CASE WHEN window_start > {newest} - interval '2 min' THEN now() END FROM llm_minute WHERE {mine};"
              f"DELETE FROM llm_publish WHERE {mine};"
              # Of the first, 17 events at the first publication; of the second 15; the third waits for its first.
              f"INSERT INTO llm_publish (window_start, series_id, publish_seq, first_events)"
              f" SELECT window_start, series_id, seq, first FROM llm_minute,"
              f" (VALUES (0, 41, 17), (1, 42, 15), (2, 0, NULL)) v (ago, seq, first)"
              f" WHERE window_start = {newest} - ago * interval '1 min'")
        rows = ask(self.api, tenant_id="published")[2]["metrics"]
        self.assertEqual([(r["publish_seq"], r["late"], r["settled"]) for r in rows],
                         [(41, 0, True), (42, 2, False), (0, 0, False), (0, 0, False)])

    def test_fields_come_in_the_order_of_the_contract(self):
        _, _, answer = ask(self.api, tenant_id="acme", limit=1)
        self.assertEqual(list(answer["metrics"][0]), FIELDS)

    def test_without_a_limit_or_with_one_below_1_there_are_60(self):
        for extra in ({}, {"limit": ""}, {"limit": 0}, {"limit": -7}):
            status, _, answer = ask(self.api, tenant_id="acme", **extra)
            self.assertEqual((status, answer["count"]), (200, 60), extra)

    def test_a_tenant_without_rows_is_an_empty_list(self):
        self.assertEqual(ask(self.api, tenant_id="nobody")[2],
                         {"metrics": [], "count": 0, "data_through": None, "open_windows": False,
                          "percentile_error": 0.01, "next_cursor": None})

    def test_hostile_names_are_found_and_come_back_unchanged(self):
        tenant, route, model, _ = self.series[-1]
        status, _, answer = ask(self.api, tenant_id=tenant, route=route, model=model)
        self.assertEqual((status, answer["count"]), (200, 2))
        self.assertEqual([answer["metrics"][0][k] for k in ("tenant_id", "route", "model")],
                         [tenant, route, model])

    def test_bad_parameters_are_400_and_named(self):
        for target, field in (
                ("", "tenant_id"), ("?", "tenant_id"), ("?route=r0", "tenant_id"),
                ("?tenant_id=", "tenant_id"), ("?tenant_id=a&tenant_id=b", "tenant_id"),
                ("?tenant_id=a&limit=ten", "limit"), ("?tenant_id=a&limit=1.5", "limit"),
                ("?tenant_id=a&limit=10001", "limit"), ("?tenant_id=a%00b", "tenant_id"),
                ("?tenant_id=a&route=%ff", "route"), ("?tenant_id=a&model=%0a", "model"),
                ("?tenant_id=" + "a" * 256, "tenant_id")):
            status, headers, answer = ask_raw(self.api, "/v1/metrics" + target)
            self.assertEqual((status, headers["Content-Type"]), (400, "application/problem+json"), target)
            self.assertEqual(answer["field"], field, target)
        self.assertIn("10000", ask_raw(self.api, "/v1/metrics?tenant_id=a&limit=10001")[2]["detail"])
        self.assertEqual(ask_raw(self.api, "/v1/metrics?tenant_id=%zz")[0], 400)

    def test_a_question_that_needs_too_much_memory_is_refused(self):
        api = self.stack.start("metrics-api", env={"ANSWER_MEMORY_BYTES": str(1 << 20)})
        self.addCleanup(api.terminate)
        asked = {"tenant_id": "many", "from": "2025-11-20T00:00:00Z", "to": "2025-11-20T13:00:00Z", "step": "1m"}
        status, _, answer = ask(api, **asked, group_by="route,model")
        self.assertEqual((status, answer["field"]), (400, "group_by"))
        self.assertEqual(ask(api, **asked, group_by="none")[2]["count"], 20)
        self.assertGreater(ask(self.api, **asked, group_by="route,model")[2]["count"], 500)

    def test_unknown_parameters_are_ignored(self):
        status, _, answer = ask(self.api, tenant_id="acme", limit=3, colour="red", x=1)
        self.assertEqual((status, answer), (200, ask(self.api, tenant_id="acme", limit=3)[2]))
        self.assertEqual(answer["count"], 3)

    def test_sql_in_any_parameter_shows_no_row_of_another_tenant_and_changes_nothing(self):
        attacks = ("' OR '1'='1", "' OR 1=1 --", "x'; DROP TABLE llm_minute; --", "\\'; DELETE FROM llm_series",
                   "acme' UNION SELECT * FROM llm_series --", "$1", "%", "_", "acme%' --", "NULL", "{acme,other}",
                   "acme\u2019 OR 1=1", "1); SELECT pg_sleep(9); --", "other' AND ''='")
        before = self.stack.sql("SELECT count(*), sum(requests) FROM llm_metrics")
        for attack in attacks:
            answer = ask(self.api, tenant_id=attack)[2]
            self.assertEqual((answer["metrics"], answer["count"]), ([], 0), attack)
            for name in ("route", "model"):
                self.assertEqual(ask(self.api, tenant_id="acme", **{name: attack})[2]["count"], 0, attack)
            both = ask(self.api, tenant_id="acme", route=attack, model=attack)[2]
            self.assertEqual(both["count"], 0, attack)
            status, _, answer = ask(self.api, tenant_id="acme", limit=attack)
            self.assertEqual((status, answer["field"]), (400, "limit"), attack)
        self.assertEqual(self.stack.sql("SELECT count(*), sum(requests) FROM llm_metrics"), before)

    def test_head_and_other_methods(self):
        status, headers, body = ask_raw(self.api, "/v1/metrics?tenant_id=acme", method="HEAD")
        self.assertEqual((status, body), (200, None))
        self.assertGreater(int(headers["Content-Length"]), 1000)
        status, headers, _ = ask_raw(self.api, "/v1/metrics?tenant_id=acme", method="POST")
        self.assertEqual(status, 405)
        self.assertIn("GET", headers["Allow"])

    def test_health_and_probes(self):
        for path in ("/health", "/livez", "/readyz", "/startupz"):
            status, _, answer = ask_raw(self.api, path)
            self.assertEqual((status, answer), (200, {"status": "healthy"}), path)

    def test_self_metrics_are_clean_and_count(self):
        name = 'streamlens_metrics_answers_total{result="ok"}'
        before = self.api.metric(name)
        for _ in range(3):
            ask(self.api, tenant_id="acme")
        self.assertEqual(self.api.metric(name) - before, 3)
        self.assertEqual(self.api.metric("streamlens_metrics_database_up"), 1)
        if shutil.which("promtool"):
            r = subprocess.run(["promtool", "check", "metrics"], input=self.api.get("/metrics")[1],
                               capture_output=True, check=False)
            self.assertEqual((r.returncode, r.stdout + r.stderr), (0, b""))

    def test_its_connections_are_counted_and_bear_its_name(self):
        wait_for(lambda: self.api.metric("streamlens_pg_connections") == 4, "the whole pool", 10)
        self.assertEqual(running(self.stack, state="idle"), 4)


class Start(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack().__enter__()
        cls.addClassCleanup(cls.stack.__exit__, None, None, None)

    def refused(self, **env):
        """Starts it expecting an end; its log."""
        s = self.stack.start("metrics-api", env=env, ready=False)
        code = s.process.wait(15)
        self.assertNotEqual(code, 0)
        self.assertGreater(code, 0, "killed by a signal")
        return s.log()

    def assert_one_line(self, log, *says):
        lines = [line for line in log.splitlines() if '"listening"' not in line]
        self.assertEqual(len(lines), 1, log)
        for text in says:
            self.assertIn(text, lines[0])

    def with_database(self, *, name):
        return self.stack.dsn.rsplit("/", 1)[0] + "/" + name

    def test_a_database_without_the_schema(self):
        self.assert_one_line(self.refused(POSTGRES_DSN=self.with_database(name="postgres")),
                             "POSTGRES_DSN", "streamlens-admin setup")

    def test_an_older_schema_names_both_versions(self):
        self.stack.sql("UPDATE streamlens_schema SET version = version - 100")
        self.addCleanup(self.stack.sql, "UPDATE streamlens_schema SET version = version + 100")
        newest = int(self.stack.sql("SELECT max(version) + 100 FROM streamlens_schema"))
        self.assert_one_line(self.refused(), f"version {newest - 100}", f"{newest} or newer",
                             "streamlens-admin setup")

    def test_no_such_database(self):
        self.assert_one_line(self.refused(POSTGRES_DSN=self.with_database(name="nowhere_to_be_found")),
                             "nowhere_to_be_found")

    def test_a_wrong_password_is_refused_and_not_logged(self):
        parts = urllib.parse.urlsplit(self.stack.dsn)
        dsn = f"postgresql://{parts.username}:not-the-secret@127.0.0.1:{parts.port}{parts.path}"
        log = self.refused(POSTGRES_DSN=dsn)
        self.assert_one_line(log, "28P01")
        self.assertNotIn("not-the-secret", log)

    def test_a_dsn_that_makes_no_sense_is_named_and_not_shown(self):
        log = self.refused(POSTGRES_DSN="postgres//me:hidden-word@here/db")
        self.assert_one_line(log, "POSTGRES_DSN")
        self.assertNotIn("hidden-word", log)

    def test_a_setting_out_of_range_is_named(self):
        self.assert_one_line(self.refused(PG_POOL_SIZE="none"), "PG_POOL_SIZE")

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            log = self.refused(HTTP_PORT=str(port))
        self.assertIn(str(port), log)
        self.assertIn("in use", log)

    def test_a_database_that_is_away_is_waited_for(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            closed = s.getsockname()[1]
        dsn = f"postgresql://u@127.0.0.1:{closed}/d"
        api = self.stack.start("metrics-api", env={"POSTGRES_DSN": dsn, "QUERY_TIMEOUT_MS": "60000"}, ready=False)
        api.wait_port()
        self.addCleanup(api.kill)
        status, headers, answer = ask(api, tenant_id="acme")  # which is not waited for
        self.assertEqual((status, headers["Content-Type"]), (503, "application/problem+json"))
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        self.assertIn("PostgreSQL", answer["detail"])
        self.assertEqual([ask_raw(api, p)[0] for p in ("/livez", "/startupz", "/readyz", "/health")],
                         [200, 200, 503, 503])
        self.assertEqual(api.metric("streamlens_metrics_database_up"), 0)

    def test_a_server_that_accepts_and_says_nothing_is_away(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            dsn = f"postgresql://u@127.0.0.1:{mute.getsockname()[1]}/d"
            api = self.stack.start("metrics-api", env={"POSTGRES_DSN": dsn}, ready=False)
            api.wait_port()
            self.addCleanup(api.kill)
            for _ in range(3):
                self.assertEqual(ask(api, tenant_id="acme")[0], 503)


class SlowDatabase(unittest.TestCase):
    """Somebody holds a lock on the table, so queries hang in the server."""

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack().__enter__()
        cls.addClassCleanup(cls.stack.__exit__, None, None, None)
        fill(cls.stack, [("acme", "r", "m", range(5))], 5)

    def start(self, **env):
        api = self.stack.start("metrics-api", env=env)
        self.addCleanup(lambda: api.process.poll() is None and api.kill())
        return api

    def wait_running(self, n):
        wait_for(lambda: running(self.stack) == n, f"{n} running queries", 10)

    def test_a_query_ends_at_its_deadline_and_the_next_is_served(self):
        api = self.start(QUERY_TIMEOUT_MS="500", PG_POOL_SIZE="1")
        with Lock(self.stack):
            status, headers, answer = ask(api, tenant_id="acme")
            self.assertEqual(status, 503, answer)
            self.assertIn("Retry-After", headers)
        wait_for(lambda: ask(api, tenant_id="acme")[0] == 200, "an answer", 5)
        self.wait_running(0)
        self.assertGreaterEqual(api.metric('streamlens_pg_queries_total{result="timeout"}'), 1)

    def test_what_does_not_fit_the_queue_is_told_at_once(self):
        api = self.start(PG_POOL_SIZE="1", PG_QUEUE_SIZE="2", QUERY_TIMEOUT_MS="20000")
        with Lock(self.stack) as lock, concurrent.futures.ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(ask, api, tenant_id="acme")]
            self.wait_running(1)
            # Who asks the same waits for the same answer.
            waiting += [threads.submit(ask, api, tenant_id="acme", limit=n) for n in (61, 62)]
            wait_for(lambda: api.metric("streamlens_pg_queue_length") == 2, "a full queue", 10)
            status, headers, _ = ask(api, tenant_id="acme", limit=63)
            self.assertEqual(status, 503)
            self.assertEqual([f.done() for f in waiting], [False] * 3, "it is to be told at once")
            self.assertIn("Retry-After", headers)
            self.assertEqual(ask_raw(api, "/livez")[0], 200)
            lock.release()
            for f in waiting:
                self.assertEqual(f.result()[2]["count"], 5)
        self.assertEqual(api.metric('streamlens_pg_queries_total{result="queue_full"}'), 1)

    def test_sigterm_lets_the_query_in_flight_end(self):
        api = self.start(QUERY_TIMEOUT_MS="20000")
        with Lock(self.stack) as lock, concurrent.futures.ThreadPoolExecutor(2) as threads:
            waiting = threads.submit(ask, api, tenant_id="acme")
            self.wait_running(1)
            api.process.terminate()
            wait_for(lambda: "stopping" in api.log(), "the stop", 5)
            self.assertIsNone(api.process.poll())
            lock.release()
            status, headers, answer = waiting.result()
            self.assertEqual((status, answer["count"], headers["Connection"]), (200, 5, "close"))
            self.assertEqual(api.process.wait(60), 0, api.log())

    def test_sigterm_does_not_wait_for_ever(self):
        api = self.start(QUERY_TIMEOUT_MS="60000", HTTP_DRAIN_TIMEOUT_MS="300")
        with Lock(self.stack), concurrent.futures.ThreadPoolExecutor(2) as threads:
            waiting = threads.submit(ask, api, tenant_id="acme")
            self.wait_running(1)
            self.assertEqual(api.terminate(40), 0, api.log())
            with self.assertRaises((OSError, http.client.HTTPException)):
                waiting.result()
            # The server is told by the closed connection: nothing goes on for nobody.
            self.wait_running(0)

    def send_and_leave(self, api):
        with socket.create_connection(("127.0.0.1", api.port)) as c:
            c.sendall(b"GET /v1/metrics?tenant_id=acme HTTP/1.1\r\nHost: x\r\n\r\n")
            self.wait_running(1)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # RST

    def test_a_client_that_leaves_takes_its_query_along(self):
        api = self.start(QUERY_TIMEOUT_MS="60000", PG_POOL_SIZE="1")
        with Lock(self.stack):
            self.send_and_leave(api)
            self.wait_running(0)
        wait_for(lambda: ask(api, tenant_id="acme")[0] == 200, "an answer", 5)
        self.assertEqual(api.metric('streamlens_metrics_answers_total{result="client_gone"}'), 1)
        self.assertEqual(api.metric('streamlens_pg_queries_total{result="cancelled"}'), 1)

    def test_a_backend_that_is_terminated_is_replaced(self):
        api = self.start(PG_POOL_SIZE="2")
        wait_for(lambda: api.metric("streamlens_pg_connections") == 2, "two connections", 10)
        self.stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                       " current_database() AND application_name = 'streamlens-metrics-api'")
        wait_for(lambda: api.metric("streamlens_pg_connections_closed_total{reason=\"lost\"}") == 2
                 and api.metric("streamlens_pg_connections") == 2, "two new connections", 10)
        self.assertEqual(ask(api, tenant_id="acme")[2]["count"], 5)


class Asker(threading.Thread):
    """Asks one question after another on kept connections; notes (status, seconds, at)."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.seen, self.end = api, [], False

    def run(self):
        c = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)
        while not self.end:
            begun = time.monotonic()
            c.request("GET", "/v1/metrics?tenant_id=acme&limit=3")
            r = c.getresponse()
            r.read()
            now = time.monotonic()
            self.seen.append((r.status, now - begun, now))
            time.sleep(0.002)
        c.close()


class LostDatabase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = int(os.environ.get("SL_PORT_BASE") or 21690) + 9
        cls.pg = OwnPostgres(os.path.join(needed("SL_TMP"), "metrics-own-pg"), port)
        needed("SL_BUILD")
        cls.pg.start()
        cls.addClassCleanup(cls.pg.stop)
        cls.stack = Stack(pg_dsn=cls.pg.dsn()).__enter__()
        cls.addClassCleanup(cls.stack.__exit__, None, None, None)
        fill(cls.stack, [("acme", "r", "m", range(5))], 5)
        cls.api = cls.stack.start("metrics-api", env={"QUERY_TIMEOUT_MS": "1500"})

    def askers(self, n):
        askers = [Asker(self.api) for _ in range(n)]
        for a in askers:
            a.start()
            self.addCleanup(setattr, a, "end", True)
        return askers

    def recovered(self, askers):
        since = time.monotonic()
        wait_for(lambda: all(a.seen and a.seen[-1][0] == 200 and a.seen[-1][2] > since for a in askers),
                 "answers", 20, 0.02)

    def check_and_end(self, askers):
        for a in askers:
            a.end = True
        for a in askers:
            a.join(20)
            self.assertFalse(a.is_alive())
        seen = [x for a in askers for x in a.seen]
        self.assertEqual({status for status, _, _ in seen}, {200, 503})
        self.assertLess(max(seconds for _, seconds, _ in seen), IN_TIME_S)
        wait_for(lambda: running(self.stack, state="idle") == self.api.metric("streamlens_pg_connections") == 4,
                 "four connections on both sides", 10)

    def test_killed_and_back_under_load_there_are_only_503s_in_between(self):
        askers = self.askers(8)
        self.recovered(askers)
        self.pg.kill()
        wait_for(lambda: all(a.seen[-1][0] == 503 for a in askers), "refusals", 5)
        self.assertEqual([ask_raw(self.api, p)[0] for p in ("/livez", "/readyz", "/health")], [200, 503, 503])
        self.pg.start_after_kill()
        self.recovered(askers)
        self.check_and_end(askers)
        self.assertEqual(ask_raw(self.api, "/readyz")[0], 200)

    def test_frozen_and_back_under_load_every_answer_comes_in_time(self):
        askers = self.askers(8)
        self.recovered(askers)
        self.pg.freeze()
        try:
            wait_for(lambda: all(a.seen[-1][0] == 503 for a in askers), "refusals", 10)
        finally:
            self.pg.thaw()
        self.recovered(askers)
        self.check_and_end(askers)


if __name__ == "__main__":
    unittest.main()
