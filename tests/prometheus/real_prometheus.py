# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus on samples that it is given, and a client for its API and for ours."""
import http.client
import json
import os
import subprocess
import urllib.parse

from expected_samples import openmetrics
from stack import http_call, wait_for

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class RealPrometheus:
    """Holds these samples and scrapes nothing. To be entered."""

    def __init__(self, folder, port, samples):
        self.folder, self.port, self.process = folder, port, None
        os.makedirs(folder)
        text = os.path.join(folder, "samples.txt")
        with open(text, "w", encoding="utf-8") as f:
            f.writelines(openmetrics(samples))
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=96h",
                        text, os.path.join(folder, "data")], check=True, timeout=120)
        os.unlink(text)

    def __enter__(self):
        config = os.path.join(self.folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("global: {scrape_interval: 1h}\n")
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder}/data",
                 "--storage.tsdb.retention.time=10y", "--query.lookback-delta=299999ms",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"], stdout=log, stderr=log)
        wait_for(self.is_ready, "Prometheus", 60)
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"Prometheus ended: see {self.folder}/log"
        try:
            return http_call(self.port, "GET", "/-/ready")[0] == 200
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Client:
    """Asks on one connection."""

    def __init__(self, port):
        self.connection, self.asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0

    def ask(self, endpoint, **params):
        """(status, decoded answer), in POST form as Grafana, or now and then as a GET."""
        self.asked += 1
        return self.get(endpoint, **params) if self.asked % 4 == 0 else self.send("POST", endpoint, **params)

    def get(self, endpoint, **params):
        return self.send("GET", endpoint, **params)

    def send(self, method, endpoint, **params):
        path, form = "/api/v1/" + endpoint, urllib.parse.urlencode(params, doseq=True)
        if method == "GET":
            self.connection.request(method, f"{path}?{form}")
        else:
            self.connection.request(method, path, form, FORM)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self.connection.close()
