# SPDX-License-Identifier: Apache-2.0
"""A Grafana that has one data source, as far as promlib is one: promlib/main.go on a string. SL_GRAFANA is the
directory that `install` filled."""
import collections
import json
import os
import re
import subprocess

from stack import ROOT, needed

PROVISIONED = os.path.join(ROOT, "deploy", "grafana", "provisioning", "datasources", "streamlens.yaml")
# What a field of a frame has: its name, labels, how it is shown, and values; of times in ms.
Field = collections.namedtuple("Field", "name type labels shown values")
WORDS = {"true": True, "false": False}


def provisioned(uid, **environment):
    """(jsonData, secureJsonData) of a source in what deploy/grafana provisions, with variables put in."""
    with open(PROVISIONED, encoding="utf-8") as f:
        entry = next(e for e in f.read().split("\n  - name: ") if f"\n    uid: {uid}\n" in e)

    def read(section):
        block = re.search(rf"^    {section}:\n((?:      .*\n)*)", entry, re.M)[1]
        found = dict(re.findall(r"^      (\w+): (.*)$", block, re.M))
        return {name: WORDS.get(value, re.sub(r"\$(\w+)", lambda m: environment[m[1]], value))
                for name, value in found.items()}
    return read("jsonData"), read("secureJsonData")


class Grafana:
    def __init__(self, url, json_data, secure=None):
        program = os.path.join(needed("SL_GRAFANA"), "promlib-check")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(op="source", url=url, jsonData=json_data, secureJsonData=secure or {})

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)

    def health(self):
        answer = self.ask(op="health")
        return answer["status"], answer["message"]

    def queries(self, start, end, *targets, points=1000, interval_ms=60000, alert=False):
        """{refId: (error or None, status, frames)}; start and end in seconds since 1970, targets as panels'."""
        answer = self.ask(op="query", queries=targets, maxDataPoints=points, intervalMs=interval_ms, alert=alert,
                          **{"from": start * 1000, "to": end * 1000})
        assert "results" in answer, answer
        return {ref: (r.get("error"), r["status"], [Frame(f) for f in r.get("frames") or []])
                for ref, r in answer["results"].items()}

    def query(self, start, end, expr, **target):
        """The frames of one that succeeds. What a source sends without series is one frame without fields."""
        how = {name: target.pop(name) for name in ("points", "interval_ms", "alert") if name in target}
        error, _, frames = self.queries(start, end, {"refId": "A", "expr": expr, **target}, **how)["A"]
        assert error is None, (expr, error)
        return [f for f in frames if f.fields]

    def refused(self, start, end, expr, **target):
        """(text, HTTP status)"""
        error, status, _ = self.queries(start, end, {"refId": "A", "expr": expr, **target})["A"]
        return error, status

    def resource(self, method, path, query="", body=""):
        """(status, body as JSON)"""
        answer = self.ask(op="resource", method=method, path=path, query=query, body=body)
        assert "body" in answer, answer
        return answer["status"], json.loads(answer["body"])


class Frame:
    def __init__(self, frame):
        schema, values = frame["schema"], frame["data"]["values"]
        self.meta = schema.get("meta", {})
        self.fields = [Field(f["name"], f["type"], f.get("labels", {}),
                             f.get("config", {}).get("displayNameFromDS"), v)
                       for f, v in zip(schema["fields"], values)]

    def notices(self):
        return [n["text"] for n in self.meta.get("notices", [])]

    def times(self):
        assert self.fields[0].type == "time", self.fields
        return self.fields[0].values

    def value(self):
        """The only field beside the times."""
        assert len(self.fields) == 2 and self.fields[1].type == "number", self.fields
        return self.fields[1]
