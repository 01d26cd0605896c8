#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""processor/outlet_kafka.c against a real broker: what a transaction leaves in the topics, and what the
progress is after one that was cut short."""
import json
import unittest

from outlet import OutletCase, PATIENCE_S, SLICE_MS, TIME_MS
from stack import Stack, wait_for


class Topics(OutletCase):
    def setUp(self):
        self.stack = self.enterContext(Stack())

    def test_what_was_committed_can_be_read_with_all_that_belongs_to_it(self):
        o = self.outlet(self.stack)
        self.assertEqual(o.open(), 0)
        o.send(1, 20)
        o.ok("commit")
        self.expect_committed(self.stack, list(range(1, 21)))
        records = self.stack.consume("llm.metrics", "read_committed")
        for r in records:
            self.assertEqual(r["key"], "key-" + r["payload"])
            self.assertEqual((r["ts"], r["tstype"]), (TIME_MS + int(r["payload"]), "create"))
            self.assertEqual(r["headers"], ["content-type", "application/json", "schema-version", "1"])
        self.assertGreater(len({r["partition"] for r in records}), 1)
        progress, = wait_for(lambda: self.stack.consume("llm.metrics.progress", "read_committed"), "the progress",
                             PATIENCE_S)
        self.assertEqual((progress["key"], json.loads(progress["payload"])), ("publisher", {"publish_seq": 20}))
        # Where any client of Kafka's own puts these keys.
        for seq in (1, 7, 20):
            self.stack.produce("llm.metrics", b"0", key=f"key-{seq}")
        by_key = {}
        for r in self.stack.consume("llm.metrics", "read_committed"):
            by_key.setdefault(r["key"], set()).add(r["partition"])
        self.assertEqual({len(p) for p in by_key.values()}, {1})

    def test_progress_behind_transactions_of_every_end(self):
        first = self.outlet(self.stack)
        first.open()
        first.send(1, 3)
        first.ok("commit")
        self.assertEqual(first.ok("progress"), 3)
        first.send(4, 6)
        first.ok("close")  # gives it up
        self.assertEqual(first.open(), 3)
        first.send(4, 7)
        wait_for(lambda: self.sequences(self.stack, "read_uncommitted")[-1] == 7, "open records in the log")
        first.end()  # killed, its transaction open
        second = self.outlet(self.stack)
        self.assertEqual(second.open(), 3)
        self.expect_committed(self.stack, [1, 2, 3])
        second.send(4, 5)
        second.ok("commit")
        self.assertEqual(self.outlet(self.stack).open(), 5)
        self.expect_committed(self.stack, [1, 2, 3, 4, 5])
        self.assertEqual(max(self.sequences(self.stack, "read_uncommitted")), 7)

    def test_the_next_one_fences_whoever_is_at_work(self):
        first, second = self.outlet(self.stack), self.outlet(self.stack)
        first.open()
        first.send(1, 3)
        self.assertEqual(second.open(), 0)
        self.assertEqual(first.until_decided("commit")[0], "broken")
        second.send(1, 2)
        second.ok("commit")
        first.ok("close")
        self.assertEqual(first.open(), 2)
        self.expect_committed(self.stack, [1, 2])
        second.ok("begin")
        answers = [second.until_decided("put", 3, "k", "3", 1), second.until_decided("commit")]
        self.assertEqual(answers[-1][0], "broken", answers)

    def test_an_open_transaction_of_another_id_hides_nothing(self):
        o, other = self.outlet(self.stack), self.outlet(self.stack)
        o.open()
        other.ok("intrude")
        o.send(1, 4)
        o.ok("commit")
        for _ in range(3):
            result, ms, _, why = o.say("progress")
            self.assertEqual(result, "again")
            self.assertLess(ms, SLICE_MS)
        self.assertIn("another producer", why)
        other.ok("withdraw")
        self.assertEqual(o.ok("progress"), 4)

    def test_what_is_not_the_publishers_stops_it(self):
        o = self.outlet(self.stack)
        o.ok("open")
        for i, value in enumerate((b'{"publish_seq": 5}', b'{"publish_seq": "7"}')):
            with self.subTest(value):
                self.stack.produce("llm.metrics.progress", value, key="publisher")
                result, _, seq, why = o.until_decided("progress")
                self.assertEqual((result, seq), ("ok", 5) if i == 0 else ("broken", -1), why)
        self.assertIn("llm.metrics.progress: the record at offset 1 ", why)

    def test_topics_that_are_missing_are_named(self):
        self.stack.topic_tool("delete", "llm.metrics.progress")
        o = self.outlet(self.stack)
        o.ok("open")
        _, ms, _, why = wait_for(lambda: (lambda a: a if "setup" in a[3] else None)(o.say("progress")),
                                 "a reason that names the command", PATIENCE_S)
        self.assertIn("llm.metrics.progress", why)
        self.assertLess(ms, SLICE_MS)

    def test_a_setting_that_does_not_fit_is_named_at_once(self):
        o = self.outlet(self.stack, KAFKA_CONF_MESSAGE_TIMEOUT_MS="15001")
        self.assertEqual(o.process.wait(PATIENCE_S), 1)
        self.assertIn("message.timeout.ms", o.process.stderr.read())


if __name__ == "__main__":
    unittest.main()
