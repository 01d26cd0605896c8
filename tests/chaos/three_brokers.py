# SPDX-License-Identifier: Apache-2.0
"""Three brokers, topics with three replicas of which two must have a record before it is acknowledged; and a
database. Node 1 is the controller too and is left alone: with it gone nothing could change hands. The jars are those
that the single broker of test-services was started with, which then ends."""
import os
import random
import re
import shutil
import signal
import subprocess

from own_services import OwnServices
from stack import ROOT, wait_for

LOCAL = os.path.join(ROOT, "deploy", "local")
NODES = (1, 2, 3)
HARMED = (2, 3)
CLUSTER_ID = "chaosAAAAAAAAAAAAAAAAA"
REPLICATED = """
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
replica.lag.time.max.ms=4000
"""


class ThreeBrokers:
    """Speaks as OwnServices does; its "kafka" is one of the brokers that may be harmed, another one each time."""

    def __init__(self, state, port, pg_port, seed):
        self.single = OwnServices(state, port, pg_port)
        self.single.kill("kafka", signal.SIGKILL)
        self.state, self.pg_port, self.pg_dsn = state, pg_port, self.single.pg_dsn
        self.random = random.Random(f"{seed} brokers")
        self.ports = {n: port + 10 + n for n in NODES}
        self.controller_port = port + 10
        self.brokers = ",".join(f"127.0.0.1:{p}" for p in self.ports.values())
        self.processes = {}
        self.java = self.find_java()
        for n in NODES:
            self.format(n)
        self.run("up")

    def find_java(self):
        script = f". {LOCAL}/lib.sh; . {LOCAL}/packages.sh; java_need >&2; printf %s \"$JAVA\""
        return subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout

    def command(self, *args):
        return [self.java, "-Xmx384m", f"-Dlog4j2.configurationFile={LOCAL}/log4j2.properties",
                "-cp", os.path.join(self.state, "kafka", "libs", "*"), *args]

    def home(self, node):
        return os.path.join(self.state, f"kafka-{node}")

    def format(self, node):
        shutil.rmtree(self.home(node), ignore_errors=True)
        os.makedirs(self.home(node))
        with open(os.path.join(LOCAL, "server.properties"), encoding="ascii") as f:
            text = f.read()
        text = text.replace("@KAFKA_PORT@", str(self.ports[node])).replace("@DATA@", self.home(node) + "/data")
        text = text.replace("@CONTROLLER_PORT@", str(self.controller_port))
        for name in re.findall(r"^([a-z.]+)=", REPLICATED, re.M):
            text = re.sub(rf"^{re.escape(name)}=.*\n", "", text, flags=re.M)
        text = text.replace("node.id=1", f"node.id={node}") + REPLICATED
        if node != 1:
            text = text.replace("roles=broker,controller", "roles=broker")
            text = text.replace(f",CONTROLLER://127.0.0.1:{self.controller_port}\n", "\n")
        with open(self.properties(node), "w", encoding="ascii") as f:
            f.write(text)
        subprocess.run(self.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                                    self.properties(node)), check=True, capture_output=True, timeout=120)

    def properties(self, node):
        return os.path.join(self.home(node), "server.properties")

    # ---- as OwnServices ----

    def run(self, *args):
        if args == ("up",):
            self.start_postgres()
            self.start_brokers()
            return
        for p in self.processes.values():
            p.kill()
            p.wait()
        self.single.run(*args)

    def start_postgres(self):
        script = (f". {LOCAL}/lib.sh; . {LOCAL}/packages.sh; . {LOCAL}/postgres.sh; STREAMLENS_HOME={self.state};"
                  f" PG_PORT={self.pg_port}; PG_SCRATCH=1; SAY_FD=2; postgres_start")
        r = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=120, check=False)
        if r.returncode != 0:
            raise AssertionError(r.stdout + r.stderr)

    def start_brokers(self):
        for n in NODES:
            if n not in self.processes or self.processes[n].poll() is not None:
                with open(os.path.join(self.home(n), "log"), "ab") as log:
                    self.processes[n] = subprocess.Popen(self.command("kafka.Kafka", self.properties(n)), stdout=log,
                                                         stderr=log, stdin=subprocess.DEVNULL)
        for n in NODES:
            wait_for(lambda n=n: self.described(n), f"broker {n}", 120, 0.5)
        # A topic's replicas that were away have to read what they missed before they count again.
        wait_for(self.all_in_sync, "all replicas in sync", 120, 0.5)

    def described(self, node):
        """What the broker itself says of the cluster, where all are in it."""
        r = subprocess.run(["kcat", "-b", f"127.0.0.1:{self.ports[node]}", "-L", "-m", "5"], capture_output=True,
                           text=True, timeout=30, check=False)
        return r.stdout if " 3 brokers:" in r.stdout else ""

    def all_in_sync(self):
        """Every partition lists as many replicas in sync as it has."""
        out = self.described(1)
        lists = re.findall(r"replicas: ([\d,]+), isrs: ([\d,]*)", out)
        return bool(out) and all(a.count(",") == b.count(",") for a, b in lists)

    def pid(self, name):
        return self.processes[self.random.choice(HARMED)].pid if name == "kafka" else self.single.pid(name)

    def kill(self, name, sig):
        if name == "kafka":
            self.kill_broker(self.random.choice(HARMED), sig)
        else:
            self.single.kill(name, sig)

    def kill_broker(self, node, sig=signal.SIGKILL):
        self.processes[node].send_signal(sig)
        self.processes[node].wait(60)
