# SPDX-License-Identifier: Apache-2.0
"""What a refresh of the overview dashboard (deploy/grafana) costs metrics-api and PostgreSQL, and Debian's Prometheus
with the same samples: bench_dashboard.py [--series N] [--hours N] [--rounds N] [--connections N] [--no-prometheus].

All queries of all its panels, as Grafana makes them of a range of that many hours at a step of a minute, POST form, so
many at a time. Servers have one core, who asks has the others. CPU is of metrics-api, and of the backends that it has;
times are medians, CPU is the least of the rounds."""
import argparse
import contextlib
import http.client
import os
import queue
import random
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import expected_samples
import fact_rows
from bench_lines import tell
from grafana_dashboards import ALL, Asked, dashboards, panels
from psql_session import Session
from real_prometheus import FORM, RealPrometheus
from stack import ROOT, Stack, needed, wait_for

DAY, HOUR, MINUTE = 86400, 3600, 60
END = int(time.time()) // DAY * DAY - DAY + 18 * HOUR  # yesterday: a counter's day has begun long ago
VARIANTS = 64
PICK = f"[1 + (series_id * 7 + extract(epoch FROM window_start)::bigint / 60 * 13) % {VARIANTS}]"
MODELS, ROUTES = 5, 10


# ---- the database ----


def made(rng_seed):
    """SQL of what a row has: some 60 filled buckets, in one of so many variants."""
    rng = random.Random(rng_seed)
    rows = []
    for _ in range(VARIANTS):
        values = [int(rng.lognormvariate(13.5, 0.45)) for _ in range(rng.randrange(50, 110))]
        rows.append((len(values), sum(values), max(values), fact_rows.histogram(*values)))
    n, total, most = ("('{%s}'::bigint[])%s" % (",".join(str(r[i]) for r in rows), PICK) for i in range(3))
    hdr = f"(ARRAY[{','.join(r[3] for r in rows)}]::bytea[]){PICK}"
    return n, total, most, hdr


def columns(n, total, most, hdr):
    many = {"requests": 1, "responses": 1, "latency_count": 1, "ttft_count": 1, "uncached_prompt_tokens": 900,
            "cached_prompt_tokens": 400, "completion_tokens": 350, "reasoning_tokens": 90, "generation_us": 700000,
            "generation_tokens": 340, "cost_pusd": 7300000, "cost_input_pusd": 2300000, "cost_cached_input_pusd": 500000,
            "cost_output_pusd": 3500000, "cost_reasoning_pusd": 1000000}
    return {**{name: f"{n} * {factor}" for name, factor in many.items()}, "errors": f"{n} / 50",
            "latency_sum_us": total, "ttft_sum_us": total, "latency_max_us": most, "ttft_max_us": most,
            "latency_hdr": hdr, "ttft_hdr": hdr, "finish_reasons": "'{\"stop\": 140, \"length\": 7}'",
            "error_classes": f"jsonb_build_object('rate_limit', {n} / 100, 'timeout', {n} / 100)"}


def minutes(first, end):
    return f"SELECT to_timestamp(t) FROM generate_series({first}, {end - MINUTE}, {MINUTE}) t"


def close_windows(s, first, end, tell=""):
    """All that end by then; and what a flush and the publisher tell."""
    s.sql(f"INSERT INTO llm_window (window_start, closed_at, complete) SELECT w, now(), true FROM"
          f" ({minutes(first, end)}) x(w); UPDATE streamlens_publisher SET closed_through = to_timestamp({end});"
          f" SELECT pg_notify('streamlens_flush', '{tell}')")


def fill(s, a, facts):
    first = END - (a.hours + 2) * HOUR
    s.sql(f"INSERT INTO llm_series (tenant_id, route, model) SELECT 'tenant-' || i / {MODELS * ROUTES}, '/route/' || i"
          f" / {MODELS} % {ROUTES}, 'model-' || i % {MODELS} FROM generate_series(0, {a.series - 1}) i")
    fact_rows.partitions(s, [f"to_timestamp({t})" for t in (END, END - DAY)])
    all_series = "SELECT series_id FROM llm_series"
    fact_rows.rows(s, "llm_hour", all_series, f"SELECT to_timestamp(t) FROM generate_series({END - DAY}, {END - HOUR},"
                   f" {HOUR}) t", **facts)
    fact_rows.rows(s, "llm_minute", all_series, minutes(first, END), **facts)
    close_windows(s, first, END)
    s.sql("VACUUM ANALYZE")


def add_minute(s, facts, at):
    """As a flush does, and then the publisher."""
    fact_rows.rows(s, "llm_minute", "SELECT series_id FROM llm_series", f"SELECT to_timestamp({at})", **facts)
    s.sql(f"UPDATE llm_hour SET requests = requests + 1 WHERE window_start = to_timestamp({at // HOUR * HOUR})")
    close_windows(s, at, at + MINUTE, f"{at // MINUTE}-{at // MINUTE}")


# ---- asking ----


def dashboard_queries(start, end):
    """[(panel's title, endpoint, parameters)]"""
    asked = Asked(start, end, {name: ALL for name in ("tenant_id", "route", "model")})
    found = []
    for panel in panels(dashboards()["overview"]):
        for target in panel["targets"]:
            text, first, last, step = asked.promql(panel, target)
            params = {"query": text, "time": last} if step is None else \
                {"query": text, "start": first, "end": last, "step": step}
            found.append((panel["title"], "query" if step is None else "query_range", params))
    return found


def ask(connection, endpoint, params):
    """(status, body)"""
    connection.request("POST", "/api/v1/" + endpoint, urllib.parse.urlencode(params), FORM)
    answer = connection.getresponse()
    return answer.status, answer.read()


class Crowd:
    """So many connections that ask what there is to ask."""

    def __init__(self, port, connections):
        self.connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=120) for _ in range(connections)]

    def refresh(self, queries):
        """Wall time in seconds."""
        todo, bad = queue.SimpleQueue(), []
        for q in queries:
            todo.put(q)

        def work(connection):
            with contextlib.suppress(queue.Empty):
                while True:
                    title, endpoint, params = todo.get_nowait()
                    status, body = ask(connection, endpoint, params)
                    if status != 200 or b'"result":[]' in body:
                        bad.append((title, params["query"], status, body[:300]))
        threads = [threading.Thread(target=work, args=(c,)) for c in self.connections]
        begun = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not bad, bad[:3]
        return time.monotonic() - begun


def cpu_seconds(pids):
    """To a microsecond."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total / 1e9


class Measured:
    """Refreshes of one server: who works for it are pids, and others() that may change."""

    def __init__(self, name, crowd, pid, others=lambda: ()):
        self.name, self.crowd, self.pid, self.others = name, crowd, pid, others

    def refresh(self, queries):
        """(wall, own CPU, others' CPU) in ms"""
        before = cpu_seconds([self.pid]), cpu_seconds(self.others())
        wall = self.crowd.refresh(queries)
        return tuple(1000 * t for t in (wall, cpu_seconds([self.pid]) - before[0], cpu_seconds(self.others()) - before[1]))

    def say(self, name, what, results, wanted=""):
        """The name is for the lines that are told."""
        wall, own, others = zip(*results)
        print(f"{self.name:<12} {what:<42} {statistics.median(wall):7.0f} ms, CPU {min(own):6.0f} ms"
              f" + {min(others):5.0f} ms PostgreSQL's{wanted}", flush=True)
        for kind, value in (("time", statistics.median(wall)), ("cpu", min(own)), ("cpu_server", min(others))):
            tell(f"dashboard.{name}.{kind}", value, "ms", len(results))

    def by_panel(self, queries):
        titles = {}
        for q in queries:
            own = min(self.refresh([q])[1] for _ in range(3))
            titles[q[0]] = titles.get(q[0], 0) + own
        for title, own in sorted(titles.items(), key=lambda x: -x[1]):
            print(f"{'':<12} {title:<42} {'':>10}  CPU {own:6.1f} ms", flush=True)


@contextlib.contextmanager
def on_core(core):
    """What is started within has that one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def backends(s):
    return [int(pid) for pid in s.sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                                      " AND application_name = 'streamlens-metrics-api'").split()]


# ---- the two ----


def measure_own(s, a, facts, core):
    with on_core(core):
        api = s.start("metrics-api")
    for pid in backends(s):
        with contextlib.suppress(PermissionError):
            os.sched_setaffinity(pid, {core})
    m = Measured("metrics-api", Crowd(api.port, a.connections), api.process.pid, lambda: backends(s))
    start, end = END - a.hours * HOUR, END
    queries = dashboard_queries(start, end)
    print(f"{len(queries)} queries, {a.series} series, {a.hours} h, {a.connections} connections, one core", flush=True)
    m.say("first", "first refresh", [m.refresh(queries)])
    m.say("again", "again", [m.refresh(queries) for _ in range(a.rounds)], "   (wanted: 300 ms)")
    later = []
    for _ in range(a.rounds):
        add_minute(s, facts, end)
        start, end = start + MINUTE, end + MINUTE
        query = {"query": "max(timestamp(llm_requests_total))", "time": end}
        wait_for(lambda: f'"{end}"'.encode() in ask(m.crowd.connections[0], "query", query)[1], "the new minute")
        later.append(m.refresh(dashboard_queries(start, end)))
    m.say("later", "a minute later, after its flush", later, "   (wanted: 300 ms)")
    print(f"{'':<12} memory {api.resident_bytes() >> 20} MiB", flush=True)
    m.by_panel(dashboard_queries(start, end))
    api.terminate()


def only(names):
    """Of the table of metrics these: Prometheus is given no others."""
    for table in (expected_samples.COUNTERS, expected_samples.GAUGES):
        table[:] = [c for c in table if c.name in names]


def measure_prometheus(s, a, core):
    start, end = END - a.hours * HOUR, END
    queries = dashboard_queries(start, end)
    names = set(re.findall(r"\b(?:gen_ai|llm)_\w+", " ".join(q[2]["query"] for q in queries)))
    only(names)
    with Session(s.dsn) as sql:
        rows = expected_samples.read_rows(sql)
    samples = {name: series for name, series in expected_samples.expected(rows, END * 1000).items() if name in names}
    print(f"{'Prometheus':<12} {sum(len(points) for series in samples.values() for _, points in series):,} samples in"
          f" {sum(map(len, samples.values())):,} series", flush=True)
    del rows
    os.environ["GOMAXPROCS"] = "1"
    p = RealPrometheus(os.path.join(needed("SL_TMP"), s.id + "-prometheus"), int(needed("SL_PORT_BASE")), samples)
    del samples
    with on_core(core):
        p.__enter__()
    try:
        m = Measured("Prometheus", Crowd(p.port, a.connections), p.process.pid)
        m.say("prometheus.first", "first refresh", [m.refresh(queries)])
        m.say("prometheus.again", "again", [m.refresh(queries) for _ in range(a.rounds)])
        m.say("prometheus.later", "other ranges", [m.refresh(dashboard_queries(start - n * MINUTE, end - n * MINUTE))
                               for n in range(1, a.rounds + 1)])
        print(f"{'':<12} memory {resident_bytes(p.process.pid) >> 20} MiB", flush=True)
        m.by_panel(queries)
    finally:
        p.__exit__()


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--series", type=int, default=200)
    p.add_argument("--hours", type=int, default=6)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--connections", type=int, default=6)
    p.add_argument("--no-prometheus", action="store_true")
    a = p.parse_args()
    subprocess.run(["ninja", "-C", needed("SL_BUILD"), "metrics-api/streamlens-metrics-api",
                    "deploy/admin/streamlens-admin", "tests/interop/hist_tool"], check=True,
                   stdout=subprocess.DEVNULL, cwd=ROOT)
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {core} or {core})
    with Stack({"QUERY_TIMEOUT_MS": "300000"}) as s:  # also on a machine that has other work
        facts = columns(*made(7))
        fill(s, a, facts)
        measure_own(s, a, facts, core)
        if not a.no_prometheus:
            measure_prometheus(s, a, core)


if __name__ == "__main__":
    sys.exit(main())
