# SPDX-License-Identifier: Apache-2.0
"""A whole StreamLens for one scenario: its own database, topic prefix and services, on the broker and
database that the environment names (tests/README.md). Standard library only.

    with Stack(env={"JOIN_TTL_MS": "2000"}) as s:
        s.start_all()
        s.post("/v1/llm/request", {...})
        wait_for(lambda: s.rows(), "a row")
"""
import contextlib
import datetime
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import time
import unittest

ROOT = os.environ.get("SL_ROOT") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SERVICES = {"ingest-api": "ingest-api", "processor": "processor", "metrics-api": "metrics-api"}


def needed(name):
    value = os.environ.get(name)
    if not value:
        raise unittest.SkipTest(f"{name} is not set; see tests/README.md")
    return value


# Times what a machine needs that has nothing else to do: a busy one may be that much slower.
PATIENCE = 4


def comes(condition, seconds, every=0.05):
    """Polls until the condition gives something true, but for just these seconds; what it gave last."""
    deadline = time.monotonic() + seconds
    last = None
    while not last and time.monotonic() < deadline:
        last = condition()
        if not last:
            time.sleep(every)
    return last


def wait_for(condition, what, seconds=30.0, every=0.05):
    """Polls until the condition gives something true, and returns that; fails after PATIENCE times `seconds`, which
    so promise nothing: what must come soon is told from what comes late by other means than this one's end."""
    last = comes(condition, PATIENCE * seconds, every)
    if last:
        return last
    raise AssertionError(f"after {PATIENCE * seconds} s still no {what}; last seen: {last!r}")


def iso(epoch_s):
    """RFC 3339 in UTC, with the microseconds."""
    t = datetime.datetime.fromtimestamp(epoch_s, datetime.timezone.utc)
    return t.isoformat(timespec="microseconds").replace("+00:00", "Z")


class Service:
    """One process; its log is a file of JSON lines."""

    def __init__(self, name, program, env, log_path):
        self.name, self.log_path = name, log_path
        self.log_start = os.path.getsize(log_path) if os.path.exists(log_path) else 0
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen([program], env=env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.port = None

    def log(self):
        with open(self.log_path, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode("utf-8", "replace")

    def wait_port(self):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            for line in self.log().splitlines():
                if '"listening"' in line:
                    return int(re.search(r'"port":\s*"?(\d+)', line).group(1))
            return None
        self.port = wait_for(look, f"listening line of {self.name}", 20)
        return self.port

    def get(self, path, timeout=30):
        return http_call(self.port, "GET", path, timeout=timeout)

    def is_ready(self):
        try:
            return self.get("/readyz", 5)[0] == 200
        except OSError:
            return False

    def wait_ready(self, seconds=40):
        self.wait_port()
        wait_for(self.is_ready, f"readiness of {self.name}\n{self.log()[-2000:]}", seconds)

    def metric(self, name):
        """The value of one sample of /metrics, named with its labels as it is rendered."""
        for line in self.get("/metrics")[1].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no sample {name} in /metrics of {self.name}")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=90):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def freeze(pid):
    """SIGSTOP, and none of its threads runs any more: the signal alone returns while they still do. One that has
    ended, and whose parent is frozen already, runs no more either."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as f:
                    if f.read().rpartition(")")[2].split()[0] not in "TZX":
                        return False
            except FileNotFoundError:
                pass  # the thread has ended
        return True
    wait_for(stopped, f"process {pid} frozen", 10)


def http_call(port, method, path, body=None, headers=None, timeout=60):
    """One request on a connection of its own: (status, body bytes)."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


class Stack:
    def __init__(self, env=None, partitions=3, brokers=None, pg_dsn=None):
        self.build = needed("SL_BUILD")
        self.brokers = brokers or needed("SL_KAFKA_BROKERS")
        self.admin_dsn = pg_dsn or needed("SL_PG_DSN")
        self.tmp = needed("SL_TMP")
        self.id = "e2e" + secrets.token_hex(4)
        self.dsn = self.admin_dsn.rsplit("/", 1)[0] + "/" + self.id
        self.services = {}  # the last one of each name
        self.started = []
        self.env = {
            "PATH": os.environ["PATH"], "KAFKA_BROKERS": self.brokers,
            "POSTGRES_DSN": self.dsn + "?connect_timeout=60",  # streamlens-admin has 5 s
            "TOPIC_PREFIX": self.id + ".", "PARTITIONS": str(partitions), "HTTP_PORT": "0",
            "LOG_FORMAT": "json", "FLUSH_INTERVAL_MS": "300",
            # A busy machine may be slow with a query, and a client that is kept may be idle for long.
            "QUERY_TIMEOUT_MS": "30000", "HTTP_IDLE_TIMEOUT_MS": "3600000",
            **(env or {}),
        }
        self.prefix = self.env["TOPIC_PREFIX"]
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    # ---- life ----

    def __enter__(self):
        self.sql("CREATE DATABASE " + self.id, dsn=self.admin_dsn)
        self.setup()
        return self

    def __exit__(self, *_):
        for s in self.started:
            if s.process.poll() is None:
                s.kill()
        self.sql(f"DROP DATABASE {self.id} WITH (FORCE)", dsn=self.admin_dsn)

    def program(self, name):
        folder = {"admin": "deploy/admin", "processor-failpoints": "tests/integration"}.get(name, name)
        return os.path.join(self.build, folder, "streamlens-" + name)

    def admin(self, *args, env=None):
        return subprocess.run([self.program("admin"), *args], env={**self.env, **(env or {})},
                              capture_output=True, text=True, timeout=180, check=False)

    def setup(self):
        """Again where the broker or the database of a busy machine were not quick enough for it."""
        for _ in range(PATIENCE):
            r = self.admin("setup")
            if r.returncode == 0:
                return
            if not re.search("no answer|does not answer|does not show|timeout expired", r.stderr):
                break
        raise AssertionError(f"setup failed: {r.stdout}\n{r.stderr}")

    def key(self, *options):
        """Makes an API key, such as with --tenant=t --scope=ingest,read; its text."""
        r = self.admin("key", "create", *options)
        if r.returncode != 0:
            raise AssertionError(f"key create {options} failed: {r.stdout}\n{r.stderr}")
        return r.stdout.strip()

    def start(self, name, program=None, env=None, ready=True):
        """Starts (or starts again) a service under a name, such as processor-2 of program processor."""
        program = program or SERVICES[re.sub(r"-\d+$", "", name)]
        log = os.path.join(self.tmp, f"{self.id}-{name}.log")
        own = {"GROUP_INSTANCE_ID": name} if program == "processor" else {}
        s = Service(name, self.program(program), {**self.env, **own, **(env or {})}, log)
        self.services[name] = s
        self.started.append(s)
        if ready:
            s.wait_ready()
        return s

    def start_all(self):
        for name in ("ingest-api", "processor", "metrics-api"):
            self.start(name, ready=False)
        for name in ("ingest-api", "processor", "metrics-api"):
            self.services[name].wait_ready()

    # ---- traffic ----

    def post(self, path, event, timeout=60):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        status, answer = http_call(self.services["ingest-api"].port, "POST", path, body,
                                   {"Content-Type": "application/json"}, timeout)
        return status, json.loads(answer) if answer else None

    def request(self, request_id, timestamp=None, **fields):
        """Posts a request event and expects it to be taken; returns the event."""
        event = {"request_id": request_id, "tenant_id": "t", "route": "/chat", "model": "m",
                 "timestamp": iso(timestamp if timestamp is not None else time.time()), **fields}
        status, answer = self.post("/v1/llm/request", event)
        assert status == 202, (status, answer)
        return event

    def response(self, request_id, timestamp=None, **fields):
        event = {"request_id": request_id, "latency_ms": 100,
                 "timestamp": iso(timestamp if timestamp is not None else time.time()), **fields}
        status, answer = self.post("/v1/llm/response", event)
        assert status == 202, (status, answer)
        return event

    def post_batch(self, events, timeout=90):
        """Events with "type", as NDJSON; all must be taken."""
        body = b"\n".join(e if isinstance(e, bytes) else json.dumps(e).encode() for e in events)
        status, answer = http_call(self.services["ingest-api"].port, "POST", "/v1/llm/events", body,
                                   {"Content-Type": "application/x-ndjson"}, timeout)
        answer = json.loads(answer)
        assert status == 202 and answer["accepted"] == len(events), (status, answer)
        return answer

    def produce(self, topic, value, key=None, partition=None):
        """One record straight to the topic, past ingest-api, in the partition that Java clients choose."""
        path = os.path.join(self.tmp, self.id + "-produce")
        with open(path, "wb") as f:
            f.write(value)
        command = ["kcat", "-P", "-q", "-b", self.brokers, "-t", self.prefix + topic,
                   "-X", "topic.partitioner=murmur2_random"]
        if key is not None:
            command += ["-k", key]
        if partition is not None:
            command += ["-p", str(partition)]
        subprocess.run([*command, path], check=True, timeout=90, stdin=subprocess.DEVNULL)

    def consume(self, topic, isolation="read_committed"):
        """Every record of the topic up to its end, as kcat's JSON envelopes."""
        out = subprocess.run(["kcat", "-C", "-q", "-e", "-J", "-o", "beginning", "-b", self.brokers,
                              "-X", "isolation.level=" + isolation, "-t", self.prefix + topic],
                             check=True, timeout=180,
                             capture_output=True, stdin=subprocess.DEVNULL).stdout
        return [json.loads(line) for line in out.decode("utf-8", "replace").splitlines() if line]

    def topic_tool(self, verb, topic, *args):
        """Makes a topic other than setup would: tests/support/topic_tool.c."""
        tool = os.path.join(self.build, "tests", "integration", "topic_tool")
        r = subprocess.run([tool, self.brokers, verb, self.prefix + topic, *map(str, args)],
                           capture_output=True, text=True, timeout=180, check=False)
        if r.returncode != 0:
            raise AssertionError(f"topic_tool {verb} {topic} {args}: {r.stderr}")

    def end_offsets(self):
        """Of the partitions of both input topics: equal ones mean that nothing was produced in between."""
        partitions = [f"{self.prefix}{topic}:{p}:-1" for topic in ("llm.requests", "llm.responses")
                      for p in range(int(self.env["PARTITIONS"]))]
        out = subprocess.run(["kcat", "-Q", "-b", self.brokers, *(a for p in partitions for a in ("-t", p))],
                             check=True, timeout=180, capture_output=True, text=True).stdout
        lines = sorted(out.split("\n"))[1:]
        assert len(lines) == len(partitions), out
        return lines

    # ---- what came out ----

    def sql(self, statement, dsn=None):
        r = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", dsn or self.dsn,
                            "-c", statement], capture_output=True, text=True, timeout=180, check=False,
                           env={**os.environ, "PGTZ": "UTC"})
        if r.returncode != 0:
            raise AssertionError(f"{statement}: {r.stderr}")
        return r.stdout.strip()

    @contextlib.contextmanager
    def holding(self, statement):
        """A transaction that has run the statement, with its locks, is open inside `with`."""
        psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.dsn],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            psql.stdin.write(f"BEGIN;\n{statement};\n\\echo held\n")
            psql.stdin.flush()
            for line in psql.stdout:
                if line.strip() == "held":
                    break
            else:
                raise AssertionError(f"{statement}: failed")
            yield
        finally:
            psql.kill()
            psql.wait()
            psql.stdin.close()
            psql.stdout.close()

    def rows(self, where="true"):
        text = self.sql("SELECT coalesce(json_agg(x ORDER BY tenant_id, route, model, window_start), '[]')"
                        f" FROM llm_metrics x WHERE {where}")
        return json.loads(text)

    def totals(self, where="true"):
        """Sums over all rows: requests, responses, unanswered, errors, in_flight, tokens."""
        text = self.sql(
            "SELECT json_build_object('requests', coalesce(sum(requests), 0), 'responses',"
            " coalesce(sum(responses), 0), 'unanswered', coalesce(sum(unanswered), 0), 'errors',"
            " coalesce(sum(errors), 0), 'in_flight', coalesce(sum(in_flight), 0), 'prompt_tokens',"
            " coalesce(sum(prompt_tokens), 0), 'completion_tokens', coalesce(sum(completion_tokens), 0))"
            f" FROM llm_metrics WHERE {where}")
        return json.loads(text)

    def wait_totals(self, seconds=30, **want):
        """Until the sums are these; then they must stay so over two more flushes."""
        def look():
            got = self.totals()
            return got if all(got[k] == v for k, v in want.items()) else None
        try:
            wait_for(look, f"totals {want}", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; totals are {self.totals()}") from None

    def metrics(self, query):
        status, body = self.services["metrics-api"].get("/v1/metrics?" + query)
        return status, json.loads(body)
