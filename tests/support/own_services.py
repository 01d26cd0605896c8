# SPDX-License-Identifier: Apache-2.0
"""A broker and a database that a test may stop and kill."""
import os
import subprocess

from stack import ROOT, needed, wait_for


class OwnServices:
    """Up once made, below SL_TMP/<name>; takes four ports from SL_PORT_BASE + `ports` on."""

    def __init__(self, name, ports):
        base = int(needed("SL_PORT_BASE")) + ports
        self.state = os.path.join(needed("SL_TMP"), name)
        self.kafka_port, self.pg_port = base, base + 3
        self.env = {**os.environ, "SL_STATE": self.state, "SL_KAFKA_PORT": str(self.kafka_port),
                    "SL_PG_PORT": str(self.pg_port), "SL_TMP": os.path.join(self.state, "tmp")}
        for name in ("SL_KAFKA_BROKERS", "SL_PG_DSN"):
            self.env.pop(name, None)
        out = self.run("up")
        for line in out.splitlines():
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
        with open(os.path.join(self.state, "run", name + ".pid"), encoding="ascii") as f:
            return int(f.read().split()[0])

    def kill(self, name, signal):
        pid = self.pid(name)
        os.kill(pid, signal)
        if signal in (9, 15):
            wait_for(lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), f"an end of {name}", 60)


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
