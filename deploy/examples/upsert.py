#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps a table of one's own up to date from llm.metrics: upsert by (key, window_start), the greatest
publish_seq wins. Here SQLite; in PostgreSQL the statement is the same. Reads what is there and ends; run
again, it goes on where it stopped.

    upsert.py BROKERS TOPIC metrics.db"""
import json
import sqlite3
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

TABLES = """
    CREATE TABLE IF NOT EXISTS metrics (key TEXT, window_start TEXT, publish_seq INTEGER, requests INTEGER,
        errors INTEGER, p95_latency_ms REAL, PRIMARY KEY (key, window_start));
    CREATE TABLE IF NOT EXISTS position (topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition));
"""
# What is read again changes nothing.
UPSERT = """
    INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key, window_start) DO UPDATE SET publish_seq = excluded.publish_seq,
        requests = excluded.requests, errors = excluded.errors, p95_latency_ms = excluded.p95_latency_ms
    WHERE excluded.publish_seq > metrics.publish_seq
"""


def main(brokers, topic, path):
    db = sqlite3.connect(path)
    db.executescript(TABLES)
    known = dict(db.execute("SELECT partition, next FROM position WHERE topic = ?", [topic]))
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "not-used", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True,
                         "auto.offset.reset": "earliest"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, known.get(p, OFFSET_BEGINNING)) for p in partitions])
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
            row = json.loads(message.value())
            db.execute(UPSERT, [message.key().decode(), row["window_start"], row["publish_seq"], row["requests"],
                                row["errors"], row["p95_latency_ms"]])
            db.execute("INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                       [topic, message.partition(), message.offset() + 1])
    # Rows and position in one transaction. Where they cannot be, the position comes last: what is read twice
    # changes nothing.
    db.commit()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
