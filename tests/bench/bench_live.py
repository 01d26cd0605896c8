# SPDX-License-Identifier: Apache-2.0
"""What an event costs at the tail of the log, all threads, at steady rates, and what it costs broker and database
besides; then in a backlog with millions of requests that wait:
bench_live.py [--at RATE/SERIES,...] [--seconds N] [--joins N] [--pairs N].

What the broker does for the processor is what it spends with it, less what it spends on the same load before and after.
The flush interval is the default."""
import argparse
import statistics
import time

import feed
from bench_lines import tell
from load import say
from stack import Stack, wait_for

PARTITIONS = 12
LEAD_S, TAIL_S = 6, 3  # the load has answers and is steady; the meter is read well before it ends
INTERVAL_S = 5
FLUSHED = ['streamlens_processor_flushes_total{result="committed"}', "streamlens_processor_flushed_rows_total"]


def loaded(s, a, rate, series, processor=None):
    """({what: seconds of CPU}, events) while the load is steady."""
    seconds = LEAD_S + a.seconds + TAIL_S
    seed = time.time_ns() // 10**6
    load = feed.filler(s, rate * seconds // 2, 10000, "--rate", rate, "--series", series, "--seed", seed)
    try:
        time.sleep(LEAD_S)
        meter, before = feed.Meter(s, processor), feed.consumed(processor) if processor else 0
        time.sleep(a.seconds)
        events = feed.consumed(processor) - before if processor else rate * a.seconds * 1.01
        spent = meter.read()
        said = feed.filled(load)[0]
    finally:
        load.kill()
        load.wait()
    late = int(said.split(", ")[2].split()[0])
    if late > 1000:
        print(f"the load fell behind: {said}", flush=True)
    return spent, events


def steady(a, rate, series):
    with Stack(partitions=PARTITIONS, env={"FLUSH_INTERVAL_MS": str(INTERVAL_S * 1000)}) as s:
        alone = [loaded(s, a, rate, series)]
        p = s.start("processor")
        wait_for(lambda: p.metric(feed.LIVE) == PARTITIONS, "the partitions", 60)
        wait_for(lambda: feed.consumed(p) >= alone[0][1], "what came before", 60)
        time.sleep(2 * INTERVAL_S)
        before = [p.metric(name) for name in FLUSHED]
        spent, events = loaded(s, a, rate, series, p)
        flushes, cells = (p.metric(name) - was for name, was in zip(FLUSHED, before))
        p.terminate()
        alone.append(loaded(s, a, rate, series))
    name = f"live.{rate}.s{series}"
    print(f"{rate} events/s, {series} series: {events:.0f} events; {cells / max(1, flushes):.0f} changed minutes of"
          " series a flush", flush=True)
    spent["broker"] -= events * statistics.mean(x["broker"] / n for x, n in alone)
    for who, value in (("", "processor"), ("_broker", "broker"), ("_postgres", "postgres"), ("_writers", "writers")):
        say(f"  CPU an event, {value}", f"{spent[value] / events * 1e6:.2f} us")
        tell(f"{name}.cpu{who}", spent[value] / events * 1e6, "us", events)


def crowded(a):
    """All of it is in the log when the processor starts, first the requests that nobody answers."""
    with Stack(partitions=PARTITIONS, env={"FLUSH_INTERVAL_MS": str(INTERVAL_S * 1000), "JOIN_TTL_MS": "3600000"}) as s:
        feed.fill(s, a.joins, 500, "--no-answers", "--seed", 2)
        print("in the log: " + feed.fill(s, a.pairs, 500, "--seed", 3)[0], flush=True)
        p = s.start("processor")
        requests, responses = feed.COUNTED
        wait_for(lambda: p.metric(requests) >= a.joins + 0.05 * a.pairs, "the requests that wait", 600)
        meter, before = feed.Meter(s, p), feed.consumed(p)
        wait_for(lambda: p.metric(responses) >= 0.95 * a.pairs, "the pairs", 600)
        events, spent = feed.consumed(p) - before, meter.read()
        s.wait_totals(120, requests=a.joins + a.pairs, responses=a.pairs, in_flight=a.joins)
        say(f"backlog with {a.joins} live joins: CPU an event", f"{spent['processor'] / events * 1e6:.2f} us")
        say("  resident", f"{p.resident_bytes() / 2**20:.0f} MiB")
        tell("live.joins.cpu", spent["processor"] / events * 1e6, "us", events)
        tell("live.joins.resident", p.resident_bytes() / 2**20, "MiB", a.joins)


def main():
    c = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    c.add_argument("--at", default="4000/200,20000/200,20000/10000", metavar="RATE/SERIES,...")
    c.add_argument("--seconds", type=int, default=20, help="multiples of the flush interval, 5 s, are best")
    c.add_argument("--joins", type=int, default=3_000_000, help="0: none of it")
    c.add_argument("--pairs", type=int, default=1_000_000)
    a = c.parse_args()
    for at in filter(None, a.at.split(",")):
        steady(a, *map(int, at.split("/")))
    if a.joins:
        crowded(a)


if __name__ == "__main__":
    main()
