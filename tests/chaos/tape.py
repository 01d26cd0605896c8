# SPDX-License-Identifier: Apache-2.0
"""The two input topics on disk, record by record, so that the oracle can read also what the broker has deleted by
then."""
import json
import os
import subprocess

TOPICS = ("llm.requests", "llm.responses")


class Tape:
    """One file a topic-partition, in kcat's JSON envelopes."""

    def __init__(self, folder, brokers, prefix):
        self.folder, self.brokers, self.prefix = folder, brokers, prefix
        self.next = {}
        os.makedirs(folder)  # none of another run

    def path(self, topic, partition):
        return os.path.join(self.folder, f"{topic}-{partition}.json")

    def extend(self, logs):
        """Adds to each (topic, partition) what was appended since, up to the present ends."""
        sizes, readers = {}, []
        for topic, partition in logs:
            path = self.path(topic, partition)
            sizes[topic, partition] = os.path.getsize(path) if os.path.exists(path) else 0
            with open(path, "ab") as f:
                # Of a log that grows, the end shows only to who does not wait for more.
                readers.append(subprocess.Popen(
                    ["kcat", "-C", "-q", "-e", "-J", "-X", "fetch.wait.max.ms=5", "-b", self.brokers, "-t",
                     self.prefix + topic, "-p", str(partition), "-o", str(self.next.get((topic, partition), 0))],
                    stdout=f, stdin=subprocess.DEVNULL))
        for reader in readers:
            if reader.wait(300) != 0:
                raise AssertionError(f"{reader.args} failed")
        for log, size in sizes.items():
            self.next[log] = self.read_back(log, size)

    def read_back(self, log, size):
        """The next offset; they may have gaps, but never go back."""
        at = self.next.get(log, 0)
        with open(self.path(*log), "rb") as f:
            f.seek(size)
            for line in f:
                offset = json.loads(line)["offset"]
                if offset < at:
                    raise AssertionError(f"{log}: {offset} after {at - 1}")
                at = offset + 1
        return at

    def records(self, topic, partition):
        with open(self.path(topic, partition), "rb") as f:
            for line in f:
                yield json.loads(line)


def headers_of(record):
    h = record.get("headers") or []
    return dict(zip(h[::2], h[1::2]))
