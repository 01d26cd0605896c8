# SPDX-License-Identifier: Apache-2.0
"""Recovery under load: one of three processors is killed, then all are, and started again at once.
bench_recovery.py [PAIRS_BEFORE [PAIRS_A_SECOND]]. Rows are current again within the session time-out, the
replay and 10 s: each is printed."""
import sys
import time

from bench_lines import tell
from load import Steady, request_batches, response_batches, say, seconds, send
from stack import Stack, wait_for

PARTITIONS = 12
SESSION_S, FLUSH_S, MORE_S = 10, 5, 10
LIVE, REPLAYING = (f'streamlens_processor_partitions{{state="{x}"}}' for x in ("live", "replaying"))
REPLAYED = "streamlens_processor_replayed_records_total"


def total(processors, name):
    return sum(p.metric(name) for p in processors)


def lag_s(s):
    """How old what the rows have of the partition that is furthest behind is."""
    return float(s.sql("SELECT extract(epoch FROM clock_timestamp()) - min(least(request_time_ms, response_time_ms))"
                       " / 1000.0 FROM streamlens_position"))


def wait_current(s, seconds_):
    wait_for(lambda: lag_s(s) < FLUSH_S + 2, "current rows", seconds_, 0.1)


def measure(s, name, began, owners, replayed_before, session_s):
    """`owners` come to own all partitions. The phases from `began` on, and their sum beside the target."""
    def owned():
        return total(owners, LIVE) + total(owners, REPLAYING) == PARTITIONS
    wait_for(owned, "new owners", 120)
    found = time.monotonic()
    wait_for(lambda: total(owners, LIVE) == PARTITIONS, "an end of the replay", 300)
    live = time.monotonic()
    wait_current(s, 120)
    current = time.monotonic()
    replayed = total(owners, REPLAYED) - replayed_before
    say("  partitions taken over after", seconds(found - began), seconds(session_s))
    say("  replay", seconds(live - found))
    say("  records replayed", f"{replayed:.0f}")
    if live - found > 0.5:
        say("  records replayed a second, all together", f"{replayed / (live - found):.0f}")
        tell(f"recovery.{name}.replay", replayed / (live - found) / 1e6, "M/s", replayed)
    say("  caught up and flushed after that", seconds(current - live), seconds(MORE_S))
    tell(f"recovery.{name}.taken_over", found - began, "s")
    tell(f"recovery.{name}.caught_up", current - live, "s")
    tell(f"recovery.{name}.current", current - began, "s")
    say("  rows current again after", seconds(current - began), seconds(session_s + (live - found) + MORE_S))


def main():
    before = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    names = [f"processor-{n}" for n in (1, 2, 3)]
    with Stack(partitions=PARTITIONS, env={"FLUSH_INTERVAL_MS": str(FLUSH_S * 1000)}) as s:
        s.start("ingest-api")
        three = [s.start(name) for name in names]
        wait_for(lambda: [p.metric(LIVE) for p in three] == [PARTITIONS / 3] * 3, "a share each", 60)
        send(s, request_batches(0, before))
        send(s, response_batches(0, before))
        with Steady(s, rate, before) as load:
            wait_for(lambda: load.sent > 10 * rate, "load", 120)
            wait_current(s, 120)
            say("age of the rows under load", seconds(lag_s(s)), seconds(FLUSH_S))

            print("one of three is killed:")
            survivors = [three[0], three[2]]
            replayed = total(survivors, REPLAYED)
            began = time.monotonic()
            three[1].kill()
            measure(s, "one", began, survivors, replayed, SESSION_S)

            print("all are killed, and started again at once:")
            s.start("processor-2")
            wait_for(lambda: [s.services[n].metric(LIVE) for n in names] == [PARTITIONS / 3] * 3, "a share each", 120)
            wait_current(s, 120)
            began = time.monotonic()
            for name in names:
                s.services[name].kill()
            three = [s.start(name, ready=False) for name in names]
            for p in three:
                p.wait_port()
            measure(s, "all", began, three, 0, SESSION_S)
        s.wait_totals(120, requests=before + load.sent, responses=before + load.sent, in_flight=0)
        print("every event is counted once")


if __name__ == "__main__":
    main()
