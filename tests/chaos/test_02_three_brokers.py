# SPDX-License-Identifier: Apache-2.0
"""The same on three brokers, where leaders are lost; and with two of three gone ingest-api answers 503, never 202,
until they are back."""
import unittest

import faults
import runs
from three_brokers import ThreeBrokers


class Replicated(unittest.TestCase):
    def test_storm(self):
        seed = runs.seed_of_run()
        own = ThreeBrokers(runs.state(), *runs.ports(), seed)
        self.addCleanup(runs.end, own)
        report = runs.run_storm(self, own, seed, runs.seconds_of_run() / 3, first=("broker killed", faults.TWO_LOST))
        self.assertGreater(report.done[faults.TWO_LOST], 0)


if __name__ == "__main__":
    unittest.main()
