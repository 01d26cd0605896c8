#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/systemd, by systemd's own checker in a root directory of the test's own. Nothing is started."""
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from program_settings import PROGRAMS, ROOT, check_config, unknown

UNITS = ROOT / "deploy/systemd"
COMMON = UNITS / "common.conf"
INSTANCE = "streamlens-processor@processor-1.service"
SERVICES = {"streamlens-ingest-api.service": "ingest-api", "streamlens-metrics-api.service": "metrics-api",
            "streamlens-processor@.service": "processor", "streamlens-setup.service": "admin",
            "streamlens-retention.service": "admin"}
# Tenths, as systemd counts: what is left is the network, which the services are for.
EXPOSURE = 11


def run(*command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return r.returncode, r.stdout


def values(path, key):
    return re.findall(rf"^{key}=(.*)$", path.read_text(encoding="utf-8"), re.M)


def environment(unit):
    """All variables that the unit sets, as systemd would hand them over; files are looked at by the caller."""
    pairs = [v.split("=", 1) for path in (COMMON, UNITS / unit) for v in values(path, "Environment")]
    return {name: value.replace("%i", "processor-1") for name, value in pairs}


def sample_settings(commented):
    lines = (UNITS / "streamlens.env").read_text(encoding="utf-8").splitlines()
    pattern = r"#?([A-Z_]+)=(.*)" if commented else r"([A-Z_]+)=(.*)"
    return dict(m.groups() for m in (re.fullmatch(pattern, line) for line in lines) if m)


class Units(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="streamlens-units-"))
        self.addCleanup(shutil.rmtree, self.root)
        for folder in ("usr/lib/systemd/system", "usr/local/bin"):
            (self.root / folder).mkdir(parents=True)
        for target in Path("/lib/systemd/system").glob("*.target"):
            shutil.copy(target, self.root / "usr/lib/systemd/system")
        shutil.copytree(UNITS, self.root / "etc/systemd/system")
        (self.root / "etc/systemd/system/streamlens-.service.d").mkdir()
        shutil.copy(COMMON, self.root / "etc/systemd/system/streamlens-.service.d")
        for program in PROGRAMS:
            path = self.root / "usr/local/bin" / f"streamlens-{program}"
            path.write_text("#!/bin/sh\n", encoding="ascii")
            path.chmod(0o755)

    def test_each_service_is_known_here(self):
        self.assertEqual({p.name for p in UNITS.glob("*.service")}, set(SERVICES))

    def test_systemd_has_nothing_against_them(self):
        units = sorted(str(p) for p in (self.root / "etc/systemd/system").iterdir()
                       if p.suffix in (".service", ".timer"))
        status, said = run("systemd-analyze", "verify", f"--root={self.root}", "--man=no", *units)
        self.assertEqual((status, said), (0, ""))  # a key that it does not know is only said

    def test_hardening(self):
        for unit in SERVICES:
            with self.subTest(unit):
                name = INSTANCE if "@" in unit else unit
                status, said = run("systemd-analyze", "security", "--no-pager", "--offline=true",
                                   f"--threshold={EXPOSURE}", f"--root={self.root}", name)
                self.assertEqual(status, 0, said)

    def test_programs_and_settings(self):
        folder = self.root / "credentials"
        folder.mkdir()
        (folder / "postgres_dsn").write_text("postgres://streamlens@127.0.0.1/streamlens", encoding="ascii")
        for unit, program in SERVICES.items():
            with self.subTest(unit):
                command, = values(UNITS / unit, "ExecStart")
                self.assertEqual(command.split()[0], f"/usr/local/bin/streamlens-{program}")
                own = environment(unit)
                self.assertEqual(unknown(program, own), [])
                # What is named as a credential is where the variable says that it is.
                credentials = [v.split(":")[0] for v in values(COMMON, "LoadCredential")]
                self.assertEqual([v.removeprefix("%d/") for v in own.values() if v.startswith("%d/")], credentials)
                own = {name: value.replace("%d", str(folder)) for name, value in own.items()}
                self.assertEqual(check_config(program, {**sample_settings(commented=False), **own}), "")

    def test_sample_settings(self):
        for name in sample_settings(commented=True):
            self.assertTrue(any(not unknown(program, [name]) for program in PROGRAMS), name)
        self.assertEqual(check_config("ingest-api", sample_settings(commented=True)), "")

    def test_watchdog(self):
        """A service that says READY=1 and beats is one that systemd listens to, and starts again."""
        for unit, program in SERVICES.items():
            want = ["notify"] if program != "admin" else ["oneshot"]
            self.assertEqual(values(UNITS / unit, "Type"), want, unit)
            self.assertEqual(bool(values(UNITS / unit, "WatchdogSec")), program != "admin", unit)
            self.assertEqual(values(UNITS / unit, "Restart"), ["always"] if program != "admin" else [], unit)

    def test_no_secret_in_a_unit(self):
        for path in [*UNITS.glob("*.service"), COMMON, UNITS / "streamlens.env"]:
            self.assertNotRegex(path.read_text(encoding="utf-8"), r"postgres(ql)?://|(?i:password)=")


if __name__ == "__main__":
    unittest.main()
