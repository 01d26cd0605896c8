# SPDX-License-Identifier: Apache-2.0
"""What llm.metrics promises, held against the log and the database: each publication once, in order, and the
last one of a row equal to it."""
import base64
import collections
import datetime
import decimal
import json
import urllib.parse
import zlib

VIEW_ONLY = {"created_at", "usage"}


def numbers(text):
    return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def micros(text):
    t = datetime.datetime.fromisoformat(text)
    return (t - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def histogram(text):
    """The uncompressed encoding inside the compressed one: its length stands behind the cookie."""
    raw = base64.b64decode(text, validate=True)
    assert raw[:4] == bytes.fromhex("1c849314") and int.from_bytes(raw[4:8], "big") == len(raw) - 8, text
    return zlib.decompress(raw[8:])


def comparable(name, value):
    """A field of a record, or of the view's row as JSON, in a form of which equal ones are equal."""
    if value is None:
        return None
    if name in ("window_start", "window_end", "updated_at"):
        return micros(value)
    if name.endswith("_decimal"):
        return decimal.Decimal(value)
    if name.endswith("_hdr"):
        return bytes.fromhex(value[2:]) if value.startswith("\\x") else histogram(value)
    if isinstance(value, decimal.Decimal) and value != value.to_integral_value():
        return float(value)  # which may have two texts of seventeen digits
    return value


def expected_key(record):
    return "|".join(record[n].replace("%", "%25").replace("|", "%7C") for n in ("tenant_id", "route", "model"))


class Published:
    """The topic as a read_committed consumer has it at the moment."""

    def __init__(self, stack):
        self.stack = stack
        self.envelopes = stack.consume("llm.metrics", "read_committed")
        self.records = [numbers(r["payload"]) for r in self.envelopes]
        self.sequences = sorted(int(r["publish_seq"]) for r in self.records)
        self.by_row = collections.defaultdict(list)  # in the log's order: a key has one partition
        for envelope, record in zip(self.envelopes, self.records):
            self.by_row[envelope["key"], record["window_start"]].append(record)

    def problems(self):
        """What no moment may show."""
        wrong = []
        if self.sequences != list(range(1, len(self.sequences) + 1)):
            counts = collections.Counter(self.sequences)
            missing = sorted(set(range(1, max(counts) + 1)) - set(counts))
            wrong.append(f"twice: {[s for s, n in counts.items() if n > 1][:9]}, missing: {missing[:9]}")
        for envelope, record in zip(self.envelopes, self.records):
            headers = ["content-type", "application/json", "schema-version", "1"]
            found = (envelope["key"], envelope["ts"] * 1000, envelope["tstype"], envelope["headers"])
            wanted = (expected_key(record), micros(record["window_end"]), "create", headers)
            if found != wanted:
                wrong.append(f"sequence {record['publish_seq']}: {found} instead of {wanted}")
        for row, records in self.by_row.items():
            order = [(r["publish_seq"], r["revision"]) for r in records]
            if any(a[0] >= b[0] or a[1] > b[1] for a, b in zip(order, order[1:])):
                wrong.append(f"{row}: {order}")
        return wrong

    def differences(self):
        """Between the last record of each row of a closed window and the row; empty once all is published."""
        rows = numbers(self.stack.sql("SELECT coalesce(json_agg(x), '[]') FROM llm_metrics x JOIN llm_window w"
                                      " USING (window_start) WHERE w.closed_at IS NOT NULL"))
        last = {(row, micros(start)): records[-1] for (row, start), records in self.by_row.items()}
        wrong = []
        for row in rows:
            identity = (expected_key(row), micros(row["window_start"]))
            record = last.pop(identity, None)
            if record is None:
                wrong.append(f"{identity}: not published")
                continue
            if set(record) != set(row) - VIEW_ONLY:
                wrong.append(f"{identity}: fields {set(record) ^ set(row)}")
            wrong += [f"{identity}: {n} is {record[n]} instead of {row[n]}" for n in record
                      if comparable(n, record[n]) != comparable(n, row.get(n))]
        return wrong + [f"{identity}: no such row" for identity in last]

    def aborted(self):
        """How many records a read_uncommitted consumer sees beside these, about now."""
        return len(self.stack.consume("llm.metrics", "read_uncommitted")) - len(self.records)

    def progress(self):
        """As the progress topic says it last."""
        return json.loads(self.stack.consume("llm.metrics.progress", "read_committed")[-1]["payload"])["publish_seq"]
