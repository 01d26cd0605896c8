# SPDX-License-Identifier: Apache-2.0
"""What measures of the processor share: filling the log (fill_kafka.c), and what is spent between two moments by the
processor, and by broker and database for it."""
import json
import os
import re
import subprocess
import time

from stack import wait_for

LIVE = 'streamlens_processor_partitions{state="live"}'
DUPLICATES = [f'streamlens_processor_duplicates_total{{topic="{t}",content="{c}"}}'
              for t in ("requests", "responses") for c in ("same", "differs")]
COUNTED = ["streamlens_processor_requests_total", "streamlens_processor_responses_total"]
BACKENDS = "datname = current_database() AND application_name LIKE 'streamlens-%'"
WRITERS = "backend_type IN ('walwriter', 'checkpointer', 'background writer')"


def filler(s, pairs, batch, *options):
    """A running fill_kafka."""
    command = [os.path.join(s.build, "tests/bench/fill_kafka"), s.brokers, s.prefix, pairs, batch, *options]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def filled(process):
    """(what it said at its end, how many events it sent)"""
    out = process.communicate()[0].strip()
    assert process.returncode == 0, f"fill_kafka ended with {process.returncode}"
    return out, int(re.match(r"(\d+) events", out)[1])


def fill(s, pairs, batch, *options):
    return filled(filler(s, pairs, batch, *options))


def consumed(p):
    """Events that a processor has counted or known again."""
    samples = dict(line.rsplit(" ", 1) for line in p.get("/metrics")[1].decode().splitlines() if line[0] != "#")
    return sum(float(samples[name]) for name in COUNTED + DUPLICATES)


def cpu_seconds(pid):
    """Of all threads a process has or had; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def listener(port):
    """The process that listens on the port, of this machine and user; None where there is none."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name, encoding="ascii") as f:
            inodes |= {x[9] for x in map(str.split, f) if x[3] == "0A" and int(x[1].rsplit(":", 1)[1], 16) == port}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in {f"socket:[{i}]" for i in inodes}
                   for fd in os.listdir(f"/proc/{pid}/fd")):
                return int(pid)
        except OSError:
            pass  # it is another user's, or has ended
    return None


class Meter:
    """Time, and CPU of a processor, of the broker, of the backends that serve our database and of those that write for
    all databases, from when it is made. Broker and writers work for whoever uses them: only a machine without others
    says what we cause. A broker that is elsewhere, or another user's, costs 0."""

    def __init__(self, s, processor=None):
        self.s, self.processor, self.broker = s, processor, listener(int(s.brokers.split(",")[0].rsplit(":", 1)[1]))
        self.before = self.others()
        self.began, self.own = self.now()

    def now(self):
        return time.monotonic(), self.processor.cpu_seconds() if self.processor else 0.0

    def others(self):
        pids = {kind: self.s.sql(f"SELECT pid FROM pg_stat_activity WHERE {which}").split()
                for kind, which in (("postgres", BACKENDS), ("writers", WRITERS))}
        found = {(kind, pid): cpu_seconds(pid) for kind in pids for pid in pids[kind]}
        found["broker", 0] = cpu_seconds(self.broker) if self.broker else 0.0
        return found

    def read(self):
        """{what: seconds}; "time" is the wall's. The others are looked at a moment before and after."""
        at, own = self.now()
        spent = {"time": at - self.began, "processor": own - self.own, "broker": 0.0, "postgres": 0.0, "writers": 0.0}
        for (kind, pid), now in self.others().items():
            spent[kind] += now - self.before.get((kind, pid), 0.0)
        return spent


def replayed(p, meter):
    """Waits until a processor that was started after the meter was made says that it has read all again: what was
    spent from its start on, but for the time, which is from the first record on, and how many records that were. It
    says so itself: to ask for its metrics all the while would be to measure that."""
    def said():
        if p.process.poll() is not None:
            raise AssertionError(f"{p.name} ended with {p.process.returncode}:\n{p.log()}")
        return next((line for line in p.log().splitlines() if '"event":"replayed"' in line), None)
    entry = json.loads(wait_for(said, "all records read again", 600, 0.01))
    return {**meter.read(), "time": int(entry["ms"]) / 1000}, int(entry["records"])
