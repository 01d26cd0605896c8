#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes records of llm.metrics in Kafka transactions, as the publisher does: feed.py BROKERS TOPIC. Standard
input has a line a transaction: {"end": "commit" or "abort", "records": [{"partition", "key", "time_ms",
"value", "latencies_us"}]}. Not for people: runs with the libraries of deploy/examples."""
import json
import sys

from confluent_kafka import Producer
from hdrh.histogram import HdrHistogram


def encoded(latencies_us):
    h = HdrHistogram(1, 3600000000, 2)
    for us in latencies_us:
        h.record_value(us)
    return h.encode().decode() if latencies_us else None


def main(brokers, topic):
    producer = Producer({"bootstrap.servers": brokers, "transactional.id": topic + "-feed"})
    producer.init_transactions(30)
    for line in sys.stdin:
        transaction = json.loads(line)
        producer.begin_transaction()
        for r in transaction["records"]:
            producer.produce(topic, json.dumps({**r["value"], "latency_hdr": encoded(r["latencies_us"])}), r["key"],
                             partition=r["partition"], timestamp=r["time_ms"])
        producer.flush()  # so that also what is given up is in the log
        if transaction["end"] == "commit":
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)


if __name__ == "__main__":
    main(*sys.argv[1:])
