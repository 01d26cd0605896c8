# SPDX-License-Identifier: Apache-2.0
"""Pricing the past anew. bench_reprice.py [SERIES [DAYS [MINUTES [PAIRS]]]]: so many series over so many days, with rows
of so many minutes of each hour and one to three usage lines a row, on a PostgreSQL of its own (about 2.5 KB a row). Then
streamlens-admin reprice where every row changes, where the price of one model of twenty did, and where nothing
differs; and the dry run. With PAIRS the pipeline counts so many requests and answers a second meanwhile (0: it does not
run), and what its flushes took is shown. SL_PORT_BASE and SL_TMP say where."""
import contextlib
import json
import os
import resource
import subprocess
import sys
import time

import fact_rows
from bench_lines import tell
from load import Steady, say
from own_postgres import OwnPostgres
from stack import Stack, needed, wait_for

MODELS = 20
FROM = "2026-10-01T00:00:00Z"
HEADER = "model,unit,input,cached_input,output\n"
HOURS = 3  # whose rows are made at once
TICKS = os.sysconf("SC_CLK_TCK")
LINE = "ROW(format('model-%s', (series_id + {n}) % {models}), '', '', 0, 3, 1200, 300, 0, 0, 450, 20)::llm_usage"


def server_cpu(postgres):
    """Of the server and all its children, those that have ended included."""
    def fields(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()
    ticks = 0
    for pid in postgres.children():
        try:
            ticks += sum(map(int, fields(pid)[11:13]))
        except FileNotFoundError:
            pass  # it has ended meanwhile
    return (ticks + sum(map(int, fields(postgres.pid())[11:15]))) / TICKS


def fill(stack, series, days, minutes):
    """Costs are 0, as by a version that knew no price."""
    lines = [LINE.format(n=n, models=MODELS) for n in (0, 7, 13)]
    usage = (f"CASE (series_id + extract(minute FROM window_start)::int) % 3 WHEN 0 THEN ARRAY[{lines[0]}]"
             f" WHEN 1 THEN ARRAY[{', '.join(lines[:2])}] ELSE ARRAY[{', '.join(lines)}] END")
    stack.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
              f" SELECT s, 'tenant-' || s % 10, 'r', 'm' || s FROM generate_series(1, {series}) s;"
              f"ALTER TABLE llm_series ALTER series_id RESTART WITH {series + 1}")
    columns = {"usage": usage, "price_version": "1", "requests": "5", "responses": "5", "latency_count": "5",
               "latency_hdr": "decode(repeat('1c849303', 60), 'hex')"}
    ids = f"SELECT generate_series(1, {series})"
    # By time, as flushes write.
    for hour in range(0, 24 * days, HOURS):
        start = f"timestamptz '{FROM}' + interval '{hour} hours'"
        fact_rows.partitions(stack, [start])
        hours = f"SELECT {start} + h * interval '1 hour' FROM generate_series(0, {HOURS - 1}) h"
        starts = f"SELECT h + m * interval '1 minute' FROM ({hours}) w(h), generate_series(0, 59, {60 // minutes}) m"
        fact_rows.rows(stack, "llm_minute", ids, starts, **columns)
        fact_rows.rows(stack, "llm_hour", ids, hours, price_version="1")
        stack.sql(f"INSERT INTO llm_window (window_start, closed_at) SELECT s, now() FROM ({starts}) w(s)")
    stack.sql("CHECKPOINT")


def add_prices(stack, price):
    path = os.path.join(stack.tmp, stack.id + "-prices.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEADER + "".join(f"model-{m},USD/Mtok,{price if m == 0 else 2},1,8\n" for m in range(MODELS)))
    r = stack.admin("price", "set", path, "--now")
    assert r.returncode == 0, r.stderr


def measure(stack, postgres, name, what, rows, days, *args):
    cpu, own, began = server_cpu(postgres), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    r = subprocess.run([stack.program("admin"), "reprice", "--json", f"--from={FROM}",
                        f"--to={stack.sql(END.format(days=days))}", *args], env=stack.env, capture_output=True,
                       text=True, check=True)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    wait_for(lambda: stack.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'streamlens-admin'")
             == "0", "its connection is gone")
    used, served = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime, server_cpu(postgres) - cpu
    result = json.loads(r.stdout.splitlines()[-1]).get("result", {})
    changed = result.get("rows_changed", 0)
    say(f"{what}: rows, rows changed", f"{rows}, {changed}")
    say(f"{what}: time", f"{took:.1f} s = {rows / took:.0f} rows/s")
    if result:
        say(f"{what}: of that, after the difference", f"{result['seconds']:.1f} s")
    say(f"{what}: CPU a row, tool", f"{used / rows * 1e6:.1f} us")
    say(f"{what}: CPU a row, PostgreSQL", f"{served / rows * 1e6:.1f} us")
    tell(f"reprice.{name}.cpu", used / rows * 1e6, "us", rows)
    tell(f"reprice.{name}.cpu_server", served / rows * 1e6, "us", rows)


END = ("SELECT to_char((timestamptz '" + FROM + "' + interval '{days} days') AT TIME ZONE 'UTC',"
       " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")


@contextlib.contextmanager
def live(stack, pairs):
    """The pipeline, under load while it is there."""
    if pairs == 0:
        yield
        return
    for name in ("ingest-api", "processor"):
        stack.start(name)
    with Steady(stack, pairs) as load:
        yield
    wait_for(lambda: stack.totals("tenant_id = 't0'")["responses"] == load.sent, "all that was sent is counted", 120)
    count, seconds = (stack.services["processor"].metric(f"streamlens_processor_flush_duration_seconds_{what}")
                      for what in ("count", "sum"))
    say("pairs sent and counted meanwhile", load.sent)
    say("flushes meanwhile", f"{count:.0f}, {seconds / count * 1000:.0f} ms each")
    say("corrected rows published so far", stack.sql("SELECT last_seq FROM streamlens_publisher"))


def sums(stack):
    """Minutes and hours say the same."""
    minutes, hours = (stack.sql(f"SELECT sum(cost_pusd), sum(cost_input_pusd), sum(cost_output_pusd) FROM {table}")
                      for table in ("llm_minute", "llm_hour"))
    say("sums of minutes and of hours", "equal" if minutes == hours else f"{minutes} and {hours}")


def main():
    series, days, minutes, pairs = ([int(a) for a in sys.argv[1:]] + [1000, 30, 2, 0][len(sys.argv) - 1:])
    postgres = OwnPostgres(os.path.join(needed("SL_TMP"), "bench-reprice"), int(needed("SL_PORT_BASE")))
    postgres.start()
    try:
        with Stack(pg_dsn=postgres.dsn()) as s:
            s.sql("TRUNCATE llm_price")
            began = time.monotonic()
            fill(s, series, days, minutes)
            say("making the rows", f"{time.monotonic() - began:.0f} s")
            say("their size", s.sql(f"SELECT pg_size_pretty(pg_database_size('{s.id}'))"))
            add_prices(s, 2)
            rows = series * days * 24 * minutes
            with live(s, pairs):
                measure(s, postgres, "dry_run", "dry run", rows, days, "--dry-run")
                measure(s, postgres, "all", "all change", rows, days)
                add_prices(s, 3)
                measure(s, postgres, "one_model", "one model changes", rows, days)
                measure(s, postgres, "nothing", "nothing changes", rows, days)
                measure(s, postgres, "one_model_dry_run", "one model", rows, days, "--model=model-3", "--dry-run")
            sums(s)
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
