# SPDX-License-Identifier: Apache-2.0
"""Publishing. bench_publish.py [SERIES [MINUTES]]: so many series a minute, each with a request, and fifty with one a
second, all answered 10 to 60 s later, over real minutes: how long after its window's closing predicate holds a
record can be read, and how many records a row becomes. Then all rows of a minute sent again with nothing else to do,
and as many minutes of one row."""
import collections
import json
import random
import re
import subprocess
import sys
import threading
import time

from bench_lines import tell
from load import say, seconds, send
from stack import Stack, iso, wait_for

HOT = 50
GRACE_S = 10
PUBLISHED = "streamlens_publisher_records_total"
FIELDS = re.compile(r'\\"window_start\\":\\"([^"\\]+)\\".*\\"publish_seq\\":(\d+)')
KEY = re.compile(r'"key":"((?:[^"\\]|\\.)*)"')


def event(kind, i, series, at_s):
    head = f'{{"type":"{kind}","request_id":"{i:036d}","timestamp":{int(at_s * 1000)}'
    if kind == "response":
        return head + f',"latency_ms":{10000 + i % 50000},"time_to_first_token_ms":{i % 900 + 1}}}'
    return head + f',"tenant_id":"t{series % 10}","route":"/r","model":"m{series // 10}"}}'


class Late(threading.Thread):
    """The traffic, a second at a time."""

    def __init__(self, stack, series, minutes):
        super().__init__()
        self.stack, self.series, self.seconds = stack, series, minutes * 60
        self.first = int(time.time()) // 60 * 60 + 60
        self.random = random.Random(18)
        self.start()

    def run(self):
        due, n = collections.defaultdict(list), 0
        for second in range(self.seconds + 61):
            at = self.first + second
            time.sleep(max(0, at - time.time()))
            events = due.pop(second, [])
            if second < self.seconds:
                share = range(second % 60 * self.series // 60, (second % 60 + 1) * self.series // 60)
                for series in [*share, *range(self.series, self.series + HOT)]:
                    events.append(event("request", n, series, at))
                    later = self.random.randrange(10, 61)
                    due[second + later].append(event("response", n, series, at + later))
                    n += 1
            send(self.stack, ["\n".join(events[i:i + 1000]) for i in range(0, len(events), 1000)])


class Lines(threading.Thread):
    """What a program prints, with the time of each line."""

    def __init__(self, command, text=None):
        super().__init__(daemon=True)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if text:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        self.lines = []
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.lines.append((time.time(), line))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.join()


def reader(s):
    return Lines(["kcat", "-C", "-u", "-q", "-J", "-o", "beginning", "-b", s.brokers, "-X", "fetch.wait.max.ms=20",
                  "-X", "isolation.level=read_committed", "-t", s.prefix + "llm.metrics"])


def positions(s):
    """How far every partition is, twenty times a second."""
    return Lines(["psql", "-X", "-q", "-At", "-d", s.dsn],
                 "SELECT min(least(request_time_ms, response_time_ms)) FROM streamlens_position \\watch 0.05\n")


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def delays(stored, seen):
    """Of the first record of each row, from when its window could be closed."""
    through = [(at, int(line)) for at, line in stored if line.strip().isdigit()]
    counts, out = collections.Counter(), []
    for at, line in seen:
        start, row = FIELDS.search(line).group(1), KEY.search(line).group(1)
        counts[row, start] += 1
        if counts[row, start] > 1:
            continue
        end_ms = (time.mktime(time.strptime(start, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone + 60 + GRACE_S) * 1000
        out.append(at - next(t for t, ms in through if ms >= end_ms))
    return out, counts


def real_minutes(s, series, minutes):
    p = s.services["processor"]
    seen, stored = reader(s), positions(s)
    Late(s, series, minutes).join()
    rows = minutes * (series + HOT)
    wait_for(lambda: s.sql("SELECT count(*) FROM llm_metrics WHERE settled AND publish_seq > 0") == str(rows),
             "all answers", 60)
    def quiet():
        before = p.metric(PUBLISHED)
        time.sleep(6)  # longer than the publisher takes to look at a window again
        return p.metric(PUBLISHED) == before
    wait_for(quiet, "an end of publishing", 120)
    seen.end()
    stored.end()
    late, counts = delays(stored.lines, seen.lines)
    say("rows, records of them", f"{len(counts)}, {sum(counts.values())}")
    for q in (50, 99, 100):
        say(f"from the closing predicate to readable, p{q}", f"{percentile(late, q):.2f} s",
            "3 s" if q == 99 else None)
        tell(f"publish.readable.p{q}", percentile(late, q), "s", len(late))
    sizes = [len(json.loads(line)["payload"]) for _, line in seen.lines]
    say("a record's value, mean", f"{sum(sizes) / len(sizes):.0f} bytes")
    say("records a row, mean", f"{sum(counts.values()) / len(counts):.2f}")
    say("records a row, most", max(counts.values()), 4)
    tell("publish.records_a_row.most", max(counts.values()), "records", len(counts))


def alone(s, name, what, rows, begin):
    """Nothing but publishing: the time, and the CPU of the process."""
    p = s.services["processor"]
    before, cpu, began = p.metric(PUBLISHED), p.cpu_seconds(), time.monotonic()
    begin()
    wait_for(lambda: p.metric(PUBLISHED) >= before + rows, "all published", 300, 0.02)
    took, used = time.monotonic() - began, p.cpu_seconds() - cpu
    say(f"{what}: time", seconds(took))
    say(f"{what}: CPU of the processor", f"{used:.2f} s = {used / rows * 1e6:.0f} us each")
    tell(f"publish.again.{name}.cpu", used / rows * 1e6, "us", rows)


def again(s, first, last):
    r = s.admin("republish", "--from", iso(first), "--to", iso(last))
    assert r.returncode == 0, r.stdout + r.stderr


def main():
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    with Stack(partitions=12, env={"FLUSH_INTERVAL_MS": "5000"}) as s:
        s.start("ingest-api")
        s.start("processor")
        real_minutes(s, series, minutes)
        first = int(s.sql("SELECT extract(epoch FROM min(window_start)) FROM llm_window").split(".")[0])
        alone(s, "minute", f"{series + HOT} rows of one minute again", series + HOT,
              lambda: again(s, first, first + 60))
        start = first - 60 * (series + 10)
        send(s, ["\n".join(event("request", 10 ** 9 + i, 0, start + 60 * i) for i in range(k, min(k + 1000, series)))
                 for k in range(0, series, 1000)])
        wait_for(lambda: s.sql("SELECT count(*) FROM llm_metrics WHERE publish_seq > 0"
                               f" AND window_start < to_timestamp({first})") == str(series), "old minutes", 300)
        alone(s, "row", f"{series} minutes of one row again", series, lambda: again(s, start - 60, first))


if __name__ == "__main__":
    main()
