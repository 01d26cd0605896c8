#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""p99 of each model over one hour: the histograms of its minutes are merged. Percentiles themselves
cannot be: a mean of p99s is no p99.

    hour_p99.py BROKERS TOPIC 2026-11-21T06:00:00Z

Prints model, answers, p99 in ms; tab-separated."""
import collections
import datetime
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from hdrh.histogram import HdrHistogram

HOUR = datetime.timedelta(hours=1)


def records(brokers, topic, since_ms):
    """(key, value) of what is committed now, from the first record whose window ends at since_ms or later."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "not-used", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True,
                         "auto.offset.reset": "earliest"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    # A record's time is its window's end, so the broker knows where to begin. -1 is a partition's end.
    begin = consumer.offsets_for_times([TopicPartition(topic, p, since_ms) for p in partitions], timeout=10)
    consumer.assign(begin)
    reading = set(partitions)
    while reading:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("the broker gives nothing for 10 s")
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            reading.discard(message.partition())
        elif message.error():
            raise SystemExit(message.error())
        else:
            yield message.key(), json.loads(message.value())
    consumer.close()


def main(brokers, topic, hour):
    start = datetime.datetime.fromisoformat(hour.replace("Z", "+00:00"))
    last = {}
    for key, row in records(brokers, topic, int(start.timestamp() * 1000)):
        window = datetime.datetime.fromisoformat(row["window_start"].replace("Z", "+00:00"))
        if start <= window < start + HOUR:
            known = last.get((key, window))
            if known is None or row["publish_seq"] > known["publish_seq"]:
                last[key, window] = row

    answers = collections.Counter()
    merged = collections.defaultdict(lambda: HdrHistogram(1, 3600000000, 2))  # µs, up to an hour
    for row in last.values():
        answers[row["model"]] += row["responses"]
        if row["latency_hdr"]:
            merged[row["model"]].decode_and_add(row["latency_hdr"])
    for model in sorted(merged):
        print(model, answers[model], merged[model].get_value_at_percentile(99) / 1000, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
