# SPDX-License-Identifier: Apache-2.0
"""Through CHAOS_MINUTES of every fault at random (1.5; seed CHAOS_SEED, else a new one) every event that was
acknowledged is counted once, or lies in the dead-letter topic: rows, hours and dead letters equal an oracle over the
whole log, and the identities hold against the ledger of what was sent."""
import os
import secrets
import shutil
import unittest

from own_services import OwnServices
from stack import needed
from storm import Storm


class TheStorm(unittest.TestCase):
    def test_storm(self):
        needed("SL_BUILD")
        base = int(needed("SL_PORT_BASE"))
        seed = os.environ.get("CHAOS_SEED") or str(secrets.randbelow(10**9))
        folder = os.path.join(needed("SL_TMP"), "chaos-" + seed)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        own = OwnServices(os.path.join(needed("SL_TMP"), "chaos"), base + 70, base + 73)
        self.addCleanup(own.run, "down", "--wipe")
        seconds = float(os.environ.get("CHAOS_MINUTES", "1.5")) * 60
        report = Storm(own, seed, seconds, float(os.environ.get("CHAOS_PAIRS_PER_S", "150")), folder).run()
        with open(os.path.join(folder, "report.txt"), "w", encoding="utf-8") as f:
            f.write(report.text() + "\n")
        print(report.text(), flush=True)
        self.assertEqual(report.findings, [], f"seed {seed}; logs, topics and report are in {folder}")


if __name__ == "__main__":
    unittest.main()
