# SPDX-License-Identifier: Apache-2.0
"""One tenant that names a hundred thousand models: bench_models.py [MODELS]. Beyond the cap all count under
__other__, and the sums are exact."""
import sys
import time

from bench_lines import tell
from load import MIB, mib, request_batches, response_batches, say, seconds, send
from stack import Stack, wait_for

FLUSH = "streamlens_processor_flush_duration_seconds"
CAP = 10_000


def flushes(processor):
    return processor.metric(FLUSH + "_sum"), processor.metric(FLUSH + "_count")


def measure(s, processor, what, bodies, **totals):
    sum_before, count_before = flushes(processor)
    began = time.monotonic()
    send(s, bodies)
    sent = time.monotonic() - began
    s.wait_totals(300, **totals)
    took, count = (after - before for after, before in zip(flushes(processor), (sum_before, count_before)))
    print(f"{what}:")
    say("  sent in", seconds(sent))
    say("  in the rows after", seconds(time.monotonic() - began))
    say("  time in flushes", f"{took:.2f} s in {count:.0f}")
    say("  resident", mib(processor.resident_bytes()), "bounded")
    say("  series in memory", f"{processor.metric('streamlens_processor_series'):.0f}")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "5000", "MAX_SERIES_PER_TENANT": str(CAP)}) as s:
        s.start("ingest-api")
        processor = s.start("processor")
        wait_for(lambda: processor.metric('streamlens_processor_partitions{state="live"}') == 12, "the partitions")
        say("resident before", mib(processor.resident_bytes()))
        for turn in range(3):
            first = turn * n
            measure(s, processor, f"turn {turn + 1}: a request of each model",
                    request_batches(first, n, "model-%d", n), requests=first + n)
            measure(s, processor, f"turn {turn + 1}: its answer", response_batches(first, n), responses=first + n)
        rows = int(s.sql("SELECT count(DISTINCT (route, model)) FROM llm_metrics"))
        other = s.sql("SELECT sum(requests) || ' ' || sum(responses) FROM llm_metrics WHERE route = '__other__'")
        tell("models.resident", processor.resident_bytes() / MIB, "MiB", n)
        tell("models.rows", rows, "series", n)
        say("series with rows", rows, min(n, CAP) + (n > CAP))
        say("requests and answers of __other__", other, "as many as one another")
        say("series over the cap, looked up", f"{processor.metric('streamlens_processor_series_over_cap_total'):.0f}")


if __name__ == "__main__":
    main()
