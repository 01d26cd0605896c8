# SPDX-License-Identifier: Apache-2.0
"""Records that are gone, and topics that are not what they were: what concerns one partition halts that
one alone and says why, the others go on; ACCEPT_LOSS=1 goes on, and says in the rows that something is
missing."""
import json
import os
import subprocess
import time
import unittest

from stack import Stack, wait_for

STATE = 'streamlens_processor_partitions{state="%s"}'
TOPIC = ("message.timestamp.type=LogAppendTime", "retention.ms=604800000")


def reason(processor):
    """What /readyz says is wrong; "" where it is ready."""
    try:
        status, body = processor.get("/readyz", 5)
    except OSError:
        return "does not answer"
    return "" if status == 200 else json.loads(body)["reason"]


def wait_reason(processor, *words, seconds=40):
    def look():
        assert processor.process.poll() is None, processor.log()
        said = reason(processor)
        return said if all(w in said for w in words) else None
    try:
        return wait_for(look, f"a reason with {words}", seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}; it is {reason(processor)!r}") from None


def events(ids, kind, timestamp_ms):
    more = {"tenant_id": "t", "route": "/r", "model": "m"} if kind == "request" else {"latency_ms": 5}
    return [{"type": kind, "request_id": i, "timestamp": timestamp_ms, **more} for i in ids]


def post(s, ids, kind="request"):
    s.post_batch(events(ids, kind, (time.time() - 30) * 1000))


def produce_to(s, topic, partition, ids):
    """Requests, straight to a partition of a topic that was made anew."""
    path = os.path.join(s.tmp, s.id + "-lines")
    with open(path, "w", encoding="ascii") as f:
        for e in events(ids, "request", (time.time() - 30) * 1000):
            f.write(e["request_id"] + "\t" + json.dumps(e) + "\n")
    subprocess.run(["kcat", "-P", "-q", "-b", s.brokers, "-t", s.prefix + topic, "-p", str(partition),
                    "-K", "\t", "-l", path], check=True, timeout=30, stdin=subprocess.DEVNULL)


def by_partition(s, topic, partition):
    """Offset and key of its records."""
    return [(r["offset"], r["key"]) for r in s.consume(topic) if r["partition"] == partition]


def next_offset(s, partition, column="request_next"):
    return int(s.sql(f"SELECT {column} FROM streamlens_position WHERE partition = {partition}"))


def start_over(s, **env):
    processor = s.services["processor"]
    if processor.process.poll() is None:
        assert processor.terminate() == 0
    processor = s.start("processor", env=env, ready=False)
    processor.wait_port()
    return processor


class LostRecords(unittest.TestCase):
    def test_a_log_that_no_longer_reaches_back_is_degraded_until_that_does_not_matter(self):
        with Stack(partitions=2, env={"JOIN_TTL_MS": "1500", "JOIN_SKEW_MS": "500"}) as s:
            s.start_all()
            post(s, [f"a{i}" for i in range(40)])
            post(s, [f"a{i}" for i in range(40)], "response")
            s.wait_totals(requests=40, responses=40)
            s.services["processor"].terminate()
            s.topic_tool("delete-records", "llm.requests", 1, next_offset(s, 1))
            processor = s.start("processor")
            self.assertEqual(processor.metric(STATE % "degraded"), 1)
            wait_for(lambda: processor.metric(STATE % "live") == 2, "both live")
            answer = json.loads(processor.get("/readyz")[1])
            self.assertIn("the first is 1", answer["degraded"])
            self.assertEqual(processor.metric("streamlens_processor_degraded_replays_total"), 1)
            # Another owner says so too, until what is missing lies beyond every horizon.
            processor = start_over(s)
            processor.wait_ready()
            self.assertEqual(processor.metric(STATE % "degraded"), 1)
            n = 0

            def traffic():
                nonlocal n
                post(s, [f"b{n}-{i}" for i in range(20)])
                post(s, [f"b{n}-{i}" for i in range(20)], "response")
                n += 20
                return processor.metric(STATE % "degraded") == 0
            wait_for(traffic, "an end of the degraded state", every=0.3)
            s.wait_totals(requests=40 + n, responses=40 + n, unanswered=0, in_flight=0)
            self.assertNotIn("degraded", json.loads(processor.get("/readyz")[1]))
            processor = start_over(s)
            processor.wait_ready()
            self.assertEqual(processor.metric(STATE % "degraded"), 0)

    def test_records_gone_before_they_were_consumed_halt_their_partition_until_that_is_accepted(self):
        with Stack(partitions=3) as s:
            s.start_all()
            post(s, [f"a{i}" for i in range(60)])
            s.wait_totals(requests=60)
            s.services["processor"].terminate()
            post(s, [f"b{i}" for i in range(120)])
            here = by_partition(s, "llm.requests", 1)
            first = next_offset(s, 1)
            low = first + 5
            s.topic_tool("delete-records", "llm.requests", 1, low)
            processor = start_over(s)
            wait_reason(processor, "llm.requests, partition 1", f"offsets {first} to {low - 1}", "deleted")
            s.wait_totals(requests=60 + 120 - sum(o >= first for o, _ in here))
            self.assertEqual(processor.metric(STATE % "halted"), 1)
            wait_for(lambda: processor.metric(STATE % "live") == 2, "the others live")
            self.assertEqual(processor.get("/livez")[0], 200)
            self.assertEqual(next_offset(s, 1), first)
            # It is the operator who lets it go on.
            processor = start_over(s, ACCEPT_LOSS="1")
            processor.wait_ready()
            s.wait_totals(requests=175)
            post(s, [f"{x}{i}" for x, n in (("a", 60), ("b", 120)) for i in range(n)], "response")
            gone = {k for o, k in here if o < low}
            open_ = len({k for o, k in here if o < first})  # counted, and not to be replayed any more
            s.wait_totals(requests=175, responses=180 - len(gone), in_flight=open_)
            self.assertEqual(s.sql("SELECT partition, topic, from_offset, to_offset FROM streamlens_gap"),
                             f"1|llm.requests|{first}|{low}")
            self.assertEqual({r["lossy"] for r in s.rows()}, {True})
            # Once is enough.
            processor = start_over(s)
            processor.wait_ready()
            s.wait_totals(requests=175)
            self.assertEqual(s.sql("SELECT count(*) FROM streamlens_gap"), "1")

    def test_a_recreated_topic_halts_partitions_that_were_read_and_never_counts_twice(self):
        with Stack(partitions=3) as s:
            s.start_all()
            ids = [f"a{i}" for i in range(60)]
            post(s, ids)
            s.wait_totals(requests=60)
            s.services["processor"].terminate()
            p = [next_offset(s, i) for i in range(3)]
            s.topic_tool("delete", "llm.requests")
            s.topic_tool("create", "llm.requests", 3, *TOPIC)
            produce_to(s, "llm.requests", 0, [f"n0-{i}" for i in range(p[0] - 1)])  # shorter than before
            produce_to(s, "llm.requests", 1, [f"n1-{i}" for i in range(p[1] + 9)])  # longer
            processor = start_over(s)
            wait_reason(processor, "(and 2 more)")
            log = processor.log()
            self.assertIn(f"consumed up to offset {p[0]}, but the log ends at {p[0] - 1}", log)
            self.assertIn(f"the record at offset {p[1] - 1} is not the one that was consumed", log)
            self.assertIn("partition 2: consumed up to", log)
            self.assertEqual(processor.metric(STATE % "halted"), 3)
            s.wait_totals(requests=60)
            processor = start_over(s, ACCEPT_LOSS="1")
            processor.wait_ready()
            wait_for(lambda: processor.metric(STATE % "live") == 3, "all live")
            for partition in range(3):
                produce_to(s, "llm.requests", partition, [f"c{partition}-{i}" for i in range(10)])
            s.wait_totals(requests=90)
            self.assertEqual(
                s.sql("SELECT partition, from_offset, to_offset FROM streamlens_gap ORDER BY partition"),
                f"0|{p[0]}|{p[0] - 1}\n1|{p[1] - 1}|{p[1] + 9}\n2|{p[2]}|0")
            processor = start_over(s)
            processor.wait_ready()
            s.wait_totals(requests=90)


class TopicsThatChange(unittest.TestCase):
    """While the processor runs: it says so, stays alive, and goes on by itself where that can be."""

    def test_another_number_of_partitions_stops_all(self):
        with Stack(partitions=2) as s:
            s.start_all()
            post(s, ["a", "b"])
            s.wait_totals(requests=2)
            s.topic_tool("grow", "llm.responses", 3)
            processor = s.services["processor"]
            wait_reason(processor, s.prefix + "llm.responses has 3 partitions, wanted are 2")
            self.assertEqual(processor.metric(STATE % "halted"), 2)
            self.assertEqual(processor.metric(STATE % "live"), 0)
            self.assertEqual(processor.get("/livez")[0], 200)
            self.assertEqual(processor.terminate(), 0)

    def test_a_topic_of_another_timestamp_type_stops_all_and_then_the_partition_that_has_such_a_record(self):
        # Of windows that do not close no tick is written: the record below is the only one.
        with Stack(partitions=2, env={"WINDOW_GRACE_MS": "3600000"}) as s:
            s.start_all()
            post(s, ["a", "b"])
            s.wait_totals(requests=2)
            s.topic_tool("set", "llm.requests", "message.timestamp.type=CreateTime")
            produce_to(s, "llm.requests", 1, ["c"])
            processor = s.services["processor"]
            wait_reason(processor, s.prefix + "llm.requests has message.timestamp.type=CreateTime")
            s.topic_tool("set", "llm.requests", "message.timestamp.type=LogAppendTime")
            wait_reason(processor, "llm.requests, partition 1", "has no LogAppendTime")
            produce_to(s, "llm.requests", 0, ["d"])
            s.wait_totals(requests=3)
            self.assertEqual(processor.metric(STATE % "halted"), 1)

    def test_a_topic_deleted_and_made_anew(self):
        with Stack(partitions=2) as s:
            s.start_all()
            for kind in ("request", "response"):
                post(s, [f"a{i}" for i in range(20)], kind)
            s.wait_totals(requests=20, responses=20)
            for topic in ("llm.responses", "llm.requests"):
                s.topic_tool("delete", topic)
                processor = s.services["processor"]
                wait_reason(processor, topic, "does not exist")
                s.topic_tool("create", topic, 2, *TOPIC)
                wait_reason(processor, topic + ", partition 0", "the log ends at 0", "(and 1 more)")
            processor = start_over(s, ACCEPT_LOSS="1")
            processor.wait_ready()
            produce_to(s, "llm.requests", 0, ["b"])
            s.wait_totals(requests=21, responses=20)


if __name__ == "__main__":
    unittest.main()
