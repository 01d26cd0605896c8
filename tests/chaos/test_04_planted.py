# SPDX-License-Identifier: Apache-2.0
"""The storm sees what it is to see: with a bug planted in the processor, storms as short as that of the default run
fail within minutes."""
import os
import shutil
import unittest

import runs
from own_services import OwnServices
from planted import plant
from stack import needed
from storm import Storm

ATTEMPTS = 4  # seeds


class PlantedBugs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.own = OwnServices(runs.state(), *runs.ports())
        cls.addClassCleanup(runs.end, cls.own)

    def expect_findings(self, mutant):
        folder = os.path.join(needed("SL_TMP"), "planted-" + mutant)
        shutil.rmtree(folder, ignore_errors=True)
        build = os.environ["SL_BUILD"]
        self.addCleanup(os.environ.__setitem__, "SL_BUILD", build)
        os.environ["SL_BUILD"] = plant(mutant, needed("SL_BUILD"), folder)
        for attempt in range(1, ATTEMPTS + 1):
            report = Storm(self.own, f"{runs.seed_of_run()}-{attempt}", 90, 150, f"{folder}/run-{attempt}").run()
            print(f"{mutant}, seed {report.seed}: {len(report.findings)} findings", *report.findings[:5], sep="\n  ")
            if report.findings:
                return
        self.fail(f"{ATTEMPTS} storms did not notice {mutant}")

    def test_rows_in_and_the_position_in_another_transaction(self):
        self.expect_findings("position_in_its_own_transaction")

    def test_a_replay_that_reaches_back_too_little(self):
        self.expect_findings("one_times_horizon")


if __name__ == "__main__":
    unittest.main()
