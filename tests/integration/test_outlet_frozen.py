#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""processor/outlet_kafka.c and a broker that keeps its connections and answers nothing: no call waits for it,
and what comes of a transaction only the log tells."""
import os
import signal
import tempfile
import time
import unittest

from outlet import OutletCase, SLICE_MS, TIME_MS
from own_services import OwnServices
from stack import Stack, freeze, needed


class Frozen(OutletCase):
    @classmethod
    def setUpClass(cls):
        base = int(needed("SL_PORT_BASE"))
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir=needed("SL_TMP")))
        cls.services = OwnServices(folder, base + 20, base + 30)
        cls.addClassCleanup(cls.services.run, "down", "--wipe")

    def setUp(self):
        self.stack = self.enterContext(Stack(brokers=self.services.brokers, pg_dsn=self.services.pg_dsn))
        self.broker = self.services.pid("kafka")

    def thaw(self):
        os.kill(self.broker, signal.SIGCONT)

    def freeze(self):
        self.addCleanup(self.thaw)
        freeze(self.broker)

    def test_no_call_waits_for_it_and_nothing_is_twice(self):
        o, idle = self.outlet(self.stack), self.outlet(self.stack)
        o.open()
        o.send(1, 3)
        o.ok("commit")
        o.send(4, 6)
        self.freeze()
        for call in (lambda: o.say("commit"), lambda: idle.say("open"), lambda: o.say("commit"),
                     lambda: o.say("progress"), lambda: idle.say("close")):
            result, ms, _, why = call()
            self.assertIn(result, ("again", "ok"), why)
            self.assertLess(ms, SLICE_MS)
        began = time.monotonic()
        self.assertEqual(o.until_decided("commit")[0], "broken")
        print(f"given up {time.monotonic() - began:.1f} s later", flush=True)
        self.assertLess(time.monotonic() - began, 15 + SLICE_MS / 1000)
        self.assertLess(o.say("close")[1], SLICE_MS)
        self.assertEqual(o.say("open")[0], "again")
        self.thaw()
        last = o.open()  # of what was given up, the log alone tells what became
        self.assertIn(last, (3, 6))
        o.send(last + 1, last + 2)
        o.ok("commit")
        self.expect_committed(self.stack, list(range(1, last + 3)))

    def test_what_waited_for_it_goes_on(self):
        o = self.outlet(self.stack, KAFKA_CONF_QUEUE_BUFFERING_MAX_MESSAGES="3")
        o.open()
        o.ok("begin")
        self.freeze()
        answers = [o.say("put", seq, "k", seq, TIME_MS) for seq in (1, 2, 3, 4)]
        self.assertEqual([a[0] for a in answers], ["ok", "ok", "ok", "again"])
        self.assertLess(answers[-1][1], SLICE_MS)
        self.thaw()
        o.ok("put", 4, "k", 4, TIME_MS)
        o.ok("put_progress", 4)
        self.freeze()
        self.assertEqual(o.say("commit")[0], "again")
        self.thaw()
        o.ok("commit")
        self.expect_committed(self.stack, [1, 2, 3, 4])
        self.assertEqual(o.ok("progress"), 4)


if __name__ == "__main__":
    unittest.main()
