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
    """Asks in POST form, on one connection."""

    def __init__(self, port, headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {**FORM, **(headers or {})}

    def ask(self, endpoint, **params):
        """(status, decoded answer)"""
        body = urllib.parse.urlencode(params, doseq=True)
        self.connection.request("POST", "/api/v1/" + endpoint, body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self.connection.close()
