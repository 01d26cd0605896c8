#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long llm.metrics keeps windows, whose records bear their own, maybe old, time: a segment goes when the
newest of its records is older than the retention."""
import json
import os
import shutil
import subprocess
import time
import unittest

import own_services
from stack import ROOT, Stack, needed, wait_for

TOPIC = "llm.metrics"
DAY_MS = 86400000


class RetentionTest(unittest.TestCase):
    def setUp(self):
        tmp, port = needed("SL_TMP"), int(needed("SL_PORT_BASE"))
        self.python = needed("SL_EXAMPLES_PYTHON")
        root = os.path.join(tmp, "retention")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(os.path.join(ROOT, "deploy", "local"), os.path.join(root, "deploy", "local"))
        with open(os.path.join(root, "deploy", "local", "server.properties"), "a", encoding="ascii") as f:
            f.write("log.retention.check.interval.ms=500\nlog.initial.task.delay.ms=0\nlog.segment.delete.delay.ms=0\n")
        self.addCleanup(setattr, own_services, "ROOT", own_services.ROOT)
        own_services.ROOT = root
        services = own_services.OwnServices(os.path.join(root, "state"), port + 50, port + 60)
        self.addCleanup(services.run, "down", "--wipe")
        self.stack = Stack(brokers=services.brokers, pg_dsn=services.pg_dsn, partitions=4)
        self.stack.sql("CREATE DATABASE " + self.stack.id, dsn=self.stack.admin_dsn)
        self.stack.setup()

    def feed(self, partition, *days_ago):
        now_ms = time.time() * 1000
        records = [{"partition": partition, "key": "t|/chat|m", "time_ms": int(now_ms - d * DAY_MS),
                    "value": {"days_ago": d}, "latencies_us": []} for d in days_ago]
        subprocess.run([self.python, os.path.join(ROOT, "tests", "examples", "feed.py"), self.stack.brokers,
                        self.stack.prefix + TOPIC], check=True, timeout=60, text=True,
                       input=json.dumps({"end": "commit", "records": records}) + "\n")

    def kept(self):
        found = {}
        for r in self.stack.consume(TOPIC):
            found.setdefault(r["partition"], []).append(json.loads(r["payload"])["days_ago"])
        return found

    def test_a_segment_stays_as_long_as_its_newest_record(self):
        self.feed(0, 7)        # as late as a window can be
        self.feed(1, 29)       # sent again by an operator
        self.feed(2, 31)       # too old, and alone
        self.feed(3, 31, 1)    # too old, beside one that is not
        wait_for(lambda: 2 not in self.kept(), "the old segment gone", 60)
        self.assertEqual(self.kept(), {0: [7], 1: [29], 3: [31, 1]})


if __name__ == "__main__":
    unittest.main()
