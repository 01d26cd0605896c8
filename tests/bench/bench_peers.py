# SPDX-License-Identifier: Apache-2.0
"""StreamLens and others at the same work, in turn on one broker and one PostgreSQL, both started for it:

    bench_peers.py processor DIR [--requests SMALL,BIG]    beside Kafka Streams, exactly_once_v2
    bench_peers.py ingest DIR [--seconds N]                beside Benthos, one event a POST
    bench_peers.py questions DIR [--original BIN]          beside the original, or what was published of it

DIR has the others' sources, scripts and figures (peer_kit.py); they are built below SL_TMP. CPU is of the whole
process. A processor is measured from its start until the table has all that was sent, on two sizes: the marginal cost
is that of the difference, without start and compiler. --original: has its metrics-api, and init.sql."""
import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.parse

import fact_rows
import feed
import peer_kit
from bench_lines import read, tell
from own_services import OwnServices
from stack import PATIENCE, ROOT, Stack, needed, wait_for

PARTITIONS, SETTLED_S, LIMIT_S = 12, 60, 900
SIZES = 1000000, 3000000  # requests
HERE = os.path.dirname(os.path.abspath(__file__))
BUILDS = (*(f"{name}/streamlens-{name}" for name in ("processor", "ingest-api", "metrics-api")),
          "deploy/admin/streamlens-admin", "tests/integration/topic_tool", "tests/interop/hist_tool")
SERIES, WINDOWS, CROWDS = 10000, 60, (1, 16, 64)
FIELDS = ("tenant_id,route,model,window_start,window_end,requests,errors,avg_latency_ms,p95_latency_ms,"
          "avg_prompt_tokens,avg_completion_tokens,estimated_cost_usd")  # those of the original's answers
ANSWERED = "SELECT coalesce(sum(requests), 0) FROM llm_metrics"


def say(text):
    print(text, flush=True)


def resident_peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def services(below):
    """A broker and a database: the others' topics have no prefix, and whose broker this is not must not lose his."""
    base = int(needed("SL_PORT_BASE"))
    own = OwnServices(os.path.join(below, "services"), base + 80, base + 90)
    try:
        yield own
    finally:
        own.run("down", "--wipe")


@contextlib.contextmanager
def system(own, **env):
    """A database and topics as setup makes them, both empty."""
    with Stack({"TOPIC_PREFIX": "", "FLUSH_INTERVAL_MS": "5000", **env}, PARTITIONS, own.brokers, own.pg_dsn) as s:
        yield s
        for topic in own_topics(s):
            s.topic_tool("delete", topic)


def own_topics(s):
    out = subprocess.run(["kcat", "-L", "-b", s.brokers], capture_output=True, text=True, timeout=60, check=True).stdout
    return [word.strip('"') for word in out.split() if word.startswith('"llm.')]


# ---- processors ----


def fill(s, kit, requests):
    truth = os.path.join(kit.below, "truth.tsv")
    subprocess.run([kit.gen(), "--brokers", s.brokers, "--requests", str(requests), "--truth", truth], check=True,
                   stdout=subprocess.DEVNULL, timeout=LIMIT_S)
    return truth


def wait_counted(s, dsn, query, want, process):
    def look():
        assert process.poll() is None, f"the processor ended with {process.returncode}"
        return s.sql(query, dsn) == want
    wait_for(look, f"{want} counted", LIMIT_S / PATIENCE, every=0.2)


def count_ours(s, requests):
    """Until rows are complete, and what is closed of them is published as well."""
    p = s.start("processor", ready=False)
    p.wait_port()
    wait_counted(s, s.dsn, "SELECT sum(requests) || '/' || sum(responses) FROM llm_metrics", f"{requests}/{requests}",
                 p.process)
    closed = int(s.sql("SELECT count(*) FROM llm_metrics WHERE window_end < now() - interval '15 seconds'"))
    wait_for(lambda: p.metric("streamlens_publisher_records_total") >= closed, "closed windows published", SETTLED_S)
    return p.process.pid, s.dsn


def streams_dsn(s, kit):
    s.sql(f"CREATE DATABASE {s.id}_streams")
    dsn = s.dsn + "_streams"
    with open(kit.path("kafka-streams/schema.sql"), encoding="utf-8") as f:
        s.sql(f.read(), dsn)
    return dsn


def start_streams(s, kit, dsn, state):
    at = urllib.parse.urlsplit(dsn)
    jdbc = f"jdbc:postgresql://{at.hostname}:{at.port}{at.path}?user={at.username}&reWriteBatchedInserts=true"
    env = {**os.environ, "PGPASSFILE": os.path.join(kit.below, "pgpass")}
    with open(env["PGPASSFILE"], "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(f"*:*:*:*:{at.password}\n")
    with open(os.path.join(kit.below, "streams.log"), "wb") as log:
        return subprocess.Popen(["bash", kit.path("kafka-streams/run.sh"), kit.streams(), "--brokers", s.brokers,
                                 "--pg", jdbc, "--app-id", s.id, "--state-dir", state,
                                 "--guarantee", "exactly_once_v2"],
                                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextlib.contextmanager
def counting(s, kit, who, requests):
    """(pid, DSN of what it counted) once all is."""
    if who == "ours":
        yield count_ours(s, requests)
        s.services["processor"].kill()
        return
    dsn, state = streams_dsn(s, kit), os.path.join(kit.below, "streams-state")
    process = start_streams(s, kit, dsn, state)
    try:
        wait_counted(s, dsn, ANSWERED, str(requests), process)
        yield process.pid, dsn
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(state, ignore_errors=True)
        s.sql(f"DROP DATABASE {s.id}_streams WITH (FORCE)")


def correct(kit, dsn, truth):
    """Windows that are not exact; what check.sh says is shown."""
    out = subprocess.run(["bash", kit.path("check.sh"), dsn, "llm_metrics", truth], capture_output=True, text=True,
                         timeout=300, check=False)
    say(out.stdout.rstrip() + out.stderr.rstrip())
    wrong, exact = peer_kit.compared(out.stdout)
    return wrong if wrong or exact else 1


def process(own, kit, who, requests):
    """(CPU, seconds, windows that are wrong, MiB, CPU of the broker)"""
    with system(own) as s:
        truth = fill(s, kit, requests)
        began, broker = time.monotonic(), feed.cpu_seconds(own.pid("kafka"))
        with counting(s, kit, who, requests) as (pid, dsn):
            cpu, took, peak = feed.cpu_seconds(pid), time.monotonic() - began, resident_peak_mib(pid)
            broker = feed.cpu_seconds(own.pid("kafka")) - broker
            events = 2 * requests
            say(f"{who:<8} {events} events: {cpu:6.2f} s of CPU, {cpu / events * 1e6:6.3f} µs an event,"
                f" {took:6.1f} s, {peak:5.0f} MiB at most; the broker's {broker / events * 1e6:.3f} µs an event")
            return cpu, took, correct(kit, dsn, truth), peak, broker


def processors(own, kit, args):
    small, big = args.requests
    costs = {}
    for requests in (small, big):
        for who in ("ours", "streams"):
            costs[who, requests] = process(own, kit, who, requests)
    whole, marginal = {}, {}
    for who in ("ours", "streams"):
        (cpu, took, wrong, peak, broker), less = costs[who, big], costs[who, small]
        whole[who], marginal[who] = cpu / big / 2e-6, (cpu - less[0]) / (big - small) / 2e-6
        tell(f"peers_processor.{who}.cpu", whole[who], "us", 2 * big)
        tell(f"peers_processor.{who}.cpu_small", less[0] / small / 2e-6, "us", 2 * small)
        tell(f"peers_processor.{who}.marginal", marginal[who], "us", 2 * (big - small))
        tell(f"peers_processor.{who}.cpu_broker", broker / big / 2e-6, "us", 2 * big)
        tell(f"peers_processor.{who}.rate", 2 * big / took / 1e6, "M/s", 2 * big)
        tell(f"peers_processor.{who}.resident", peak, "MiB")
        tell(f"peers_processor.{who}.wrong", wrong + less[2], "windows")
    say(f"Kafka Streams takes {marginal['streams'] / marginal['ours']:.1f} times our CPU an event, and with its start"
        f" {whole['streams'] / whole['ours']:.1f} times")
    tell("peers_processor.ratio", marginal["streams"] / marginal["ours"], "times")
    tell("peers_processor.ratio_whole", whole["streams"] / whole["ours"], "times")


# ---- ingest ----


def ingest(own, kit, args):
    """By the program ingest, which takes others beside ours."""
    config = {label: kit.path(f"rpconnect/{name}.yaml")
              for label, name in (("benthos", "config"), ("benthos-bare", "config-bare"))}
    beside = [word for label, path in config.items()
              for word in ("--beside", f"{label}={kit.benthos()} run {path}")]
    r = subprocess.run([sys.executable, os.path.join(HERE, "ingest"), "--connections", "64,256", "--batches", "1",
                        "--rounds", "1", "--seconds", str(args.seconds), "--env", "TOPIC_PREFIX=", *beside],
                       env={**os.environ, "SL_KAFKA_BROKERS": own.brokers, "SL_PG_DSN": own.pg_dsn},
                       capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if r.returncode:
        raise AssertionError(f"ingest ended with {r.returncode}: {(r.stdout + r.stderr)[-3000:]}")
    say("\n".join(line for line in r.stdout.splitlines() if not line.startswith("bench ")))
    costs = {name.removeprefix("ingest."): v for name, v in read(r.stdout).items()}
    for name, v in costs.items():
        tell(f"peers_ingest.{name}", v.value, v.unit, v.items)
    for crowd in ("c64", "c256"):
        for label in config:
            ratio = costs[f"{label}.{crowd}.b1"].value / costs[f"ingest-api.{crowd}.b1"].value
            tell(f"peers_ingest.ratio.{label}.{crowd}", ratio, "times")


# ---- questions ----


def fill_questions(s):
    """The same series and windows as wrk/metrics-table.sql has."""
    h = fact_rows.histogram(*(f"{int(700000 * 1.03 ** i)}*{1 + i % 7}" for i in range(60)))
    first = "date_trunc('minute', now())"
    s.sql("INSERT INTO llm_series (tenant_id, route, model) SELECT 'tenant-' || i % 100, 'route-' || i / 100 % 20,"
          f" 'model-' || i / 2000 FROM generate_series(0, {SERIES - 1}) i")
    fact_rows.partitions(s, ["now()", "now() - interval '1 hour'"])
    minutes = f"SELECT {first} - interval '1 minute' * i FROM generate_series(1, {WINDOWS}) i"
    fact_rows.rows(s, "llm_minute", "SELECT series_id FROM llm_series", minutes, requests="250", responses="250",
                   completion_tokens="70000", latency_count="250", latency_sum_us="250000000", latency_max_us="4000000",
                   latency_p50_us="900000", latency_p90_us="2000000", latency_p95_us="3000000",
                   latency_p99_us="3900000", latency_hdr=h, cost_pusd="123456789")
    s.sql(f"INSERT INTO llm_window (window_start, closed_at, complete) SELECT w, now(), true FROM ({minutes}) x(w);"
          f" UPDATE streamlens_publisher SET closed_through = {first}")
    s.sql("VACUUM ANALYZE")


def wrk(port, connections, seconds, env):
    """How many were answered."""
    script = os.path.join(HERE, "peer_questions.lua")
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}"],
                         env={**os.environ, **env}, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout
    assert "Non-2xx" not in out, out
    return int(out.split(" requests in")[0].split()[-1])


def ask_ours(s, seconds):
    """{how it is asked: {connections: µs of CPU a question}}"""
    service, costs = s.start("metrics-api"), {}
    for how, env in (("fields", {"FIELDS": FIELDS}), ("all", {}), ("again", {"FIELDS": FIELDS, "SAME": "1"})):
        wrk(service.port, 8, 2, env)
        for connections in CROWDS:
            meter = feed.Meter(s, service)
            n = wrk(service.port, connections, seconds, env)
            spent = meter.read()
            own, postgres = spent["processor"] / n * 1e6, spent["postgres"] / n * 1e6
            costs.setdefault(how, {})[connections] = own
            say(f"ours, {how:<7} c={connections:<3} {own:6.1f} µs of CPU a question, PostgreSQL's {postgres:6.1f},"
                f" {n / seconds:7.0f} a second")
            tell(f"peers_questions.{how}.c{connections}", own, "us", n)
            tell(f"peers_questions.{how}.c{connections}.postgres", postgres, "us", n)
    return costs


def ask_original(own, s, kit, folder, seconds):
    """{connections: µs of CPU a question}, by its own script."""
    s.sql(f"CREATE DATABASE {s.id}_original")
    dsn, port = s.dsn + "_original?sslmode=disable", needed("SL_PORT_BASE")
    try:
        with open(os.path.join(folder, "init.sql"), encoding="utf-8") as f:
            s.sql(f.read(), dsn)
        r = subprocess.run(["bash", kit.path("run-metrics.sh"), "--dsn", dsn, "--url", f"http://127.0.0.1:{port}",
                            "--label", "original", "--conns", " ".join(map(str, CROWDS)), "--runs", "1", "--secs",
                            str(seconds), "--fill", kit.path("wrk/metrics-table.sql"), "--",
                            os.path.join(folder, "metrics-api")],
                           env={**os.environ, "HTTP_PORT": port, "POSTGRES_DSN": dsn, "KAFKA_BROKERS": own.brokers},
                           capture_output=True, text=True, timeout=LIMIT_S, check=False)
        say(r.stdout.rstrip())
        return dict(peer_kit.questions_said(r.stdout + r.stderr))
    finally:
        s.sql(f"DROP DATABASE {s.id}_original WITH (FORCE)")


def questions(own, kit, args):
    with system(own) as s:
        fill_questions(s)
        ours = ask_ours(s, args.seconds)
        if args.original:
            theirs, how = ask_original(own, s, kit, args.original, args.seconds), "measured"
        else:
            theirs, how = peer_kit.published(kit.folder), "published"
    for connections, cpu in theirs.items():
        tell(f"peers_questions.original-{how}.c{connections}", cpu, "us")
    least = min(theirs.values())
    say(f"the original: {least:.0f} µs of CPU a question at best"
        + ("" if args.original else ", published in RESULTS.md and not measured in this run"))
    for name, costs in ours.items():
        tell(f"peers_questions.ratio.{name}", least / min(costs.values()), "times")


def sizes(text):
    small, big = map(int, text.split(","))
    if not 0 < small < big:
        raise ValueError
    return small, big


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=("processor", "ingest", "questions"))
    a.add_argument("folder", metavar="DIR")
    a.add_argument("--requests", default=SIZES, type=sizes, metavar="SMALL,BIG", help="1000000,3000000 unless told")
    a.add_argument("--seconds", type=int, default=6, help="of wrk at each number of connections")
    a.add_argument("--original", metavar="BIN")
    args = a.parse_args()
    if args.original and not all(os.path.exists(os.path.join(args.original, n)) for n in ("metrics-api", "init.sql")):
        a.error(f"--original: {args.original} has no metrics-api, or no init.sql for its table")
    below = os.path.join(needed("SL_TMP"), "peers")
    subprocess.run(["ninja", "-C", needed("SL_BUILD"), *BUILDS], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    try:
        peer_kit.check(args.folder)
        with services(below) as own:
            {"processor": processors, "ingest": ingest, "questions": questions}[args.what](
                own, peer_kit.Kit(os.path.abspath(args.folder), below), args)
    except peer_kit.Lacks as lacks:
        sys.exit(str(lacks))


if __name__ == "__main__":
    main()
