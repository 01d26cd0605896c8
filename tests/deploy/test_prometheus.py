# SPDX-License-Identifier: Apache-2.0
"""deploy/prometheus as it stands there, by Debian's promtool; that its tests notice each alert; and that each
alert has its page. That the services have what it names is tests/integration/test_self_metrics.py."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HERE = os.path.join(ROOT, "deploy", "prometheus")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def promtool(*args, cwd=HERE):
    return subprocess.run(["promtool", *args], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


class Prometheus(unittest.TestCase):
    ALERT = re.compile(r"^      - alert: (\w+)\n        expr: (.*?)\n(?=        (?:for|labels):)", re.M | re.S)

    def alerts(self):
        return [m.group(1) for m in self.ALERT.finditer(read("deploy", "prometheus", "alerts.yml"))]

    def result_with(self, expr):
        """promtool's result for the tests, where all alerts have another expression."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(HERE, "alerts_test.yml"), folder)
            with open(os.path.join(folder, "alerts.yml"), "w", encoding="utf-8") as f:
                f.write(self.ALERT.sub(lambda m: m.group(0).replace(m.group(2), expr),
                                       read("deploy", "prometheus", "alerts.yml")))
            self.assertEqual(promtool("check", "rules", "alerts.yml", cwd=folder).returncode, 0)
            return promtool("test", "rules", "alerts_test.yml", cwd=folder)

    def test_configuration_and_rules_are_valid(self):
        for what, file in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
            r = promtool("check", what, file)
            self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertEqual(len(self.alerts()), read("deploy", "prometheus", "alerts.yml").count("- alert:"))

    def test_alerts_fire_and_are_quiet_as_their_tests_say(self):
        r = promtool("test", "rules", "alerts_test.yml")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_an_alert_that_never_fires_is_noticed(self):
        r = self.result_with("vector(0) > 1")
        self.assertNotEqual(r.returncode, 0)
        missed = set(re.findall(r'exp:.*?alertname="(\w+)"', r.stdout + r.stderr, re.S))
        self.assertEqual(sorted(missed), sorted(self.alerts()))

    def test_an_alert_that_always_fires_is_noticed(self):
        r = self.result_with("vector(1)")
        self.assertNotEqual(r.returncode, 0)
        heard = set(re.findall(r'alertname="(\w+)"', r.stdout + r.stderr))
        self.assertEqual(sorted(heard), sorted(self.alerts()))

    def test_each_alert_says_how_bad_it_is_and_where_its_page_is(self):
        text = read("deploy", "prometheus", "alerts.yml")
        pages = set()
        for name, rule in zip(self.alerts(), text.split("- alert:")[1:]):
            self.assertRegex(rule, r"severity: (critical|warning)\b", name)
            for what in ("summary", "description"):
                self.assertRegex(rule, rf"\n          {what}: \S", name)
            page = re.search(r"runbook_url: (deploy/runbooks/[a-z-]+\.md)\n", rule).group(1)
            self.assertIn(f"`{name}`", read(page), name)
            pages.add(os.path.basename(page))
        index = read("deploy", "runbooks", "README.md")
        for page in os.listdir(os.path.join(ROOT, "deploy", "runbooks")):
            if page != "README.md":
                self.assertIn(f"]({page})", index)
        for page in pages:
            self.assertIn(f"]({page})", index)


if __name__ == "__main__":
    unittest.main()
