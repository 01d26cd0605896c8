# SPDX-License-Identifier: Apache-2.0
"""Through CHAOS_MINUTES of every fault at random (1.5; seed CHAOS_SEED, else a new one) every event that was
acknowledged is counted once, or lies in the dead-letter topic: rows, hours and dead letters equal an oracle over the
whole log, and the identities hold against the ledger of what was sent."""
import unittest

import runs
from own_services import OwnServices


class TheStorm(unittest.TestCase):
    def test_storm(self):
        own = OwnServices(runs.state(), *runs.ports())
        self.addCleanup(runs.end, own)
        runs.run_storm(self, own, runs.seed_of_run(), runs.seconds_of_run())


if __name__ == "__main__":
    unittest.main()
