# SPDX-License-Identifier: Apache-2.0
"""Memory of one processor with a million requests that wait: bench_joins.py [REQUESTS]."""
import sys
import time

from bench_lines import tell
from load import mib, request_batches, say, seconds, send
from stack import Stack, wait_for

LIVE = 'streamlens_processor_partitions{state="live"}'


def report(processor, n, before, name):
    table = processor.metric("streamlens_processor_join_bytes")
    resident = processor.resident_bytes()
    say("resident", mib(resident), "bounded")
    say("join tables", mib(table))
    say("bytes a live join in the tables", f"{table / n:.0f}")
    say("bytes a live join of resident memory", f"{(resident - before) / n:.0f}")
    tell(f"joins.{name}.table", table / n, "B", n)
    tell(f"joins.{name}.resident", (resident - before) / n, "B", n)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "1000"}) as s:
        s.start("ingest-api")
        processor = s.start("processor")
        wait_for(lambda: processor.metric(LIVE) == 12, "the partitions")
        before = processor.resident_bytes()
        say("resident before", mib(before))
        began = time.monotonic()
        send(s, request_batches(0, n))
        s.wait_totals(300, requests=n, in_flight=n)
        say(f"{n} requests in the rows after", seconds(time.monotonic() - began))
        report(processor, n, before, "live")
        print("after SIGKILL and replay:")
        processor.kill()
        began = time.monotonic()
        processor = s.start("processor")
        wait_for(lambda: processor.metric(LIVE) == 12, "the partitions", 120)
        say("live again after", seconds(time.monotonic() - began))
        say("records replayed", f"{processor.metric('streamlens_processor_replayed_records_total'):.0f}")
        report(processor, n, before, "replayed")


if __name__ == "__main__":
    main()
