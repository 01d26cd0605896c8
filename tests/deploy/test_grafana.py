# SPDX-License-Identifier: Apache-2.0
"""deploy/grafana as it stands there, without a Grafana: dashboards are what generate.py makes, whole, and ask for what
is there. That they show something is tests/e2e/test_60_grafana.py; provisioning is in tests/manifests."""
import glob
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from grafana_dashboards import ALL, FOLDER, ROOT, Asked, dashboards, label_values, panels, queries

WIDTH = 24
PANELS_MAX = 21
# Grafana's names of units, as far as they are used here.
UNITS = {"s", "ms", "short", "reqps", "percentunit", "currencyUSD", "bytes"}
SOURCES = {"prometheus", "grafana-postgresql-datasource"}
OWN = {"datasource"}  # variables that no query has to have
# Words of PromQL that stand where a metric's name might.
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "or", "and", "unless", "bool", "offset"}
LABELS_OF_ALL = {"tenant_id", "route", "model", "gen_ai_request_model", "service_name"}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def asked():
    names = {v["name"] for d in dashboards().values() for v in d["templating"]["list"]}
    return Asked(start=1700000000, end=1700021600, values=dict.fromkeys(names, ALL))


def expressions():
    """{dashboard/panel/refId: PromQL with variables put in}"""
    how = asked()
    found = {f"{name}/{panel['title']}/{t['refId']}": how.promql(panel, t)[0]
             for name, panel, t in queries("prometheus")}
    for name, dashboard in dashboards().items():
        for v in dashboard["templating"]["list"]:
            if v["type"] == "query" and v["datasource"]["type"] == "prometheus":
                found[f"{name}/{v['name']}"] = how.put_in(label_values(v)[0])
    return found


def names_in(expr):
    """(metrics, labels) that it names."""
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expr))
    expr = re.sub(r"\"[^\"]*\"|\[[^]]*\]", " ", expr)
    for group in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expr):
        labels |= {label.strip() for label in group.split(",") if label.strip()}
    expr = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)|\{[^}]*\}", " ", expr)
    words = re.findall(r"\b[A-Za-z_:][\w:]*\b(?!\s*\()", expr)
    return set(words) - WORDS, labels


def reference():
    """{metric: labels beyond those of all} of METRICS.md."""
    found = {}
    for cells in re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", read("metrics-api", "prometheus", "METRICS.md"), re.M):
        found.setdefault(cells[0], set()).update(re.findall(r"^`(\w+)`", cells[1]))
    return found


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.all = dashboards()

    def each(self):
        return [(dashboard, panel) for dashboard in self.all.values() for panel in panels(dashboard)]

    def test_they_are_what_generate_makes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, os.path.join(ROOT, "deploy", "grafana", "generate.py"), folder], check=True,
                           timeout=60, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
            made = {os.path.basename(p): read(p) for p in glob.glob(os.path.join(folder, "*"))}
        kept = {os.path.basename(p): read(p) for p in glob.glob(os.path.join(FOLDER, "*.json"))}
        self.assertEqual(sorted(made), sorted(kept))
        for name, text in made.items():
            self.assertEqual(text, kept[name], f"{name}: run deploy/grafana/generate.py")

    def test_each_dashboard_is_one_of_its_own(self):
        self.assertEqual(set(self.all), {"overview", "cost", "model", "tenant", "pipeline", "rows"})
        for field in ("uid", "title"):
            self.assertEqual(len({d[field] for d in self.all.values()}), len(self.all), field)
        for name, d in self.all.items():
            self.assertEqual(d["uid"], f"streamlens-{name}")
            self.assertLessEqual(len(d["uid"]), 40)  # Grafana takes no longer one
            self.assertGreaterEqual(d["schemaVersion"], 39)
            self.assertIsNone(d["id"])
            self.assertTrue(d["description"])
            self.assertLessEqual(len(panels(d)), PANELS_MAX, name)
            ids = [p["id"] for p in d["panels"]]
            self.assertEqual(len(set(ids)), len(ids))
            titles = [(p["type"], p["title"]) for p in panels(d)]
            self.assertEqual(len(set(titles)), len(titles), name)

    def test_panels_say_what_they_are(self):
        for _, panel in self.each():
            self.assertTrue(panel["title"])
            self.assertRegex(panel["description"], r"^.{15,}\.$", panel["title"])
            self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS, panel["title"])
            for one in panel["fieldConfig"]["overrides"]:
                for p in one["properties"]:
                    self.assertTrue(p["id"] != "unit" or p["value"] in UNITS, p)

    def test_panels_ask_the_source_that_is_chosen(self):
        for dashboard, panel in self.each():
            first = dashboard["templating"]["list"][0]
            self.assertEqual((first["name"], first["type"]), ("datasource", "datasource"))
            wanted = {"type": first["query"], "uid": "${datasource}"}
            self.assertIn(first["query"], SOURCES)
            self.assertTrue(panel["targets"])
            self.assertEqual("".join(t["refId"] for t in panel["targets"]), "ABCDEFGH"[:len(panel["targets"])])
            for one in (panel, *panel["targets"], *dashboard["templating"]["list"][1:]):
                self.assertEqual(one["datasource"], wanted, panel["title"])

    def test_the_sources_are_provisioned(self):
        text = read("deploy", "grafana", "provisioning", "datasources", "streamlens.yaml")
        provisioned = dict(re.findall(r"^    uid: (\S+)\n    type: (\S+)$", text, re.M))
        self.assertEqual(len(provisioned), text.count("- name:"))
        chosen = {d["templating"]["list"][0]["current"]["value"]: d["templating"]["list"][0]["query"]
                  for d in self.all.values()}
        self.assertEqual(chosen, provisioned)

    def test_panels_do_not_overlap(self):
        for name, d in self.all.items():
            taken = {}
            for p in d["panels"]:
                at = p["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], WIDTH, p["title"])
                for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
                    self.assertNotIn(cell, taken, f"{name}: {p['title']} and {taken.get(cell)}")
                    taken[cell] = p["title"]

    def test_no_step_is_shorter_than_a_window(self):
        """A shorter one would show the same minute several times; half a rate's points would be missing."""
        for dashboard, panel in self.each():
            if dashboard["templating"]["list"][0]["current"]["value"] == "llm-metrics":
                self.assertEqual(asked().step(panel) % 60, 0, panel["title"])
                for t in panel["targets"]:
                    self.assertTrue(t["instant"] or panel["interval"] == "1m", panel["title"])

    def test_an_instant_is_of_the_whole_range(self):
        """Else what it shows would depend on nothing but the last minutes."""
        for name, panel, t in queries("prometheus"):
            if t["instant"] and "timestamp(" not in t["expr"] and name != "pipeline":
                self.assertNotRegex(re.sub(r"\[\$__range\]", "", t["expr"]), r"\[", panel["title"])
                self.assertIn("[$__range]", t["expr"], panel["title"])
            if not t["instant"]:
                self.assertNotIn("[$__range]", t["expr"], panel["title"])

    def test_counters_are_rates_and_minutes_are_sums(self):
        for _, panel, t in queries("prometheus"):
            for function, metric in re.findall(r"(\w*)\((\w+)\{", t["expr"]):
                if metric.startswith("llm_minute_max_"):
                    self.assertEqual(function, "max_over_time", panel["title"])
                elif metric.startswith("llm_minute_"):
                    self.assertEqual(function, "sum_over_time", panel["title"])
                elif re.search(r"_(total|bucket|count|sum)$", metric):
                    self.assertIn(function, ("rate", "increase", "timestamp"), panel["title"])

    def test_links_lead_to_dashboards_and_variables(self):
        by_uid = {d["uid"]: {v["name"] for v in d["templating"]["list"]} for d in self.all.values()}
        links = re.findall(r"/d/([\w-]+)\?var-(\w+)=", json.dumps(self.all))
        self.assertGreater(len(links), 2)
        for uid, variable in links:
            self.assertIn(variable, by_uid[uid])


class Queries(unittest.TestCase):
    def test_promql_is_valid(self):
        """By Prometheus' own parser: JSON is YAML, and rules are expressions."""
        found = expressions()
        rules = [{"record": f"r:{i}", "expr": e} for i, e in enumerate(found.values())]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rules.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, f)
            r = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, timeout=60,
                               check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(f"{len(rules)} rules found", r.stdout)
        self.assertGreater(len(rules), 150)

    def test_every_variable_is_there_and_used(self):
        for name, dashboard in dashboards().items():
            listed = [v["name"] for v in dashboard["templating"]["list"]]
            known = set()
            for v in dashboard["templating"]["list"]:
                if v["type"] == "query":
                    self.assertEqual((v["refresh"], v["multi"]), (2, v["includeAll"]), v["name"])
                    text = v["query"]["query"] if isinstance(v["query"], dict) else v["query"]
                    self.assertLessEqual(set(re.findall(r"\$(\w+)", text)), known, "is asked for before it is known")
                    if v["includeAll"] and isinstance(v["query"], dict):
                        self.assertEqual(v["allValue"], ".*")
                known.add(v["name"])
            texts = " ".join(t.get("expr") or t["rawSql"] for p in panels(dashboard) for t in p["targets"])
            used = {n for n in re.findall(r"\$\{?(\w+)", texts) if not n.startswith("__")}
            self.assertEqual(used, set(listed) - OWN, name)

    def test_one_value_is_compared_and_several_are_matched(self):
        for name, dashboard in dashboards().items():
            several = {v["name"]: v.get("multi") for v in dashboard["templating"]["list"]}
            for panel in panels(dashboard):
                for t in panel["targets"]:
                    for operator, variable in re.findall(r"(=~|=)\"\$(\w+)\"", t.get("expr", "")):
                        self.assertEqual(operator == "=~", several[variable], f"{name}: {panel['title']}")

    def test_metrics_exist(self):
        """Of metrics-api, and of the services themselves; with their labels."""
        known = reference()
        self.assertGreater(len(known), 40)
        sources = "".join(read(p) for pattern in ("common/io/*.[ch]", "*/*_stats.[ch]")
                          for p in glob.glob(os.path.join(ROOT, pattern)))
        counted = 0
        for where, expr in expressions().items():
            metrics, labels = names_in(expr)
            counted += len(metrics)
            for metric in metrics - {"up", "ALERTS"}:
                if metric.startswith(("streamlens_", "process_")):
                    stem = re.sub(r"_(bucket|sum|count)$", "", metric)
                    self.assertRegex(sources, rf"\"{stem}[\"{{ ]", where)
                else:
                    self.assertIn(metric, known, where)
                    self.assertLessEqual(labels, LABELS_OF_ALL | {"le"} | known[metric], where)
        self.assertGreater(counted, 150)

    def test_names_are_found(self):
        self.assertEqual(names_in('sum by (le, a) (rate(x_bucket{b=~"c d"}[5m])) / on(e) f or vector(1) > 2'),
                         ({"x_bucket", "f"}, {"le", "a", "b", "e"}))

    def test_names_are_escaped_as_grafana_does(self):
        how = Asked(0, 3600, {"a": ["x.y", "z"], "b": ["x.y"], "c": 'q"', "d": ALL})
        self.assertEqual(how.put_in('{m=~"$a",n=~"${b}",o="$c",p=~"$d"}'),
                         '{m=~"(x\\\\.y|z)",n=~"x\\\\.y",o="q\\"",p=~".*"}')


if __name__ == "__main__":
    unittest.main()
