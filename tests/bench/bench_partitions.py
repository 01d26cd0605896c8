# SPDX-License-Identifier: Apache-2.0
"""What an event of a backlog costs the processor, all threads, from its start until rows are complete, as the topics'
partitions grow: bench_partitions.py [PAIRS [PARTITIONS,...]]. Each is as long as the others, and so are the producer's
batches but for what a partition has less of."""
import sys
import time

import feed
from bench_lines import tell
from stack import Stack

BATCH = 500
SIZES = "12,48,120"


def backlog(pairs, partitions):
    """(µs of CPU an event, events a second, CPU of the broker, MiB)"""
    with Stack({"FLUSH_INTERVAL_MS": "5000"}, partitions) as s:
        said, events = feed.fill(s, pairs, BATCH, "--series", 200, "--duplicates", 0, "--disorder", 0)
        began = time.monotonic()
        p = s.start("processor", ready=False)
        p.wait_port()
        meter = feed.Meter(s, p)
        s.wait_totals(600, requests=pairs, responses=pairs)
        cpu, took, spent = p.cpu_seconds(), time.monotonic() - began, meter.read()
        print(f"{partitions:4} partitions: {cpu / events * 1e6:6.3f} µs of CPU an event, {events / took / 1e6:5.2f} M"
              f" events/s, the broker's {spent['broker'] / events * 1e6:6.3f} µs, PostgreSQL's"
              f" {spent['postgres'] / events * 1e6:6.3f}, {p.resident_bytes() >> 20} MiB; {said}", flush=True)
        return cpu / events * 1e6, events / took / 1e6, spent["broker"] / events * 1e6


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sizes = [int(n) for n in (sys.argv[2] if len(sys.argv) > 2 else SIZES).split(",")]
    costs = [backlog(pairs, partitions) for partitions in sizes]
    for partitions, (cpu, rate, broker) in zip(sizes, costs):
        tell(f"partitions.{partitions}.cpu", cpu, "us", 2 * pairs)
        tell(f"partitions.{partitions}.cpu_broker", broker, "us", 2 * pairs)
        tell(f"partitions.{partitions}.rate", rate, "M/s", 2 * pairs)
    ratio = max(cpu for cpu, *_ in costs) / costs[0][0]
    print(f"the dearest takes {ratio:.2f} times what {sizes[0]} partitions do", flush=True)
    tell("partitions.ratio", ratio, "times")


if __name__ == "__main__":
    main()
