# SPDX-License-Identifier: Apache-2.0
"""What the tests of this directory share: a storm with the settings of the environment."""
import contextlib
import os
import secrets
import shutil

from stack import needed
from storm import Storm

KAFKA_PORT, PG_PORT = 70, 73  # from SL_PORT_BASE on; three brokers take up to 84


def seed_of_run():
    return os.environ.get("CHAOS_SEED") or str(secrets.randbelow(10**9))


def seconds_of_run():
    return 60 * float(os.environ.get("CHAOS_MINUTES", "1.5"))


def ports():
    base = int(needed("SL_PORT_BASE"))
    return base + KAFKA_PORT, base + PG_PORT


def state():
    """Of the broker and the database; ports keep those apart that run at the same time."""
    return os.path.join(needed("SL_TMP"), f"chaos-{ports()[0]}")


def run_storm(test, own, seed, seconds, storm=Storm, **kw):
    """Fails the test with every finding, and says how to see it again."""
    folder = os.path.join(needed("SL_TMP"), f"{storm.__name__.lower()}-{seed}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    report = storm(own, seed, seconds, float(os.environ.get("CHAOS_PAIRS_PER_S", "150")), folder, **kw).run()
    text = report.text()
    with open(os.path.join(folder, "report.txt"), "w", encoding="utf-8") as f:
        f.write(text + "\n")
    print(text, flush=True)
    test.assertEqual(report.findings, [], f"CHAOS_SEED={seed}; topics and report are in {folder}")
    shutil.rmtree(os.path.join(folder, "tape"))
    return report


def end(own):
    """No farewell: nobody needs what is in there."""
    for name in ("kafka", "postgres"):
        with contextlib.suppress(OSError):  # a fault may have ended it
            own.kill(name, 9)
    own.run("down", "--wipe")
