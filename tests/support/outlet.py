# SPDX-License-Identifier: Apache-2.0
"""An outlet on a string (outlet_tool.c), and what its transactions leave in llm.metrics."""
import json
import os
import signal
import subprocess
import time
import unittest

from stack import needed, wait_for

PATIENCE_S = 60
# A call waits for half a second; the rest is for a machine that is slow, in both directions.
SLICE_MS = 3000
TIME_MS = int(time.time()) * 1000 - 600_000  # not so old that retention takes it


class Outlet:
    """outlet_tool as a process: each method is one call of outlet.h."""

    def __init__(self, stack, **env):
        self.process = subprocess.Popen(
            [os.path.join(needed("SL_BUILD"), "tests", "integration", "outlet_tool")],
            env={**stack.env, **env}, text=True, bufsize=1, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, *words):
        """(result, milliseconds, sequence, reason)"""
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError(f"{words}: outlet_tool has ended: {self.process.stderr.read()}")
        result, ms, seq, why = answer.rstrip("\n").split(" ", 3)
        return result, int(ms), int(seq), why

    def until_decided(self, *words, seconds=PATIENCE_S):
        """As the publisher does: again while it says so."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.say(*words)
            if answer[0] != "again":
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"{words}: still {answer}")
            time.sleep(0.1)

    def ok(self, *words):
        answer = self.until_decided(*words)
        assert answer[0] == "ok", (words, answer)
        return answer[2]

    def open(self):
        self.ok("open")
        return self.ok("progress")

    def send(self, first, last):
        """Sequences in one transaction, up to the commit."""
        self.ok("begin")
        for seq in range(first, last + 1):
            self.ok("put", seq, f"key-{seq}", json.dumps(seq), TIME_MS + seq)
        self.ok("put_progress", last)

    def end(self, *signals):
        for s in signals or (signal.SIGKILL,):
            self.process.send_signal(s)
        self.process.wait(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class OutletCase(unittest.TestCase):
    def outlet(self, stack, **env):
        o = Outlet(stack, **env)
        self.addCleanup(o.end)
        return o

    def sequences(self, stack, isolation="read_committed"):
        return sorted(int(r["payload"]) for r in stack.consume("llm.metrics", isolation))

    def expect_committed(self, stack, wanted):
        """A commit is decided before its markers reach the partitions, one after the other: readers see it then."""
        seen = []

        def reached():
            seen[:] = self.sequences(stack)
            return seen == wanted or len(seen) > len(wanted)
        wait_for(reached, f"the records of {len(wanted)} sequences", PATIENCE_S)
        self.assertEqual(seen, wanted)
