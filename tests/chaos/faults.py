# SPDX-License-Identifier: Apache-2.0
"""Every fault is one function of (storm, names of what it has to itself, random); it returns when what it broke is
mended again, so that the next may begin. FAULTS lists them with how often they come and what they need."""
import collections
import contextlib
import json
import os
import signal
import subprocess
import time

import three_brokers
from pg_proxy import ANY, BEGIN, CLAIM, COMMIT, COPY, Trap
from stack import comes, wait_for
from tape import TOPICS
from traffic import PARTITIONS, SILENT, Client
from world import GUESTS, SESSION_MS, TENANTS

SESSION_S = SESSION_MS / 1000
TRAP_S = 10.0  # for how long a moment is waited for
# Most of them where all records of a transaction are in the log, and its end is not.
FAILPOINTS = ("take:after", "begin:after", "put:before", "put:after", "put_progress:after", "commit:before",
              "commit:after", *4 * ("flushed:after",))

Fault = collections.namedtuple("Fault", "name times needs brokers run")
FAULTS = []


def fault(name, times, *needs, brokers=1):
    """times: in one round of all faults. brokers: how many there must be."""
    def add(run):
        FAULTS.append(Fault(name, times, needs, brokers, run))
        return run
    return add


# ---- processors ----


def start_again(storm, name, r):
    """At once, within the session timeout, or after it."""
    storm.wait(r.choice((0, r.random() * 3, SESSION_S + 2)))
    storm.world.start(name)


@fault("processor killed", 3, "a processor")
def kill_processor(storm, names, r):
    storm.world.kill(names[0])
    start_again(storm, names[0], r)


@fault("processor leaves (SIGTERM)", 1, "a processor")
def leave(storm, names, r):
    storm.world.leave(names[0])
    start_again(storm, names[0], r)


@fault("processor stopped for a moment", 1, "a processor")
def pause(storm, names, r):
    with storm.world.frozen(names[0]):
        storm.wait(r.uniform(0.2, 4))


@fault("processor stopped beyond its session (zombie)", 2, "a processor")
def zombie(storm, names, r):
    with storm.world.frozen(names[0]):
        storm.wait(SESSION_S + r.uniform(1, 6))


def at(moment, kind, seconds=lambda r: 0.0, restart=False):
    """A trap in the processor's conversation with the database."""
    def run(storm, names, r):
        trap = Trap(moment, kind, seconds(r))
        if restart:
            storm.world.expect_end(names[0])
        storm.world.proxy.set_trap(names[0], trap)
        trap.sprung.wait(TRAP_S)
        if not storm.world.proxy.take_back(names[0], trap):
            storm.world.expect_life(names[0])
            return "not reached"
        if restart:
            storm.world.stack.services[names[0]].process.wait(20)
            start_again(storm, names[0], r)
        else:
            storm.wait(trap.seconds)
        return None
    return run


for title, trap_at, spring in (
        ("killed before BEGIN", BEGIN, "kill_before"), ("killed after BEGIN", BEGIN, "kill_after"),
        ("killed inside COPY", COPY, "kill_after"), ("killed before COMMIT", COMMIT, "kill_before"),
        ("killed with COMMIT sent", COMMIT, "kill_after")):
    fault("processor " + title, 1, "a processor")(at(trap_at, spring, restart=True))
for title, trap_at in (("inside COPY", COPY), ("with COMMIT sent", COMMIT), ("after BEGIN", BEGIN)):
    fault(f"processor stopped {title} beyond its session (zombie)", 1, "a processor")(
        at(trap_at, "stop", lambda r: SESSION_S + r.uniform(1, 6)))


@fault("publisher killed at one of its calls", 4, "a processor")
def kill_publisher(storm, names, r):
    world = storm.world
    world.kill(names[0])
    world.start(names[0], failpoint=f"{r.choice(FAILPOINTS)}:{r.randrange(1, 4)}")
    world.expect_end(names[0])
    process = world.stack.services[names[0]].process
    missed = None
    try:
        process.wait(2 * SESSION_S + TRAP_S)
    except subprocess.TimeoutExpired:
        missed = "not reached"
        process.kill()
        process.wait()
    start_again(storm, names[0], r)
    return missed


@fault("processor killed while it claims partitions", 1, "a processor")
def kill_claiming(storm, names, r):
    """The first claim of one that has just been started."""
    world = storm.world
    world.kill(names[0])
    trap = world.proxy.set_trap(names[0], Trap(CLAIM, r.choice(("kill_before", "kill_after"))))
    world.start(names[0])
    world.expect_end(names[0])
    trap.sprung.wait(SESSION_S + 12)
    reached = world.proxy.take_back(names[0], trap)
    if reached:
        world.stack.services[names[0]].process.wait(20)
        start_again(storm, names[0], r)
    else:
        world.expect_life(names[0])
    return None if reached else "not reached"


@fault("more processors than partitions come and go", 1, *GUESTS)
def guests(storm, names, r):
    for name in names:
        storm.world.start(name)
        storm.wait(r.random() * 3)
    storm.wait(r.uniform(2, 8))
    for name in r.sample(names, len(names)):
        if r.random() < 0.5:
            storm.world.kill(name)
        else:
            storm.world.leave(name)
        storm.wait(r.random() * 2)


# ---- the conversation with PostgreSQL ----

for title, trap_at, spring, lasts in (
        ("COMMIT is lost", COMMIT, "cut_before", (0, 0)),
        ("answer to COMMIT is lost", COMMIT, "drop_answer", (0, 0)),
        ("no answer to COMMIT, connection stays", COMMIT, "silence", (2, 25)),
        ("client cut off at COMMIT", COMMIT, "cut_client", (0, 4)),
        ("answer to COMMIT is late", COMMIT, "delay", (1, 8)),
        ("connection cut anywhere", ANY, "cut_before", (0, 0)),
        ("connection cut inside COPY", COPY, "cut_client", (0, 4)),
        ("answer is late anywhere", ANY, "delay", (1, 8)),
        ("connection is slow", ANY, "slow", (2, 10))):
    fault("database: " + title, 1, "a processor")(at(trap_at, spring, lambda r, t=lasts: r.uniform(*t)))


# ---- PostgreSQL ----


def stop_postgres(how):
    def run(storm, _, r):
        storm.world.own.kill("postgres", how)
        storm.wait(r.uniform(0.2, 5))
        storm.world.services_up()
    return run


fault("PostgreSQL stopped immediately", 1, "postgres")(stop_postgres(signal.SIGQUIT))
fault("PostgreSQL killed", 1, "postgres")(stop_postgres(signal.SIGKILL))
fault("PostgreSQL stopped fast", 1, "postgres")(stop_postgres(signal.SIGINT))


@fault("database connections ended", 2, "postgres")
def end_backends(storm, _, r):
    stack = storm.world.stack
    stack.sql("SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname ="
              f" '{stack.id}' AND pid <> pg_backend_pid() ORDER BY random() LIMIT {r.randrange(1, 5)}) x")


def held_lock(statement):
    def run(storm, _, r):
        with storm.world.stack.holding(statement):
            storm.wait(r.choice((3, 15)))
    return run


fault("rows are locked for long", 1, "postgres")(held_lock("LOCK TABLE llm_minute IN EXCLUSIVE MODE"))
fault("a position is locked for long", 1, "postgres")(
    held_lock("SELECT FROM streamlens_position WHERE partition = 1 FOR UPDATE"))


# ---- the broker ----


@fault("broker killed", 1, "broker")
def kill_broker(storm, _, r):
    storm.world.own.kill("kafka", signal.SIGKILL)
    storm.wait(r.uniform(0, 4))
    storm.world.services_up()


@fault("broker stopped", 1, "broker")
def stop_broker(storm, _, r):
    with storm.world.frozen("kafka"):
        storm.wait(r.choice((2, 5, SESSION_S + 5)))


@fault("processor killed between dead letters and their acknowledgement", 1, "broker", "a processor")
def kill_with_letters(storm, names, r):
    """The broker stands still when they are sent, so none is acknowledged, and the flush waits for them."""
    world, service = storm.world, storm.world.stack.services[names[1]]

    def rejected():
        with contextlib.suppress(OSError):
            return service.metric('streamlens_processor_dead_letters_total{reason="malformed"}')
        return 0
    service.wait_port()
    before = rejected()
    poison(storm, (), r)
    if not comes(lambda: rejected() > before, TRAP_S, 0.02):
        return "not reached"
    with world.frozen("kafka"):
        storm.wait(1.5)
        world.kill(names[1])
    start_again(storm, names[1], r)
    return None


TWO_LOST = "two of three brokers lost, so too few replicas are in sync"


@fault(TWO_LOST, 2, "broker", "ingest-api", brokers=3)
def lose_two(storm, _, r):
    """Nothing sent from now on may be acknowledged, until they are back."""
    world, client = storm.world, Client(storm.world, storm.ledger)
    now_ms = int(time.time() * 1000)
    items = [("request", f"unsafe-{now_ms}-{n}", json.dumps(
        {"type": "request", "request_id": f"unsafe-{now_ms}-{n}", "route": "/unsafe", "model": "house-small",
         "timestamp": now_ms})) for n in range(20)]
    for node in three_brokers.HARMED:
        world.own.kill_broker(node)
    for _ in range(r.randrange(2, 5)):
        status, answer = client.call("/v1/llm/events", TENANTS[0], "\n".join(i[2] for i in items).encode(),
                                     {"Content-Type": "application/x-ndjson"})
        if status != 503:
            raise AssertionError(f"with one replica left, a batch was answered {status}: {answer}")
        storm.ledger.note(503)
    world.services_up()
    client.post(TENANTS[0], items)


# ---- ingest-api ----


@fault("ingest-api killed", 1, "ingest-api")
def kill_ingest(storm, _, r):
    world = storm.world
    world.look_at("ingest-api")
    world.stack.services["ingest-api"].kill()
    storm.wait(r.random() * 2)
    world.stack.start("ingest-api", ready=False).wait_port()


@fault("ingest-api stopped", 1, "ingest-api")
def stop_ingest(storm, _, r):
    with storm.world.frozen("ingest-api"):
        storm.wait(r.uniform(1, 6))


# ---- what comes in ----


@fault("records past ingest-api, also poison", 2, "broker")
def poison(storm, _, r):
    """Malformed ones, one without a tenant, one out of time, one id of two tenants; and good ones."""
    now_ms = int(time.time() * 1000)
    for topic in ("llm.requests", "llm.responses"):
        lines = []
        for i in range(20):
            request_id = f"direct-{now_ms}-{i}"
            if topic == "llm.responses":
                lines.append((request_id, json.dumps({"request_id": request_id, "timestamp": now_ms,
                                                      "completion_tokens": 7})))
                continue
            event = {"request_id": request_id, "tenant_id": f"direct-{i % 2}", "route": "/direct",
                     "model": "house-small", "timestamp": now_ms, "prompt_tokens": 3}
            lines += [(request_id, json.dumps(event)),
                      (request_id, json.dumps({**event, "tenant_id": f"direct-{(i + 1) % 2}"}))]
            if i % 4 == 0:
                lines += [(request_id + "o", json.dumps({**event, "request_id": request_id + "o",
                                                         "timestamp": now_ms - 9 * 86_400_000})),
                          (request_id + "n", json.dumps({"request_id": request_id + "n", "route": "/r", "model": "m",
                                                         "timestamp": now_ms}))]
        for partition in range(SILENT):
            produce(storm, topic, [(f"{k}-{partition}", v.replace(k, f"{k}-{partition}")) for k, v in lines]
                    + [(f"bad-{now_ms}-{i}", "{not json") for i in range(3)], partition)


def produce(storm, topic, lines, partition):
    """To a partition that these keys need not hash to: who produces past ingest-api may do so."""
    stack = storm.world.stack
    path = os.path.join(storm.folder, f"produce-{topic}-{partition}")
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(f"{key}\t{value}\n" for key, value in lines)
    subprocess.run(["kcat", "-P", "-q", "-b", stack.brokers, "-t", stack.prefix + topic, "-p", str(partition),
                    "-K", "\t", "-X", "message.timeout.ms=60000", "-l", path], check=True, timeout=90,
                   stdin=subprocess.DEVNULL)


@fault("records deleted that no replay needs", 1, "broker", "postgres")
def retention(storm, _, r):
    """Up to R of a partition, as retention does; they are on the tape by then."""
    partition = r.randrange(PARTITIONS)
    for topic, column in zip(TOPICS, ("request_replay", "response_replay")):
        delete_records(storm, topic, partition, storm.world.stack.sql(
            f"SELECT coalesce({column}, 0) FROM streamlens_position WHERE partition = {partition}"))


def delete_records(storm, topic, partition, before):
    storm.tape.extend([(topic, partition)])

    def deleted():
        try:  # a broker that has just come back may not lead the partition yet
            storm.world.stack.topic_tool("delete-records", topic, partition, before)
            return True
        except AssertionError:
            return False
    wait_for(deleted, f"{topic} without what lies before {before}", 30, 0.5)


@fault("burst", 1)
def burst(storm, _, r):
    for sender in storm.senders:
        sender.burst += r.randrange(500, 3000)


@fault("prices change", 1, "postgres")
def reprice(storm, _, r):
    """Within a factor of 100 of whatever was set before: what is further off is refused as a slip."""
    model = r.choice(("house-small", "house-large"))
    storm.price(model, r.randrange(200, 5000) / 1000, r.randrange(200, 15000) / 1000)


@fault("settings change", 1, "postgres")
def change_settings(storm, _, r):
    """TTL, skew, or the cap of series, which stays above what there is."""
    world = storm.world
    name, value = r.choice((("JOIN_TTL_MS", int(world.ttl_ms * r.uniform(0.5, 1.5))),
                            ("JOIN_SKEW_MS", int(world.skew_ms * r.uniform(0.5, 1.5))),
                            ("MAX_SERIES_PER_TENANT", r.randrange(100, 1000))))
    done = world.stack.admin("settings", "set", f"{name}={value}")
    storm.report.say(f"{name}={value}:", (done.stdout or done.stderr).split("\n")[0])
    return None if done.returncode == 0 else "not reached"
