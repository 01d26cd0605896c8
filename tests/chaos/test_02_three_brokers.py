# SPDX-License-Identifier: Apache-2.0
"""The same on three brokers, where leaders are lost; and with two of three gone ingest-api answers 503, never 202,
until they are back."""
import unittest

import faults
import runs
from storm import Storm
from three_brokers import ThreeBrokers


class ThreeBrokerStorm(Storm):
    ttl_ms, skew_ms = 6_000, 2_000


class Replicated(unittest.TestCase):
    def test_storm(self):
        seed = runs.seed_of_run()
        own = ThreeBrokers(runs.state(), *runs.ports(), seed)
        self.addCleanup(runs.end, own)
        report = runs.run_storm(self, own, seed, runs.seconds_of_run() / 6, ThreeBrokerStorm,
                                first=("broker killed", faults.TWO_LOST))
        self.assertGreater(report.done[faults.TWO_LOST], 0)


if __name__ == "__main__":
    unittest.main()
