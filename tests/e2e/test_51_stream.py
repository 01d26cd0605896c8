# SPDX-License-Identifier: Apache-2.0
"""Who follows /v1/stream, and comes back with the last id it saw, ends up with the last revision of every window:
whatever was killed, whatever committed in whatever order, however slowly it read."""
import json
import os
import random
import threading
import time
import unittest

import fact_rows
from event_stream import EventStream
from own_postgres import OwnPostgres
from psql_session import Session
from stack import Stack, needed, wait_for

NOON = "timestamptz '2025-11-20 12:00+00'"
SEED = int(os.environ.get("SL_SEED", "20261122"))
FIELDS = "fields=tenant_id,route,model,window_start,requests,revision"


def flush(window, series="true", notify=True):
    """What a flush does to rows that are there, and as it does it: rows under a savepoint, then the window."""
    told = f"; SELECT pg_notify('streamlens_flush', '{29393000}-{29394000}')" if notify else ""
    return ("SAVEPOINT batch; UPDATE llm_minute SET requests = requests + 1, revision = revision + 1"
            f" WHERE window_start = {window} AND {series}; RELEASE batch;"
            f" UPDATE llm_window SET changes = changes + 1 WHERE window_start = {window}{told}")


class ByHand(unittest.TestCase):
    """Rows are changed by SQL, so that it is known when which transaction begins and commits."""

    def setUp(self):
        self.stack = s = Stack(env={"AUTH_REFRESH_MS": "500"}).__enter__()
        self.addCleanup(s.__exit__, None, None, None)

    def serve(self, env=None):
        self.api = self.stack.start("metrics-api", env=env)

    def fill(self, tenant="t", first=1, series=3, windows=3):
        s = self.stack
        s.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
              f" SELECT i, '{tenant}', '/r' || i, 'm' FROM generate_series({first}, {first + series - 1}) i")
        fact_rows.partitions(s, [NOON])
        instants = f"SELECT {NOON} + i * interval '1 minute' FROM generate_series(0, {windows - 1}) i"
        fact_rows.rows(s, "llm_minute", f"SELECT generate_series({first}, {first + series - 1})", instants)
        s.sql(f"INSERT INTO llm_window (window_start) {instants} ON CONFLICT DO NOTHING")

    def stream(self, query="tenant_id=t&" + FIELDS, **options):
        e = EventStream(lambda: [self.api.port], query, **options)
        self.addCleanup(e.close)
        return e

    def begun(self, *args, **options):
        e = self.stream(*args, **options)
        wait_for(lambda: e.of("hello"), "a beginning", 10)
        return e

    def stored(self, tenant="t"):
        text = self.stack.sql("SELECT json_agg(json_build_array(route, model, to_char(window_start AT TIME ZONE 'UTC',"
                              " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), revision)) FROM llm_metrics"
                              f" WHERE tenant_id = '{tenant}'")
        return {(r, m, w): revision for r, m, w, revision in json.loads(text)}

    def first_id(self):
        """Of a stream that nobody reads any more."""
        e = self.begun(again=False)
        self.assertEqual(self.api.terminate(), 0)
        self.serve()
        return e.last_id

    def wait_same(self, e, seconds=20, only=lambda key, revision: revision > 1):
        want = {k: v for k, v in self.stored().items() if only(k, v)}

        def same():
            return {k: row["revision"] for k, row in e.latest.copy().items()} == want
        wait_for(same, f"{len(want)} rows, {len(e.latest)} are there", seconds)

    def test_changes_come_with_an_id_behind_them(self):
        self.fill()
        self.serve()
        e = self.begun()
        self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
        self.wait_same(e, 3)
        wait_for(lambda: e.of("position"), "a position", 3)
        kinds = [kind for kind, _, _ in e.events]
        self.assertEqual(kinds, ["hello", "window", "window", "window", "position"])
        self.assertEqual([bool(i) for _, _, i in e.events], [True, False, False, False, True])
        self.assertEqual(set(e.of("window")[0]), {"tenant_id", "route", "model", "window_start", "requests", "revision"})

    def test_what_is_told_is_looked_at_at_once(self):
        """Without being told it looks each 5 s."""
        self.fill()
        self.serve()
        e, began = self.begun(), time.monotonic()
        for n in range(5):
            self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
            wait_for(lambda n=n: len(e.of("position")) > n, "a position")
        self.assertLess(time.monotonic() - began, 18)

    def test_filters_and_fields_are_the_client_s_own(self):
        self.fill()
        self.serve()
        one = self.begun("tenant_id=t&route=/r2&route=/r9&fields=route,model,window_start,revision")
        none = self.begun("tenant_id=t&model=other&" + FIELDS)
        whole = self.begun("tenant_id=t")
        self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
        wait_for(lambda: whole.of("position") and one.of("position"), "rows", 3)
        self.assertEqual([row["route"] for row in one.of("window")], ["/r2"])
        self.assertEqual(set(one.of("window")[0]), {"route", "model", "window_start", "revision"})
        metrics = json.loads(self.api.get("/v1/metrics?tenant_id=t&limit=100")[1])["metrics"]
        at_noon = [m for m in metrics if m["window_start"] == "2025-11-20T12:00:00Z"]
        self.assertEqual(sorted(whole.of("window"), key=lambda m: m["route"]), at_noon)
        self.assertEqual(none.of("window") + none.of("position"), [])

    def test_whatever_commits_late_comes_late(self):
        """A transaction that is older than many positions, and whose rows were written under savepoints."""
        self.fill()
        self.serve()
        e, comes_back = self.begun(), self.begun(again=False)
        with Session(self.stack.dsn) as slow:
            slow("BEGIN")
            slow(flush(NOON))
            for i in range(3):
                self.stack.sql(f"BEGIN; {flush(NOON + ' + interval ' + repr('1 minute'))}; COMMIT")
                wait_for(lambda i=i: len(e.of("position")) > i, "a position", 5)
            wait_for(lambda: comes_back.last_id == e.last_id, "the same position", 5)
            comes_back.close()
            self.assertNotIn("2025-11-20T12:00:00Z", {window for _, _, window in e.latest.copy()})
            slow("COMMIT")
        self.wait_same(e)
        later = self.stream(last_id=comes_back.last_id)
        self.wait_same(later, only=lambda key, _: key[2] == "2025-11-20T12:00:00Z" or
                       key in later.latest and key[2] == "2025-11-20T12:01:00Z")
        self.assertEqual(later.of("hello") + later.of("missed"), [])

    def test_what_no_notification_told_comes_within_seconds(self):
        self.fill()
        self.serve()
        e = self.begun()
        self.stack.sql("BEGIN; " + flush(NOON, notify=False) + "; COMMIT")
        self.wait_same(e, 8)

    def test_who_comes_back_gets_what_changed_and_nothing_else(self):
        self.fill(series=20, windows=30)
        self.serve()
        first = self.first_id()
        self.stack.sql(f"BEGIN; {flush(NOON + ' + interval ' + repr('7 minutes'), 'series_id <= 5')}; COMMIT")
        for way in ({"last_id": first}, {"query": f"tenant_id=t&{FIELDS}&last_event_id={first}"}):
            back = self.stream(**way)
            wait_for(lambda back=back: back.of("position"), "a position", 5)
            self.assertEqual(len(back.of("window")), 5)
            self.assertEqual([kind for kind, _, _ in back.events], ["window"] * 5 + ["position"])
            self.wait_same(back)
            last = back.last_id
            back.close()
            self.assertEqual(self.api.terminate(), 0)
            self.serve()
        # The field is newer than the address, which a browser does not change.
        both = self.stream(f"tenant_id=t&{FIELDS}&last_event_id={first}", last_id=last)
        wait_for(lambda: both.of("position"), "a position", 5)
        self.assertEqual(both.of("window"), [])

    def test_who_is_too_far_behind_is_told_between_which_windows(self):
        self.fill(series=101, windows=100)  # 100 rows more than STREAM_KEYS_MAX
        self.serve()
        first = self.first_id()
        everything = f"{NOON} + i * interval '1 minute'"
        self.stack.sql("BEGIN; UPDATE llm_minute SET revision = 2; UPDATE llm_window SET changes = 1 WHERE window_start"
                       f" IN (SELECT {everything} FROM generate_series(0, 99) i); COMMIT")
        back = self.stream(last_id=first)
        wait_for(lambda: back.of("missed"), "what it missed", 10)
        self.assertEqual(back.of("missed"), [{"from": "2025-11-20T12:00:00Z", "to": "2025-11-20T13:40:00Z",
                                              "reason": "too_far_behind"}])
        wait_for(lambda: back.of("position"), "a position", 5)
        self.assertEqual(back.of("window"), [])
        fewer = self.stream("tenant_id=t&route=/r1&" + FIELDS, last_id=first)  # 100 of these
        wait_for(lambda: len(fewer.latest) == 100, "rows of one route", 10)
        self.assertEqual(fewer.of("missed"), [])
        self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
        wait_for(lambda: len(back.latest) == 101, "what changes from then on", 5)

    def test_an_id_of_another_database_is_told(self):
        self.fill()
        self.serve()
        mine = self.begun().last_id
        other = ("0" if mine[0] != "0" else "1") + mine[1:]
        e = self.stream(last_id=other)
        wait_for(lambda: e.of("position"), "a position", 5)
        self.assertEqual(e.of("missed"), [{"from": None, "to": None, "reason": "other_database"}])
        self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
        self.wait_same(e)
        for bad in ("x", mine + "z", mine[:-1], mine.replace("-", "-0:"), "0" * 16 + "-5:4:", "0" * 16 + "-5:9:9"):
            wrong = self.stream(last_id=bad, again=False)
            wait_for(lambda wrong=wrong: wrong.problem, "a refusal", 5)
            self.assertEqual((wrong.statuses, wrong.problem["field"]), ([400], "last_event_id"), bad)

    def test_a_slow_reader_gets_the_newest_of_each(self):
        self.fill(series=400, windows=8)
        self.serve()
        self.catch_up(self.behind("true"))

    def test_of_large_rows_fewer_come_at_once(self):
        self.fill(series=60, windows=5)
        self.stack.sql("UPDATE llm_minute SET error_classes = jsonb_build_object(repeat('e', 9000), 1)")
        self.serve()
        self.catch_up(self.behind("true"))

    def behind(self, which):
        """A client that does not read while rows of these windows change, until it is behind."""
        e = self.begun("tenant_id=t", receive_bytes=4096)
        e.reads.clear()

        def is_behind():
            self.stack.sql(f"BEGIN; UPDATE llm_minute SET revision = revision + 1 WHERE {which}; UPDATE llm_window"
                           f" SET changes = changes + 1 WHERE {which}; SELECT pg_notify('streamlens_flush', '*'); COMMIT")
            return self.api.metric("streamlens_stream_behind_total") > 0
        wait_for(is_behind, "a client that is behind", 60, 0.3)
        self.assertLess(self.api.metric("streamlens_http_memory_bytes"), 300 << 10)
        return e

    def catch_up(self, e):
        e.reads.set()
        self.wait_same(e, 60)
        self.assertEqual(e.of("missed"), [])
        self.assertEqual(e.connects, 1)
        self.assertGreater(self.api.metric("streamlens_stream_catch_ups_total"), 0)

    def catching_up(self):
        """A client that has begun to catch up, and does not read on; the window 12:08 has not changed yet."""
        self.fill(series=400, windows=9)
        self.serve({"QUERY_TIMEOUT_MS": "60000"})
        live = self.begun("tenant_id=t&route=/r1&" + FIELDS)
        e = self.behind(f"window_start < {self.NEXT}")
        e.reads.set()
        wait_for(lambda: self.api.metric("streamlens_stream_catch_ups_total") > 0, "catching up", 30, 0.005)
        e.reads.clear()
        return live, e, len(e.of("position"))

    NEXT = f"{NOON} + interval '8 minutes'"

    def test_what_the_others_got_meanwhile_comes_as_well(self):
        live, e, positions = self.catching_up()
        self.stack.sql("BEGIN; " + flush(self.NEXT) + "; COMMIT")
        wait_for(lambda: ("/r1", "m", "2025-11-20T12:08:00Z") in live.latest, "what changed, with the others", 10)
        self.assertEqual(len(e.of("position")), positions, "it was to be catching up still")
        self.catch_up(e)

    def test_so_does_what_they_get_as_it_joins_them(self):
        live, e, positions = self.catching_up()
        with self.stack.holding("LOCK TABLE streamlens_installation"):  # which a look reads, and a piece does not
            self.stack.sql("BEGIN; " + flush(self.NEXT) + "; COMMIT")
            wait_for(lambda: self.stack.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0", "a look", 10)
            e.reads.set()
            wait_for(lambda: len(e.of("position")) > positions, "the end of catching up", 60)
            self.assertNotIn(("/r1", "m", "2025-11-20T12:08:00Z"), live.latest)
        self.catch_up(e)

    def test_no_more_clients_than_allowed(self):
        self.fill()
        self.serve({"STREAM_MAX_CLIENTS": "2"})
        one, _ = self.begun(), self.begun()
        third = self.stream(again=False)
        wait_for(lambda: third.problem, "a refusal", 5)
        self.assertEqual(third.statuses, [503])
        one.close()

        def room():
            self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")  # who has left is found out by writing
            return self.api.metric("streamlens_stream_clients") == 1
        wait_for(room, "room", 15, 0.3)
        self.begun()

    def test_nobody_sees_another_tenant(self):
        self.fill("t", 1)
        self.fill("u", 101)
        key, admin = self.stack.key("--tenant=t", "--scope=read"), self.stack.key("--scope=admin")
        self.serve({"AUTH": "key"})

        def wait_key(text):
            return self.api.get("/readyz")[0] == 200 and text
        wait_for(lambda: wait_key(key), "keys", 10)
        mine = self.begun(FIELDS, headers={"X-API-Key": key})
        theirs = self.begun("tenant_id=u&" + FIELDS, headers={"X-API-Key": admin})
        for query, headers, status in ((FIELDS, {}, 401), ("tenant_id=u", {"X-API-Key": key}, 403),
                                       ("tenant_id=*", {"X-API-Key": key}, 403), (FIELDS, {"X-API-Key": admin}, 400),
                                       ("tenant_id=*", {"X-API-Key": admin}, 400),
                                       ("tenant_id=t&tenant_id=u", {"X-API-Key": key}, 400)):
            e = self.stream(query, headers=headers, again=False)
            wait_for(lambda e=e: e.problem, "a refusal", 5)
            self.assertEqual(e.statuses, [status], query)
        # Nor does an id that somebody else was given.
        lent = self.stream(FIELDS, headers={"X-API-Key": key}, last_id=theirs.last_id)
        self.stack.sql("BEGIN; " + flush(NOON) + "; COMMIT")
        for e, tenant in ((mine, "t"), (theirs, "u"), (lent, "t")):
            wait_for(lambda e=e: len(e.latest) == 3, "rows", 5)
            self.assertEqual({row["tenant_id"] for row in e.of("window")}, {tenant})

    def test_a_key_that_is_revoked_ends_its_streams(self):
        self.fill()
        key = self.stack.key("--tenant=t", "--scope=read")
        self.serve({"AUTH": "key"})
        e = self.begun(FIELDS, headers={"X-API-Key": key}, again=False)
        r = self.stack.admin("key", "revoke", key.split("_")[1])
        self.assertEqual(r.returncode, 0, r.stderr)
        wait_for(lambda: e.ended, "the end", 25)
        self.assertEqual(e.comments[-1], "the credential does not hold any more")

    def test_a_quiet_stream_shows_that_it_lives(self):
        self.serve()
        e = self.begun()
        self.stack.sql("CREATE TABLE moves (); DROP TABLE moves")
        wait_for(lambda: e.comments and e.of("position"), "a comment and how far it is", 20)

    def test_says_goodbye(self):
        self.serve()
        e = self.begun(again=False)
        self.assertEqual(self.api.terminate(), 0)
        wait_for(lambda: e.ended, "the end", 5)
        self.assertEqual(e.comments[-1], "goodbye")


class Traffic(threading.Thread):
    """Requests and answers of a few series, in the last minutes, until it is stopped."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.sent, self.stopping = stack, 0, threading.Event()
        self.rng = random.Random(SEED)

    def run(self):
        while not self.stopping.wait(0.05):
            at, rng = time.time(), self.rng
            events = []
            for _ in range(20):
                t = (at - rng.choice((0, 0, 70, 130))) * 1000
                self.sent += 1
                events.append({"type": "request", "request_id": f"e{self.sent}", "tenant_id": "t", "timestamp": t,
                               "route": rng.choice(("/a", "/b", "/c")), "model": rng.choice(("m", "n"))})
            self.stack.post_batch(events)

    def stop(self):
        self.stopping.set()
        self.join()


class Killed(unittest.TestCase):
    def test_no_revision_is_missing_whatever_is_killed(self):
        print(f"seed {SEED}")
        pg = OwnPostgres(os.path.join(needed("SL_TMP"), "stream-pg"), int(os.environ["SL_PORT_BASE"]) + 10)
        pg.start()
        self.addCleanup(pg.stop)
        with Stack(pg_dsn=pg.dsn()) as s:
            s.start_all()
            s.start("metrics-api-2")
            self.run_it(s, pg)

    def run_it(self, s, pg):
        names = ("metrics-api", "metrics-api-2")
        traffic = Traffic(s)
        traffic.start()
        with EventStream(lambda: [s.services[n].port for n in names], "tenant_id=t&" + FIELDS) as e:
            for victim in ("metrics-api", "processor", "metrics-api-2", "postgres", "metrics-api", "processor",
                           "metrics-api-2"):
                had = len(e.of("window"))
                wait_for(lambda had=had: len(e.of("window")) > had + 10, f"rows before {victim} is killed", 60)
                if victim == "postgres":
                    pg.kill()
                    pg.start_after_kill()
                else:
                    s.services[victim].kill()
                    s.start(victim, ready=False)
                    s.services[victim].wait_port()
            traffic.stop()
            s.wait_totals(120, requests=traffic.sent)
            want = {(r["route"], r["model"], r["window_start"].replace("+00:00", "Z")): (r["revision"], r["requests"])
                    for r in s.rows("tenant_id = 't'")}

            def same():
                return {k: (row["revision"], row["requests"]) for k, row in e.latest.copy().items()} == want
            wait_for(same, f"{len(want)} rows as they are stored; {e.latest} {want}", 20)
            self.assertEqual(len(e.of("hello")), 1)  # it never had to begin anew
            self.assertEqual(e.of("missed"), [])
            self.assertGreater(e.connects, 3)


if __name__ == "__main__":
    unittest.main()
