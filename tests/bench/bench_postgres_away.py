# SPDX-License-Identifier: Apache-2.0
"""Memory of a processor while PostgreSQL is away under load, and how long it takes to catch up:
bench_postgres_away.py [SECONDS [PAIRS_A_SECOND]]."""
import sys
import time

from bench_lines import tell
from load import MIB, Steady, mib, say, seconds
from pg_proxy import PgProxy
from stack import Stack, wait_for

EVERY_S = 5


def sample(processor, began, load):
    resident = mib(processor.resident_bytes())
    prefetched = processor.metric("streamlens_processor_prefetched_records")
    print(f"{time.monotonic() - began:8.0f} s  {2 * load.sent:10d} events sent  {resident:>12} resident"
          f"  {prefetched:8.0f} records fetched ahead", flush=True)


def main():
    away_s = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "1000"}) as s, PgProxy(s.dsn) as proxy:
        s.start("ingest-api")
        processor = s.start("processor", env={"POSTGRES_DSN": proxy.dsn(s.dsn)})
        with Steady(s, rate) as load:
            wait_for(lambda: s.totals()["responses"] > 2 * rate, "rows", 60)
            began = time.monotonic()
            sample(processor, began, load)
            replayed = processor.metric("streamlens_processor_replayed_records_total")
            print("PostgreSQL is away:")
            proxy.refuse()
            for n in range(1, away_s // EVERY_S + 1):
                wait_for(lambda due=n * EVERY_S: time.monotonic() > began + due, "the next sample", 2 * EVERY_S)
                sample(processor, began, load)
            behind = load.sent
            proxy.refuse(False)
            print("PostgreSQL is back:")
            back = time.monotonic()
            wait_for(lambda: s.totals()["responses"] >= behind, "what had come meanwhile", 300)
            caught_up = time.monotonic() - back
            say("counted what had come meanwhile after", seconds(caught_up))
            tell("postgres_away.caught_up", caught_up, "s", 2 * behind)
            tell("postgres_away.resident", processor.resident_bytes() / MIB, "MiB", 2 * behind)
            sample(processor, began, load)
        s.wait_totals(120, requests=load.sent, responses=load.sent, in_flight=0)
        replayed = processor.metric("streamlens_processor_replayed_records_total") - replayed
        say("records replayed", f"{replayed:.0f}", 0)
        tell("postgres_away.replayed", replayed, "records", 2 * load.sent)
        sample(processor, began, load)


if __name__ == "__main__":
    main()
