# SPDX-License-Identifier: Apache-2.0
"""How long until what is sent now can be read: a pair of events in each of some partitions, in a window of their
own."""
import json
import time

from stack import wait_for
from traffic import Client, id_in
from world import PROBE

ROUTE, MODEL = "/probe", "house-small"


class Probe:
    def __init__(self, world, ledger, base_s, partitions):
        self.client, self.world, self.partitions = Client(world, ledger), world, partitions
        self.serial, self.base_s = 0, base_s

    def items(self):
        at_ms = (self.base_s + 60 * self.serial) * 1000
        for partition in self.partitions:
            request_id = id_in(partition, f"probe-{self.serial}")
            yield "request", request_id, json.dumps({
                "type": "request", "request_id": request_id, "route": ROUTE, "model": MODEL, "timestamp": at_ms})
            yield "response", request_id, json.dumps({
                "type": "response", "request_id": request_id, "timestamp": at_ms, "completion_tokens": 1})

    def seconds(self, within):
        """From now until all of a new probe is counted as answered."""
        self.serial += 1
        began = time.monotonic()
        self.client.post(PROBE, list(self.items()))
        wait_for(self.is_counted, f"probe {self.serial} in the rows", within, 0.1)
        return time.monotonic() - began

    def is_counted(self):
        got = self.world.sql(
            "SELECT m.responses FROM llm_minute m JOIN llm_series s USING (series_id) WHERE s.tenant_id ="
            f" '{PROBE}' AND m.window_start = to_timestamp({self.base_s + 60 * self.serial})")
        return got == str(len(self.partitions))
