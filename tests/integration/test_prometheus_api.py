# SPDX-License-Identifier: Apache-2.0
"""/api/v1 against a real PostgreSQL: how new its answers are, what it keeps, what waits for what, and its bounds."""
import gzip
import http.client
import json
import socket
import threading
import time
import unittest
import urllib.parse

import fact_rows
from stack import PATIENCE, Stack, wait_for

MINUTE, HOUR = 60, 3600
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WAITING_MAX = 500  # PROM_LOADS_WAITING
READING_MAX = 4  # PROM_LOADS_MAX
BUCKETS = "gen_ai_client_operation_duration_seconds_bucket"
SERIES_MAX = 20000  # SERIES_NAMES_MAX


class Api:
    def __init__(self, stack, **env):
        self.stack = stack
        self.service = stack.start("metrics-api", env=env)

    def raw(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=120)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def call(self, path, headers=None, **params):
        status, _, body = self.raw("POST", f"/api/v1/{path}", urllib.parse.urlencode(params, doseq=True),
                                   {**FORM, **(headers or {})})
        return status, json.loads(body)

    def patient(self, path, **params):
        """Again where its seconds were not enough on a busy machine: what a query has read it finds in memory."""
        for _ in range(2 * PATIENCE):
            status, answer = self.call(path, **params)
            if answer.get("errorType") != "timeout":
                break
        return status, answer

    def fine(self, path, **params):
        status, answer = self.patient(path, **params)
        assert status == 200, (path, params, status, answer)
        return answer["data"]

    def value(self, query, **params):
        """Of a query with one series; None: it has none."""
        found = self.fine("query", query=query, **params)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def read(self):
        return self.service.metric('streamlens_metrics_facts_cache_total{result="miss"}')


class Database:
    """Series of a row a minute; `now` is the end of the last window that is closed."""

    def __init__(self, stack, minutes=120):
        self.stack = stack
        self.now = int(time.time()) // MINUTE * MINUTE - 2 * MINUTE
        self.begin = self.now - minutes * MINUTE
        fact_rows.partitions(stack, [f"to_timestamp({t})" for t in (self.begin - 86400, self.begin, self.now)])
        self.close(self.now)

    def close(self, through):
        self.stack.sql(f"UPDATE streamlens_publisher SET closed_through = to_timestamp({through})")

    def series(self, first, last, tenant="acme", route="'/r'", model="'m' || i"):
        self.stack.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
                       f" SELECT i, '{tenant}', {route}, {model} FROM generate_series({first}, {last}) i")

    def minutes(self, first, last, begin=None, end=None, **columns):
        self.rows("llm_minute", MINUTE, first, last, begin or self.begin, end or self.now, columns)

    def hours(self, first, last, begin, end, **columns):
        self.rows("llm_hour", HOUR, first, last, begin, end, columns)

    def rows(self, table, step, first, last, begin, end, columns):
        fact_rows.rows(self.stack, table, f"SELECT generate_series({first}, {last})",
                       f"SELECT to_timestamp(t) FROM generate_series({begin}, {end - 1}, {step}) t",
                       **{"requests": "1", "responses": "1", **columns})

    def told(self, begin, end):
        """As a flush tells: windows from begin to end."""
        self.stack.sql(f"NOTIFY streamlens_flush, '{begin // MINUTE}-{end // MINUTE - 1}'")


class WithApi(unittest.TestCase):
    env = {}
    minutes = 120

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(cls.stack.__exit__)
        cls.db = Database(cls.stack, cls.minutes)
        cls.fill()
        cls.api = Api(cls.stack, **cls.env)

    @classmethod
    def fill(cls):
        cls.db.series(1, 10)
        cls.db.minutes(1, 10)


class Answers(WithApi):
    def test_forms_and_query_strings_are_alike(self):
        q = "/api/v1/query?" + urllib.parse.urlencode({"query": "sum(llm_minute_requests)", "time": self.db.now})
        status, head, body = self.api.raw("GET", q)
        self.assertEqual((status, head["Content-Type"]), (200, "application/json"))
        self.assertEqual(json.loads(body)["data"]["result"], [{"metric": {}, "value": [self.db.now, "10"]}])
        self.assertEqual(self.api.value("sum(llm_minute_requests)", time=self.db.now), 10)

    def test_they_are_compressed(self):
        q = "/api/v1/query?" + urllib.parse.urlencode({"query": "llm_minute_requests", "time": self.db.now})
        _, head, plain = self.api.raw("GET", q)
        self.assertNotIn("Content-Encoding", head)
        _, head, packed = self.api.raw("GET", q, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(head["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed), plain)

    def test_a_query_without_series_needs_no_database(self):
        with self.stack.holding("LOCK TABLE llm_series"):
            self.assertEqual(self.api.fine("query", query="1+1", time=4),
                             {"resultType": "scalar", "result": [4, "2"]})

    def test_names(self):
        span = {"start": self.db.begin, "end": self.db.now}
        self.assertEqual(json.loads(self.api.raw("GET", "/api/v1/label/model/values")[2])["data"],
                         sorted(f"m{i}" for i in range(1, 11)))
        both = ["llm_requests_total", 'llm_requests_total{model="m1"}']
        series = self.api.fine("series", **span, **{"match[]": both})
        self.assertEqual(sorted(s["model"] for s in series), sorted(f"m{i}" for i in range(1, 11)))
        self.assertEqual(self.api.fine("labels", **span, **{"match[]": "llm_requests_total"}),
                         ["__name__", "gen_ai_request_model", "model", "route", "service_name", "tenant_id"])

    def test_a_tenant_is_named_by_a_header(self):
        for tenant, want in (("acme", 10.0), ("nobody", None)):
            status, answer = self.api.call("query", {"X-Scope-OrgID": tenant}, query="sum(llm_minute_requests)",
                                           time=self.db.now)
            found = answer["data"]["result"]
            self.assertEqual((status, float(found[0]["value"][1]) if found else None), (200, want))


class Fresh(WithApi):
    """A series of its own a test: each changes rows."""

    @classmethod
    def fill(cls):
        cls.db.series(1, 10)
        cls.db.minutes(1, 10)

    def sum_of(self, i):
        return self.api.value(f'sum(sum_over_time(llm_minute_requests{{model="m{i}"}}[1h]))', time=self.db.now)

    def test_what_a_flush_tells_shows_at_once(self):
        self.assertEqual(self.sum_of(1), 60)
        at = self.db.now - 30 * MINUTE
        self.stack.sql(f"UPDATE llm_minute SET requests = 5 WHERE series_id = 1 AND window_start = to_timestamp({at})")
        self.db.told(at, at + MINUTE)
        wait_for(lambda: self.sum_of(1) == 64, "the change", 2)

    def test_what_was_told_of_other_minutes_is_not_read_again(self):
        self.assertEqual(self.sum_of(2), 60)
        before = self.api.read()
        at = self.db.now - 30 * MINUTE
        self.db.told(at, at + MINUTE)
        wait_for(lambda: self.sum_of(2) == 60 and self.api.read() > before, "the ten minutes to be read again", 5)
        # Those, and the ones that end with a window that was open.
        self.assertLessEqual(self.api.read() - before, 3)

    def test_a_new_series_shows_at_once(self):
        self.assertIsNone(self.sum_of(99))
        self.db.series(99, 99)
        self.db.minutes(99, 99, begin=self.db.now - 3 * MINUTE)
        self.db.told(self.db.now - 3 * MINUTE, self.db.now)
        wait_for(lambda: self.sum_of(99) == 3, "the series", 2)

    def test_open_windows_are_there_for_who_asks(self):
        self.db.minutes(3, 3, begin=self.db.now, end=self.db.now + MINUTE, requests="50")
        self.db.told(self.db.now, self.db.now + MINUTE)
        q = {"query": 'llm_minute_requests{model="m3"}', "time": self.db.now + MINUTE}
        wait_for(lambda: self.api.value(**q, open_windows="true") == 50, "the open window", 2)
        self.assertEqual(self.api.value(**q), 1)
        self.assertEqual(self.api.value(**q, open_windows="false"), 1)

    def test_a_window_that_closes_shows(self):
        at = self.db.now
        self.db.minutes(4, 4, begin=at, end=at + MINUTE, requests="70")
        self.db.told(at, at + MINUTE)
        q = {"query": 'llm_minute_requests{model="m4"}', "time": at + MINUTE}
        self.assertEqual(self.api.value(**q), 1)
        self.addCleanup(self.db.close, at)
        self.db.close(at + MINUTE)
        self.stack.sql("NOTIFY streamlens_flush, ''")
        wait_for(lambda: self.api.value(**q) == 70, "the window that closed", 2)


    def test_a_series_that_ended_has_samples_up_to_what_is_closed_alone(self):
        """However far the range goes, and also of blocks that are kept; and further as soon as more has closed."""
        end = self.db.now - 3 * MINUTE
        self.db.series(5000, 5000, tenant="ended")
        self.db.minutes(5000, 5000, begin=end - 3 * MINUTE, end=end)
        self.db.told(end - 3 * MINUTE, end)
        self.addCleanup(self.db.close, self.db.now)

        def last(name):
            found = self.api.fine("query", query=f'{name}{{tenant_id="ended"}}[30m]', time=self.db.now)["result"]
            return found[0]["values"][-1] if found else None
        for closed in (1, 2, 3):
            self.db.close(end + closed * MINUTE)
            self.stack.sql("NOTIFY streamlens_flush, ''")
            at = end + closed * MINUTE
            for _ in range(2):
                wait_for(lambda: last("llm_requests_total") == [at, "3"], f"the count at {closed}", 2)
            self.assertEqual(last("llm_minute_requests"), [end + MINUTE, "0"])

    def test_times_without_windows_cost_nothing(self):
        for start, end, step in ((self.db.begin, 8e12, 9e9), (-8e12, self.db.now, 9e9), (-8e12, 8e12, 9e9),
                                 (self.db.begin, "9999-12-31T00:00:00Z", 86400 * 365)):
            for query in ("llm_requests_total", "llm_minute_requests", f"histogram_quantile(0.9, rate({BUCKETS}[5m]))",
                          "sum_over_time(llm_minute_requests[250y])"):
                before = self.api.service.cpu_seconds()
                status, _ = self.api.call("query_range", query=query, start=start, end=end, step=step)
                self.assertIn(status, (200, 422))
                self.assertLess(self.api.service.cpu_seconds() - before, 2, (query, start, end))


class NothingKept(WithApi):
    env = {"FACTS_CACHE_BYTES": "0"}

    def test_answers_are_the_same(self):
        for _ in range(2):
            before = self.api.read()
            self.assertEqual(self.api.value("sum(sum_over_time(llm_minute_requests[1h]))", time=self.db.now), 600)
            self.assertGreater(self.api.read(), before)
        self.assertEqual(self.api.service.metric("streamlens_metrics_facts_cache_bytes"), 0)


class Waits(WithApi):
    env = {"QUERY_TIMEOUT_MS": "20000", "PG_POOL_SIZE": "8", "PG_QUEUE_SIZE": "100"}
    Q = "sum(sum_over_time(llm_minute_requests[30m]))"

    def waiting(self):
        return self.service().metric("streamlens_metrics_loads_waiting")

    def service(self):
        return self.api.service

    def test_panels_that_want_the_same_read_it_once(self):
        self.db.told(self.db.begin, self.db.now)
        before = self.api.read()
        with self.stack.holding("LOCK TABLE llm_series"):
            done = []
            threads = [threading.Thread(target=lambda: done.append(self.api.value(self.Q, time=self.db.now)))
                       for _ in range(20)]
            for t in threads:
                t.start()
            wait_for(lambda: self.waiting() == 19, "all but one to wait")
        for t in threads:
            t.join(30)
        self.assertEqual(done, [300] * 20)
        # 10 series, of each up to five blocks; twenty times that, if each had read them.
        self.assertLessEqual(self.api.read() - before, 50)

    def test_time_is_up(self):
        for timeout in ("200ms", "0.2"):
            with self.stack.holding("LOCK TABLE llm_series"):
                begun = time.monotonic()
                status, answer = self.api.call("query", query=self.Q, time=self.db.begin + HOUR, timeout=timeout)
                took = time.monotonic() - begun
            self.assertEqual((status, answer["errorType"]), (503, "timeout"))
            self.assertLess(took, 15)  # QUERY_TIMEOUT_MS is 20 s

    def test_who_leaves_makes_room(self):
        with self.stack.holding("LOCK TABLE llm_series"):
            left = socket.create_connection(("127.0.0.1", self.service().port))
            q = urllib.parse.urlencode({"query": self.Q, "time": self.db.begin + HOUR})
            left.sendall(f"GET /api/v1/query?{q} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reading = 'streamlens_metrics_loads_reading'
            wait_for(lambda: self.service().metric(reading) == 1, "the query to read")
            left.close()
            wait_for(lambda: self.service().metric(reading) == 0, "its end")

    def test_bounds_of_what_reads_and_waits(self):
        """Each of a tenant of its own, so none waits for another but for there being too many."""
        n = READING_MAX + WAITING_MAX + 10
        with self.stack.holding("LOCK TABLE llm_series"):
            sockets = []
            for i in range(n):
                s = socket.create_connection(("127.0.0.1", self.service().port))
                sockets.append(s)
                q = urllib.parse.urlencode({"query": self.Q, "time": self.db.now})
                s.sendall(f"GET /api/v1/query?{q} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: t{i}\r\n\r\n".encode())
            wait_for(lambda: self.waiting() == WAITING_MAX, "as many to wait as may")
            self.assertEqual(self.service().metric("streamlens_metrics_loads_reading"), READING_MAX)
            refused = 0
            for s in sockets:
                s.settimeout(0.01)
                try:
                    head = s.recv(4096)
                    self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
                    self.assertIn(b"too many queries wait", head)
                    refused += 1
                except TimeoutError:
                    pass
            self.assertEqual(refused, 10)
            for s in sockets:
                s.close()
        wait_for(lambda: self.waiting() == 0, "nobody to wait")
        self.assertEqual(self.api.value("sum(llm_minute_requests)", time=self.db.now), 10)


class ByTheHour(WithApi):
    """100 series of a week: 1,008,000 minutes, of which only those of the last three hours are there."""
    DAYS = 7

    @classmethod
    def fill(cls):
        db = cls.db
        cls.from_hour = (db.now - cls.DAYS * 86400) // HOUR * HOUR
        fact_rows.partitions(cls.stack, [f"to_timestamp({cls.from_hour + d * 86400})" for d in range(cls.DAYS + 1)])
        db.series(1, 100, route="'/r' || i", model="'m' || i % 4")
        db.hours(1, 100, cls.from_hour, db.now,
                 requests="1 + series_id + extract(epoch FROM window_start)::int8 / 3600 % 7",
                 latency_count="3", latency_hdr=fact_rows.histogram("100000*2", "900000"),
                 error_classes="'{\"late\": 2}'", errors="2", latency_max_us="900000")
        db.minutes(1, 100, begin=db.now // HOUR * HOUR - 2 * HOUR, requests="9")
        cls.last = db.now // HOUR * HOUR - 3 * HOUR  # hours that end up to there are surely read as such
        # A series is there from its first minute to its last; these show whether minutes are read.
        db.rows("llm_minute", HOUR, 1, 100, cls.from_hour, cls.last, {"requests": "1000000"})

    def want(self, begin, end):
        return int(self.stack.sql("SELECT sum(requests) FROM llm_hour WHERE window_start >="
                                  f" to_timestamp({begin}) AND window_start < to_timestamp({end})"))

    def test_sums_over_hours_are_exact(self):
        for begin, end in ((self.last - 6 * 86400, self.last), (self.last - 5 * 86400, self.last - HOUR)):
            q = f"sum(sum_over_time(llm_minute_requests[{end - begin}s]))"
            self.assertEqual(self.api.value(q, time=end), self.want(begin, end))
        # A range of the day before alone has few minutes, which are not there; the range does not begin there.
        found = self.api.fine("query_range", query="sum(sum_over_time(llm_minute_requests[1h]))",
                              start=self.last - 6 * 86400, end=self.last, step=HOUR)["result"][0]["values"]
        self.assertEqual([(t, int(v)) for t, v in found],
                         [(t, self.want(t - HOUR, t)) for t in range(self.last - 6 * 86400, self.last + 1, HOUR)])

    def test_it_is_told(self):
        for hours, told in ((6 * 24, True), (1, False)):
            _, answer = self.api.patient("query", query=f"sum(increase(llm_requests_total[{hours}h]))", time=self.last)
            self.assertEqual([i for i in answer.get("infos", []) if "by the hour" in i] != [], told, answer)

    def test_counters_rise_with_the_hours(self):
        midnight = self.last // 86400 * 86400
        found = self.api.fine("query_range", query="sum(llm_requests_total)", start=self.last - 6 * 86400,
                              end=self.last, step=HOUR)["result"][0]["values"]
        for t, v in found:
            day = (t - 1) // 86400 * 86400
            self.assertEqual(int(v), self.want(max(day, self.from_hour), t), t - midnight)

    def test_percentiles_maxima_and_names(self):
        span = {"start": self.last - 6 * 86400, "end": self.last, "step": 6 * HOUR}
        for query, want in (
                (f"histogram_quantile(0.5, sum by (le) (rate({BUCKETS}[6h])))", 0.1),
                (f"histogram_quantile(0.9, sum by (le) (rate({BUCKETS}[6h])))", 0.9),
                ("max(max_over_time(llm_minute_max_latency_seconds[6h]))", 0.9),
                ('sum(rate(llm_errors_total{error_type="late"}[6h])) * 3600', 200)):
            values = self.api.fine("query_range", query=query, **span)["result"][0]["values"]
            for _, v in values:
                self.assertAlmostEqual(float(v), want, delta=0.011 * want, msg=query)

    def test_classes_are_listed_of_the_hours_asked_for(self):
        at = self.last - 5 * HOUR
        self.stack.sql("UPDATE llm_hour SET error_classes = '{\"late\": 1, \"once\": 1}' WHERE series_id = 1"
                       f" AND window_start = to_timestamp({at})")
        self.db.told(at, at + HOUR)
        for hours, want in ((2, ["late"]), (6, ["late", "once"])):
            q = urllib.parse.urlencode({"start": self.last - hours * HOUR, "end": self.last,
                                        "match[]": 'llm_errors_total{route="/r1"}'})
            answer = json.loads(self.api.raw("GET", f"/api/v1/label/error_type/values?{q}")[2])
            self.assertEqual(answer["data"], want)

    def test_buckets_are_not_served_by_the_hour(self):
        status, answer = self.api.call("query", query=f"sum by (le) (increase({BUCKETS}[6d]))", time=self.last)
        self.assertEqual((status, answer["errorType"]), (422, "execution"))
        self.assertIn("histogram_quantile", answer["error"])

    def test_dropped_minutes_are_served_by_the_hour(self):
        """Of one series: few minutes, but they are gone."""
        kept = self.last // 86400 * 86400
        begin, end = kept - 86400, kept
        q = {"query": 'sum(sum_over_time(llm_minute_requests{route="/r7"}[1d]))', "time": end}
        self.assertEqual(self.api.value(**q), 24 * 1000000)
        self.stack.sql(f"UPDATE streamlens_retention SET minutes_from = to_timestamp({kept})")
        self.addCleanup(self.stack.sql, "UPDATE streamlens_retention SET minutes_from = NULL;"
                        " NOTIFY streamlens_flush, '*'")
        self.stack.sql("NOTIFY streamlens_flush, '*'")
        want = int(self.stack.sql("SELECT sum(requests) FROM llm_hour WHERE series_id = 7 AND window_start >="
                                  f" to_timestamp({begin}) AND window_start < to_timestamp({end})"))
        wait_for(lambda: self.api.value(**q) == want, "the hours instead", 5)


class TooMuch(WithApi):
    minutes = 10
    env = {"ANSWER_MEMORY_BYTES": str(4 << 20)}

    @classmethod
    def fill(cls):
        cls.db.series(1, SERIES_MAX)
        cls.db.minutes(1, SERIES_MAX, begin=cls.db.now - MINUTE)

    def refused(self, query, text, **params):
        status, answer = self.api.call("query", query=query, time=self.db.now, **params)
        self.assertEqual((status, answer["errorType"]), (422, "execution"), answer)
        self.assertIn(text, answer["error"])

    def test_1_more_facts_than_memory(self):
        self.refused("sum(llm_minute_requests)", "fit into 1 MiB")
        self.assertEqual(self.api.value('sum(llm_minute_requests{model="m7"})', time=self.db.now), 1)

    def test_2_more_series_than_there_may_be(self):
        self.db.series(SERIES_MAX + 1, SERIES_MAX + 1)
        self.db.minutes(SERIES_MAX + 1, SERIES_MAX + 1, begin=self.db.now - MINUTE)
        self.db.told(self.db.now - MINUTE, self.db.now)

        def more():
            return "more than 20000 series" in json.dumps(self.api.call("query", query="llm_minute_requests",
                                                                        time=self.db.now))
        wait_for(more, "the refusal", 10)
        self.assertEqual(self.api.value('sum(llm_minute_requests{model="m7"})', time=self.db.now), 1)


if __name__ == "__main__":
    unittest.main()
