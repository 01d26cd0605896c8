# SPDX-License-Identifier: Apache-2.0
"""Two processes against one, of ingest-api and of the processor: bench_processes.py [PAIRS [SECONDS]]. Broker and
database are started for it, and have the first core; one process has the second core to itself, and of two the other
shares the first with them and with the load. So the efficiency is that of the CPU: what an event costs one process in
parts of what it costs two. Rates are beside it, and say what such a machine has left."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import feed
from bench_lines import tell
from own_services import OwnServices
from stack import ROOT, Stack, freeze, needed, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PARTITIONS, CONNECTIONS, REQUESTS = 12, 256, 40000
TRAFFIC = ("--series", 200, "--duplicates", 0, "--disorder", 0)
BUILDS = ("processor/streamlens-processor", "ingest-api/streamlens-ingest-api", "deploy/admin/streamlens-admin",
          "tests/bench/fill_kafka", "tests/bench/make_requests")
ALL = sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def on(core):
    """What is started within has this core alone."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALL)


def start(s, program, count, ready=True):
    """One on the second core, then one on the first."""
    for i in range(count):
        with on(ALL[1 - i]):
            s.start(f"{program}-{i + 1}", ready=ready)
    return [s.services[f"{program}-{i + 1}"] for i in range(count)]


def spend(services):
    return sum(service.cpu_seconds() for service in services)


def report(what, costs):
    """Of one, then of two: (µs of CPU an event, events a second)."""
    for how, (cpu, rate) in zip(("one", "two"), costs):
        tell(f"processes.{what}.{how}.cpu", cpu, "us")
        tell(f"processes.{what}.{how}.rate", rate / 1e6, "M/s")
    (one, alone), (two, together) = costs
    print(f"{what}: one {one:.3f} µs of CPU an event and {alone / 1e3:.0f} k events/s, two {two:.3f} and"
          f" {together / 1e3:.0f}; efficiency {one / two:.0%}, rate {together / alone:.2f} times", flush=True)
    tell(f"processes.{what}.efficiency", one / two * 100, "%")
    tell(f"processes.{what}.rate_gain", together / alone, "times")


# ---- processors ----


def count_backlog(own, count, pairs):
    """They have their partitions before there is anything to read, and stand still until all of it is there: else the
    second's coming would be measured."""
    env = {"FLUSH_INTERVAL_MS": "5000", "SESSION_TIMEOUT_MS": "300000"}
    with Stack(env, PARTITIONS, own.brokers, own.pg_dsn) as s:
        processors = start(s, "processor", count)
        share = PARTITIONS // count
        wait_for(lambda: all(p.metric(feed.LIVE) == share for p in processors), "a share of the partitions each", 60)
        for p in processors:
            freeze(p.process.pid)
        events = feed.fill(s, pairs, 500, *TRAFFIC)[1]
        cpu, began = spend(processors), time.monotonic()
        for p in processors:
            p.process.send_signal(signal.SIGCONT)
        wait_for(lambda: sum(map(feed.consumed, processors)) >= events, "all counted", 300, 0.1)
        took = time.monotonic() - began
        s.wait_totals(120, requests=pairs, responses=pairs)
        return (spend(processors) - cpu) / events * 1e6, events / took


# ---- ingest ----


def load(s, port, connections, seconds, requests):
    return subprocess.Popen(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", os.path.join(HERE, "ingest.lua"),
                             f"http://127.0.0.1:{port}/"], env={**os.environ, "REQUESTS": requests}, cwd=s.tmp,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def accept(own, count, seconds):
    env = {"HTTP_MAX_CONNECTIONS_PER_ADDRESS": "0"}
    with Stack(env, PARTITIONS, own.brokers, own.pg_dsn) as s:
        services = start(s, "ingest-api", count)
        requests = os.path.join(s.tmp, f"{s.id}-requests")
        subprocess.run([os.path.join(s.build, "tests/bench/make_requests"), requests, str(REQUESTS), "1",
                        *map(str, TRAFFIC)], check=True)
        cpu = spend(services)
        with on(ALL[0]):
            loads = [load(s, service.port, CONNECTIONS // count, seconds, requests) for service in services]
        said = [wrk.communicate()[0] for wrk in loads]
        cpu = spend(services) - cpu
        assert all(wrk.returncode == 0 for wrk in loads) and "Non-2xx" not in "".join(said), said
        events = sum(int(re.search(r"(\d+) requests in", text)[1]) for text in said)
        in_log = sum(int(line.split()[-1]) for line in s.end_offsets())
        assert in_log >= events, f"{events} were accepted, and {in_log} are in the log"
        return cpu / in_log * 1e6, in_log / seconds


def pin(pid, core):
    """All threads that it has."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {core})


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    if len(ALL) < 2:
        sys.exit("two processes against one want two cores")
    subprocess.run(["ninja", "-C", needed("SL_BUILD"), *BUILDS], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    base = int(needed("SL_PORT_BASE"))
    with on(ALL[0]):
        own = OwnServices(os.path.join(needed("SL_TMP"), "processes"), base + 80, base + 90)
    try:
        pin(own.pid("kafka"), ALL[0])
        pin(own.pid("postgres"), ALL[0])
        report("processor", [count_backlog(own, count, pairs) for count in (1, 2)])
        report("ingest", [accept(own, count, seconds) for count in (1, 2)])
    finally:
        own.run("down", "--wipe")


if __name__ == "__main__":
    main()
