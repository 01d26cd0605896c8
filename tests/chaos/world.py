# SPDX-License-Identifier: Apache-2.0
"""The installation under test: the services, each processor behind a port of the proxy, and what is known of them
while they are killed and started again."""
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

from pg_proxy import PgProxy
from stack import Stack, freeze, wait_for

SESSION_MS = 6_000
PARTITIONS = 4
TENANTS = ("acme", "globex", "initech")
PROBE = "probe"  # a tenant of its own: how long until what is sent shows
STEADY = ("processor-1", "processor-2", "processor-3")
APIS = ("ingest-api", "metrics-api")
GUESTS = ("processor-4", "processor-5", "processor-6")  # with them there are more than partitions


class World:
    """own: the broker and the database (start, pid, kill). say: prints a line with the time."""

    def __init__(self, own, seed, say, ttl_ms, skew_ms):
        self.own, self.say, self.ttl_ms, self.skew_ms = own, say, ttl_ms, skew_ms
        self.random = random.Random(f"{seed} world")
        self.stack = Stack(brokers=own.brokers, pg_dsn=own.pg_dsn, partitions=PARTITIONS, env={
            "JOIN_TTL_MS": str(ttl_ms), "JOIN_SKEW_MS": str(skew_ms), "SESSION_TIMEOUT_MS": str(SESSION_MS),
            "AUTH": "key", "AUTH_REFRESH_MS": "1000", "ACK_TIMEOUT_MS": "3000"})
        self.proxy = PgProxy(own.pg_port)
        self.flush_ms = {n: self.random.randrange(200, 1000) for n in STEADY + GUESTS}
        self.keys, self.peaks = {}, {}
        self.lock = threading.Lock()
        self.held = set()  # what faults have to themselves: names of services, "postgres", "broker"
        self.off = set()   # processors that are meant not to run
        self.deaths = []   # of those that were
        self.down = threading.Event()

    # ---- life ----

    def __enter__(self):
        s = self.stack
        s.sql("CREATE DATABASE " + s.id, dsn=s.admin_dsn)
        s.setup()
        for pinned in ("JOIN_TTL_MS", "JOIN_SKEW_MS"):
            del s.env[pinned]  # may change
        for tenant in (*TENANTS, PROBE):
            self.keys[tenant] = s.key(f"--tenant={tenant}", "--scope=ingest,read", "--name=chaos")
        for n in STEADY + GUESTS:
            self.proxy.add(n, lambda n=n: s.services[n].process.pid)
        for n in APIS:
            s.start(n, ready=False)
        for n in STEADY:
            self.start(n)
        for service in s.services.values():
            service.wait_ready(60)
        threading.Thread(target=self.measure, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.down.set()
        for service in self.stack.services.values():
            if service.process.poll() is None:
                service.kill()  # a stopped one as well

    def start(self, name, failpoint=None):
        """A processor, as a static or a dynamic member of the group. One that is to die at a call of the publisher
        (tests/support/failpoints.c) comes first by its id, and with that has partition 0."""
        port = self.proxy.clients[name].port
        env = {"POSTGRES_DSN": self.stack.dsn.replace(f":{self.own.pg_port}/", f":{port}/"),
               "FLUSH_INTERVAL_MS": str(self.flush_ms[name])}
        if self.random.random() < 0.5:
            env["GROUP_INSTANCE_ID"] = ""
        if failpoint:
            env.update(STREAMLENS_FAILPOINT=failpoint, GROUP_INSTANCE_ID="a-" + name)
        self.stack.start(name, program="processor-failpoints" if failpoint else None, env=env, ready=False)
        self.expect_life(name)

    def pid(self, name):
        return self.own.pid(name) if name in ("kafka", "postgres") else self.stack.services[name].process.pid

    def is_alive(self, name):
        service = self.stack.services.get(name)
        return service is not None and service.process.poll() is None

    def expect_end(self, name):
        """Whatever ends the processor from now on is meant; it is alive until then."""
        if not self.is_alive(name):
            self.note_death(name)
        with self.lock:
            self.off.add(name)

    def expect_life(self, name):
        with self.lock:
            self.off.discard(name)

    def note_death(self, name):
        service = self.stack.services[name]
        self.deaths.append(f"{name} ended with {service.process.returncode}: {service.log()[-1500:]}")
        self.say("ENDED BY ITSELF", self.deaths[-1])

    def kill(self, name):
        self.expect_end(name)
        self.look_at(name)
        self.stack.services[name].kill()

    def leave(self, name):
        """SIGTERM; the exit code, which is to be 0."""
        self.expect_end(name)
        self.look_at(name)
        try:
            code = self.stack.services[name].terminate(60)
        except subprocess.TimeoutExpired:
            code = "no end within 60 s of SIGTERM"
            self.stack.services[name].kill()
        log = self.stack.services[name].log()
        not_begun = code == -signal.SIGTERM and not log  # it has no handler before its first line
        if code != 0 and not not_begun:
            self.deaths.append(f"{name} after SIGTERM: {code}\n{log[-1500:]}")
        return code

    @contextlib.contextmanager
    def frozen(self, name):
        """The process stands still inside `with`; whoever kills it meanwhile may."""
        pid = self.pid(name)
        freeze(pid)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def services_up(self):
        """Starts what of broker and database does not run. A killed PostgreSQL's children may be in the way for a
        moment."""
        def up():
            try:
                self.own.run("up")
                return True
            except AssertionError:
                return False
        wait_for(up, "broker and database", 120, 0.5)

    # ---- what faults have to themselves ----

    def take(self, wanted, r):
        """The names of what is wanted ("a processor" is one that is free), or None."""
        with self.lock:
            got = []
            for what in wanted:
                if what == "a processor":
                    free = [n for n in STEADY if n not in self.held and n not in got]
                    what = r.choice(free) if free else None
                if what is None or what in self.held:
                    return None
                got.append(what)
            self.held.update(got)
            return got

    def give_back(self, names):
        with self.lock:
            self.held.difference_update(names)

    # ---- looking ----

    def patrol(self):
        """What ended by itself is a finding, and is started again."""
        for n in (*STEADY, *APIS):
            with self.lock:
                meant = n in self.off or n in self.held
            if not meant and not self.is_alive(n):
                self.note_death(n)
                if n in APIS:
                    self.stack.start(n, ready=False).wait_port()
                else:
                    self.start(n)

    def look_at(self, name):
        """Its greatest memory so far, in bytes."""
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.pid(name)}/status", encoding="ascii", errors="replace") as f:
                peak = next((int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM")), 0)
            kind = name.rpartition("-")[0] if name.startswith("processor") else name
            self.peaks[kind] = max(self.peaks.get(kind, 0), peak)

    def measure(self):
        while not self.down.wait(1):
            for n in (*list(self.stack.services), "kafka", "postgres"):
                self.look_at(n)

    def sql(self, statement):
        """Past the proxy; None where the database is away."""
        try:
            return self.stack.sql(statement)
        except (AssertionError, subprocess.TimeoutExpired):
            return None
