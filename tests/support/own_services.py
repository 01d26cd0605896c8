# SPDX-License-Identifier: Apache-2.0
"""A broker and a database of a test's own, which it may freeze, kill and start again."""
import os
import subprocess

from stack import ROOT, wait_for


class OwnServices:
    """Below `state`, on ports of their own; started."""

    def __init__(self, state, kafka_port, pg_port):
        self.state, self.kafka_port, self.pg_port = state, kafka_port, pg_port
        self.env = {**os.environ, "SL_STATE": state, "SL_KAFKA_PORT": str(kafka_port),
                    "SL_PG_PORT": str(pg_port), "SL_TMP": os.path.join(state, "tmp")}
        for name in ("SL_KAFKA_BROKERS", "SL_PG_DSN"):
            self.env.pop(name, None)
        for line in self.run("up").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name == "SL_PG_DSN":
                self.pg_dsn = value
            elif name == "SL_KAFKA_BROKERS":
                self.brokers = value

    def run(self, *args):
        script = os.path.join(ROOT, "deploy", "local", "test-services")
        r = subprocess.run([script, *args], env=self.env, capture_output=True, text=True, timeout=300,
                           check=False)
        if r.returncode != 0:
            raise AssertionError(f"test-services {args}: {r.stdout}{r.stderr}")
        return r.stdout

    def pid(self, name):
        """Of kafka or postgres."""
        with open(os.path.join(self.state, "run", name + ".pid"), encoding="ascii") as f:
            return int(f.read().split()[0])

    def kill(self, name, signal):
        """Returns once the process is gone, where the signal ends it."""
        pid = self.pid(name)
        os.kill(pid, signal)
        if signal in (9, 15):
            wait_for(lambda: has_ended(pid), f"an end of {name}", 60)


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
