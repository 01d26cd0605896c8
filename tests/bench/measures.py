# SPDX-License-Identifier: Apache-2.0
"""What there is to measure: the programs of this directory with the sizes that the targets are of, and what is promised
of the values that they tell (bench_lines.py). A value that is not named here has no target, and is shown all the same.
Where what limits a value is a value itself, it stands beside it in the table."""
import typing

PROCESSOR, INGEST = "processor/streamlens-processor", "ingest-api/streamlens-ingest-api"
METRICS, ADMIN = "metrics-api/streamlens-metrics-api", "deploy/admin/streamlens-admin"
KERNEL = "the kernel, for a round trip: see floor"
POSTGRES = "PostgreSQL: see cpu_server"


class Target(typing.NamedTuple):
    value: typing.Optional[float]  # None: no promise
    unit: str  # as the program tells it
    limit: str  # what keeps it from being better
    promise: str = "README.md"  # where the target is from: that of this directory, or a line of the project's design
    at_least: bool = False  # else at most


class Measure(typing.NamedTuple):
    what: str
    command: list  # "{build}": the build directory
    targets: dict  # of values by their names: each must be told
    builds: tuple = ()  # targets of ninja
    services: bool = False  # wants the broker and the database


def design(line, value, unit, limit, at_least=False):
    return Target(value, unit, limit, f"design: {line}", at_least)


def limited(unit, limit):
    """No promise."""
    return Target(None, unit, limit)


def in_process(what, program, targets):
    return Measure(what, [f"{{build}}/tests/bench/{program}"], targets, (f"tests/bench/{program}",))


def script(what, file, targets, arguments=(), builds=()):
    return Measure(what, ["python3", file, *arguments], targets, (ADMIN, *builds), True)


CORE = design("processor core in process", 200, "ns", "misses of the cache in the tables of joins and series")
PARSE = Target(100, "ns", "one pass over the bytes: see scanner")
BROKER_CPU = design("processor against a real broker", 0.65, "us", "librdkafka's fetching, 0.25 us of it")
BATCHES = "librdkafka: a fetch brings few records, each with a header and wake-ups of its own"
TAIL = design("the same at the tail, 20 k events/s", 2.2, "us", BATCHES)
OTHERS = {"broker": "fetches: each a wake-up, 50 ms apart at most",
          "postgres": "rows of a flush: as many as series changed"}
FLUSH = design("flush of 10,000 changed series", 300, "ms", POSTGRES)
TOGETHER = design("flush beside two other processors on the same rows", 900, "ms",
                  "locks of rows: they merge one after the other")
TABLE = "an entry of the table for each identity: tables double"
MEMORY = {"live_join": TABLE, "answered": "two identities that are known again for a TTL",
          "changed_series": "two histograms and the tokens by model",
          "connection.ingest-api": "its record; buffers are given back with the answer",
          "connection.metrics-api": "its record; buffers are given back with the answer"}
QUESTION = "metrics-api, 60 windows of one series"
WEEK = design("7 days, one tenant, grouped by model, p99", 100, "ms",
              "rows to read and histograms to merge: see cpu_server and cpu")
FOLD = Target(25, "ms", "buckets of two histograms a row, and new cells")
RENDER = Target(3000, "ns", "72 fields a row, as text")
CATALOGUE = Target(1000, "ns", "a look-up a spelling of the name")
GROWTH = Target(2, "times", "misses of the cache: the tables outgrow it")
JOINS = {f"joins.{when}.{what}": limited("B", TABLE) for when in ("live", "replayed")
         for what in ("table", "resident")}
STREAM = limited("us", "the kernel, for a write to each client")

MEASURES = {
    "core": in_process(
        "an event through the processor's core in process", "bench_core",
        {f"core.{how}.{style}": CORE for how in ("live", "replay") for style in ("compact", "spaced")}),
    "scaling": in_process(
        "an event in process as live joins, series and tenants grow by 10 and 100", "bench_scaling",
        {f"scaling.{what}.ratio": GROWTH for what in ("joins", "series", "tenants")}),
    "event": in_process(
        "reading an event", "bench_event",
        {f"event.event_parse.{kind}.{style}": PARSE for kind in ("request", "response")
         for style in ("compact", "spaced")}),
    "fold": in_process(
        "rows summed into cells, and written", "bench_fold",
        {**{f"fold.{step}": FOLD for step in ("one", "days", "hours", "rows")},
         "fold.write.json": RENDER, "fold.write.csv": RENDER}),
    "promql": in_process(
        "PromQL over 200 series and 360 steps", "bench_promql",
        {"promql.sum": Target(1, "ms", "an addition a series and step")}),
    "quantiles": in_process(
        "percentiles of merged histograms", "bench_quantiles",
        {"quantiles.groups1.minutes5.anew": Target(25, "ms", "reading every bucket once"),
         "quantiles.groups1.minutes5.kept": Target(1, "ms", "a walk over the buckets a step")}),
    "price": in_process(
        "finding a price, and pricing a usage line", "bench_price",
        {f"price.{what}.{name}": CATALOGUE for what in ("resolve", "line")
         for name in ("own", "alias", "prefixes", "affixes", "nothing")}),
    "http_stream": in_process(
        "an event to each of 1,000 clients that stream", "bench_http_stream",
        {"http_stream.event": Target(9, "us", "the kernel, see http_stream.kernel")}),
    "store": Measure(
        "a flush of 100, 1,000 and 10,000 changed series", ["{build}/tests/bench/bench_store", "100,1000,10000"],
        {"store.10000.new": FLUSH, "store.10000.existing": FLUSH,
         **{f"store.{n}.{rows}": limited("ms", "round trips, and a commit") for n in (100, 1000)
            for rows in ("new", "existing")}}, ("tests/bench/bench_store",), True),
    "store_together": Measure(
        "the same 10,000 series flushed by three processors at once",
        ["{build}/tests/bench/bench_store", "10000", "20", "3"],
        {f"store_together.10000.{rows}": TOGETHER for rows in ("new", "existing")}, ("tests/bench/bench_store",), True),
    "ingest": script(
        "an event over HTTP into the log", "ingest",
        {"ingest.ingest-api.c256.b1": design("ingest, one event per POST, c=256", 10, "us", KERNEL),
         "ingest.ingest-api.c64.b500": design(
             "ingest, batches of 500", 1.67, "us", "reading the event, and librdkafka's producing, 0.65 us"),
         "ingest.floor.c256.b1": limited("us", "the kernel"),
         **{f"ingest.{how}.{size}": limited("us", limit) for size in ("c256.b1", "c64.b500")
            for how, limit in (("key", "finding the key, and a header of the record"), ("gzip", "zlib"))},
         **{f"ingest.half.{q}": limited("ms", "LINGER_MS, 2 ms, and the log's acknowledgement")
            for q in ("p50", "p99")}},
        ("--connections", "64,256", "--batches", "1,500", "--rounds", "1", "--also", "key,gzip,half"),
        (INGEST, "tests/bench/floor_http", "tests/bench/make_requests", "tests/bench/paced_http")),
    "replay": script(
        "a backlog on a real broker, and the same after SIGKILL", "replay",
        {"replay.backlog.cpu": BROKER_CPU, "replay.again.1.cpu": BROKER_CPU,
         **{f"replay.backlog.cpu_{who}": limited("us", limit) for who, limit in OTHERS.items()},
         "replay.again.1.rate": design(
             "restart to caught up", 1, "M/s", "the cores that broker and processor share", True)},
        ("--times", "1"), (PROCESSOR, "tests/bench/fill_kafka")),
    "live": script(
        "an event at the tail of the log, what it costs broker and database, and 3 M live joins", "bench_live.py",
        {"live.4000.s200.cpu": limited("us", BATCHES), "live.20000.s200.cpu": TAIL,
         "live.20000.s10000.cpu": limited("us", "flushes: each changes nearly every series"),
         **{f"live.{at}.cpu_{who}": limited("us", limit) for at in ("4000.s200", "20000.s200", "20000.s10000")
            for who, limit in OTHERS.items()},
         "live.joins.cpu": BROKER_CPU},
        (), (PROCESSOR, "tests/bench/fill_kafka")),
    "questions": script(
        "questions to metrics-api, from the cache and without it", "questions",
        {"questions.uncached.c1.p50": design(QUESTION, 1, "ms", "PostgreSQL alone takes 0.3 ms"),
         "questions.uncached.c8.rate": design(QUESTION, 3000, "/s", POSTGRES, True),
         "questions.cached.c16.rate": design(QUESTION, 30000, "/s", "the kernel, for a round trip", True),
         "questions.week.p99.p95": WEEK},
        ("--rounds", "1"), (METRICS, "tests/interop/hist_tool")),
    "dashboard": script(
        "a refresh of the overview dashboard over 6 h of 200 series", "bench_dashboard.py",
        {f"dashboard.{when}.time": Target(300, "ms", "its queries on one core: see cpu and cpu_server")
         for when in ("again", "later")},
        ("--no-prometheus",), (METRICS, "tests/interop/hist_tool")),
    "stream": script(
        "a changed row to each of 1,000 clients of /v1/stream", "bench_stream.py", {"stream.row.cpu": STREAM},
        (), (METRICS,)),
    "end_to_end": script(
        "from a POST to its row and to its record", "bench_end_to_end.py",
        {"end_to_end.row.p99": Target(6, "s", "FLUSH_INTERVAL_MS, 5 s, and the flush"),
         "end_to_end.row.p50": limited("s", "half of FLUSH_INTERVAL_MS"),
         "end_to_end.topic.p99": Target(78, "s", "its minute's end, WINDOW_GRACE_MS of 10 s, then as below"),
         "end_to_end.topic.p50": limited("s", "half a minute, WINDOW_GRACE_MS of 10 s, then as below"),
         **{f"end_to_end.topic_after_grace.{q}": limited("s", "FLUSH_INTERVAL_MS, and the publisher's next look")
            for q in ("p50", "p99")}},
        (), (INGEST, PROCESSOR, "tests/bench/fill_kafka")),
    "memory": script(
        "memory for each join, series and connection", "bench_memory.py",
        {**{f"memory.{what}": limited("B", limit) for what, limit in MEMORY.items()},
         **{f"memory.{what}.table": limited("B", TABLE) for what in ("live_join", "answered")}},
        (), (INGEST, PROCESSOR, METRICS, "tests/bench/fill_kafka")),
    "joins": script(
        "memory with a million requests that wait", "bench_joins.py", JOINS, (), (INGEST, PROCESSOR)),
    "models": script(
        "a tenant with 100,000 models", "bench_models.py",
        {"models.rows": Target(10001, "series", "the cap of a tenant's series"),
         "models.resident": limited("MiB", "changes of a flush, and what the client library prefetches")},
        (), (INGEST, PROCESSOR)),
    "postgres_away": script(
        "a minute without PostgreSQL under load", "bench_postgres_away.py",
        {"postgres_away.replayed": Target(0, "records", "nothing"),
         "postgres_away.resident": limited("MiB", "MAX_DELTA_CELLS, and what the client library prefetches")},
        (), (INGEST, PROCESSOR)),
    "recovery": script(
        "one of three processors killed under load, then all", "bench_recovery.py",
        {f"recovery.{who}.caught_up": Target(10, "s", "a flush interval of 5 s") for who in ("one", "all")},
        (), (INGEST, PROCESSOR)),
    "publish": script(
        "a minute's rows from closing to readable", "bench_publish.py",
        {"publish.readable.p99": Target(3, "s", "the publisher's next look, and a transaction of the log"),
         "publish.records_a_row.most": Target(4, "records", "late answers: each changes the row again")},
        (), (INGEST, PROCESSOR)),
    "partitions": script(
        "a backlog of 12, 48 and 120 partitions", "bench_partitions.py",
        {"partitions.ratio": Target(2, "times", "a fetch and an answer's head a partition, smaller batches"),
         **{f"partitions.{n}.cpu": None for n in (12, 48, 120)}},
        (), (PROCESSOR, "tests/bench/fill_kafka")),
    "processes": script(
        "two processes of ingest-api and of the processor against one", "bench_processes.py",
        {f"processes.{what}.{value}": None for what in ("processor", "ingest") for value in ("efficiency", "rate_gain")},
        (), (PROCESSOR, INGEST, "tests/bench/fill_kafka", "tests/bench/make_requests"))._replace(services=False),
    "reprice": script(
        "pricing 240,000 rows anew", "bench_reprice.py",
        {"reprice.all.cpu_server": Target(20, "us", "an update of a row, with its histograms")},
        ("1000", "5", "2"), (INGEST, PROCESSOR)),
}


def beside(what, program, targets, *arguments):
    """Ours and those of --peers DIR in turn, on a broker and a database that the program starts."""
    return Measure(what, ["python3", "bench_peers.py", program, "{peers}", *arguments], targets,
                   (PROCESSOR, INGEST, METRICS, ADMIN, "tests/integration/topic_tool", "tests/interop/hist_tool"))


def times(value, limit):
    return Target(value, "times", limit, at_least=True)


PEERS = {
    "peers_processor": beside(
        "a backlog beside Kafka Streams, exactly_once_v2", "processor",
        {"peers_processor.ratio": times(25, "librdkafka's fetching, 0.25 us of ours"),
         "peers_processor.ratio_whole": None,
         **{f"peers_processor.{who}.wrong": Target(0, "windows", "nothing") for who in ("ours", "streams")}}),
    "peers_ingest": beside(
        "one event a POST beside Benthos, validating and bare", "ingest",
        {f"peers_ingest.ratio.{label}.{crowd}": times(4, KERNEL) for label in ("benthos", "benthos-bare")
         for crowd in ("c64", "c256")}),
    "peers_questions": beside(
        "60 windows of a series beside the original", "questions",
        {"peers_questions.ratio.fields": times(10, "libpq and the kernel, for two round trips"),
         "peers_questions.ratio.again": times(10, KERNEL), "peers_questions.ratio.all": None},
        "--original={original}"),
}
