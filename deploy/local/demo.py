#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made-up traffic of the last five minutes, and whether the metrics that come out are what was sent.

Sends through ingest-api, reads back through metrics-api, and merges the percentiles over tenants and
minutes from the histograms in PostgreSQL (percentiles are never averaged). Costs must be equal to the last
picodollar, by the prices that stand in the catalogue for all tenants. What was counted before (an earlier
demo in the same minutes) is read first and taken off. Exits 0 only when all is equal.

Where API keys are asked for (AUTH=key), each of its tenants gets one, which is revoked at the end.

Environment: INGEST_URL, METRICS_URL, STREAMLENS_ADMIN (the program), POSTGRES_DSN or POSTGRES_DSN_FILE,
AUTH (none); DEMO_REQUESTS (4000), DEMO_SEED.
"""
import collections
import contextlib
import datetime
import decimal
import json
import math
import os
import random
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TENANTS = ("demo-acme", "demo-globex", "demo-initech")
ROUTES = ("/chat", "/summarize")
# asked for, and its name in the catalogue; which answered; share of the traffic, median latency in ms, usual
# completion tokens. The last has no price: its cost is unknown, not 0.
MODELS = (("gpt-4o", "gpt-4o-2024-08-06", 4, 900, 350), ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 5, 420, 250),
          ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 3, 1300, 420),
          ("llama-3.1-70b", "llama-3.1-70b", 2, 1900, 300))
ERRORS = ("rate_limited", "timeout", "upstream_500")
SPAN_S = 300
BATCH = 500
WAIT_S = float(os.environ.get("DEMO_WAIT_SECONDS", "90"))
SUMS = ("requests", "responses", "errors", "prompt_tokens", "cached_prompt_tokens", "completion_tokens")
COSTS = ("estimated_cost_usd_decimal", "unpriced_requests", "unpriced_tokens")
EXACT = decimal.Context(prec=60)


class Failure(Exception):
    """What went wrong, for a person to read."""


# --- traffic ----------------------------------------------------------------------------------------


class Truth:
    """What one (tenant, route, model, minute) must show."""

    def __init__(self):
        self.sums = collections.Counter()
        self.latencies_us = []


def rfc3339(ms):
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def make_traffic(rng, count, now_ms, run_id):
    """Per tenant its events in the order of sending, duplicates included; what they must add up to; how many."""
    events, truth, said = {t: [] for t in TENANTS}, collections.defaultdict(Truth), collections.Counter()
    for number in range(count):
        tenant, route = rng.choice(TENANTS), rng.choice(ROUTES)
        model, answering, _, median_ms, usual = rng.choices(MODELS, weights=[m[2] for m in MODELS])[0]
        at_ms = now_ms - rng.randrange(5000, SPAN_S * 1000)
        request_id = f"demo-{run_id}-{number}"
        prompt = rng.randrange(20, 3000)
        request = {"type": "request", "request_id": request_id, "tenant_id": tenant, "route": route,
                   "model": model, "timestamp": rfc3339(at_ms), "prompt_tokens": prompt,
                   "stream": True, "metadata": {"app": "demo"}}
        cell = truth[tenant, route, model, at_ms // 60000 * 60000]
        cell.sums["requests"] += 1
        position = at_ms + rng.random()
        mine = [(position, request)]
        if rng.random() >= 0.01:  # one in a hundred is never answered
            response = make_response(rng, request_id, answering, at_ms, prompt, median_ms, usual)
            # A little disorder: some answers are sent before their requests.
            mine.append((position + rng.uniform(-200, 2000), response))
            cell.sums["responses"] += 1
            cell.sums["errors"] += response["error"] is not None
            cell.sums["prompt_tokens"] += prompt
            cell.sums["cached_prompt_tokens"] += response["cached_prompt_tokens"]
            cell.sums["completion_tokens"] += response["completion_tokens"]
            cell.latencies_us.append(round(response["latency_ms"] * 1000))
        else:
            said["unanswered"] += 1
        for where, event in list(mine):
            if rng.random() < 0.02:  # a client that did not see the 202 and sent it again
                mine.append((where + rng.uniform(0, 20000), event))
                said["repeated"] += 1
        events[tenant] += mine
    for mine in events.values():
        mine.sort(key=lambda item: item[0])
    return {t: [event for _, event in mine] for t, mine in events.items()}, truth, said


def make_response(rng, request_id, answering, at_ms, prompt, median_ms, usual):
    failed = rng.random() < 0.03
    latency_ms = round(median_ms * math.exp(rng.gauss(0, 0.5)), 3)
    return {"type": "response", "request_id": request_id, "model": answering,
            "timestamp": rfc3339(at_ms + int(latency_ms)), "latency_ms": latency_ms,
            "time_to_first_token_ms": round(latency_ms * rng.uniform(0.1, 0.4), 3),
            "cached_prompt_tokens": prompt // 128 * 64 if rng.random() < 0.3 else 0,
            "completion_tokens": 0 if failed else max(1, int(rng.gauss(usual, usual / 4))),
            "finish_reason": "error" if failed else rng.choice(("stop", "stop", "stop", "length")),
            "error": rng.choice(ERRORS) if failed else None}


# --- HTTP -------------------------------------------------------------------------------------------


# A proxy of the environment is for the outside, not for this machine's own services.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(url, tenant, body=None):
    """The answer as JSON. 503 and a lost connection are tried again: every event carries its id, so
    sending twice counts once."""
    headers = {**credential(tenant), **({"Content-Type": "application/x-ndjson"} if body else {})}
    for attempt in range(6):
        try:
            with DIRECT.open(urllib.request.Request(url, body, headers), timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            if error.code != 503 or attempt == 5:
                raise Failure(f"{url} answered {error.code}: {detail}") from error
        except (urllib.error.URLError, OSError) as error:
            if attempt == 5:
                raise Failure(f"{url}: {error}") from error
        time.sleep(0.5 * 2 ** attempt)
    raise AssertionError("unreachable")


def send(url, events):
    sent, total = 0, sum(len(mine) for mine in events.values())
    for tenant, mine in events.items():
        for first in range(0, len(mine), BATCH):
            batch = mine[first:first + BATCH]
            body = "".join(json.dumps(event) + "\n" for event in batch).encode()
            answer = http(url + "/v1/llm/events", tenant, body)
            if answer.get("accepted") != len(batch):
                raise Failure(f"of {len(batch)} events {answer.get('accepted')} were accepted: "
                              f"{json.dumps(answer)[:500]}")
            sent += len(batch)
            progress(f"sent {sent} of {total} events")
    progress(None)


def minute_ms(text):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(at.timestamp() * 1000)


def read_metrics(url, oldest_ms):
    """(tenant, route, model, minute) to its row, of the demo's tenants since oldest_ms."""
    rows = {}
    for tenant in TENANTS:
        query = urllib.parse.urlencode({"tenant_id": tenant, "limit": 10000})
        for row in http(f"{url}/v1/metrics?{query}", tenant)["metrics"]:
            start = minute_ms(row["window_start"])
            if start >= oldest_ms:
                rows[row["tenant_id"], row["route"], row["model"], start] = row
    return rows


# --- API keys ---------------------------------------------------------------------------------------

keys = {}  # tenant to its key; empty where none are asked for


def credential(tenant):
    return {"Authorization": "Bearer " + keys[tenant]} if keys else {}


def admin(*words):
    done = subprocess.run([os.environ["STREAMLENS_ADMIN"], *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode:
        raise Failure(f"streamlens-admin {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextlib.contextmanager
def keys_where_asked(questions):
    """Keys for the demo's tenants are there inside `with`, and the services know them."""
    auth = os.environ.get("AUTH", "none").split(",")
    if "jwt" in auth and "key" not in auth:
        raise Failure("AUTH is jwt, and the demo has no tokens; with AUTH=key,jwt it makes keys for its tenants")
    try:
        if "key" in auth:
            for tenant in TENANTS:
                keys[tenant] = admin("key", "create", f"--tenant={tenant}", "--scope=ingest,read", "--name=demo",
                                     "--expires=1d")
            for url, body in questions:
                wait_known(url, body)
        yield
    finally:
        for key in keys.values():
            admin("key", "revoke", key.split("_")[1])


def wait_known(url, body):
    """All keys are read at once, so the one made last speaks for the others. Attempts that are refused are
    limited per address, hence the long pause."""
    headers = {**credential(TENANTS[-1]), "Content-Type": "application/json"}
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with DIRECT.open(urllib.request.Request(url, body, headers), timeout=30):
                return
        except urllib.error.HTTPError as error:
            if error.code not in (401, 429, 503):
                return  # let in, and the question is refused for what it asks
            progress(f"waiting until {url} knows the demo's keys")
            if time.monotonic() > deadline:
                raise Failure(f"{url} does not know the demo's keys after {WAIT_S:.0f} s; see AUTH_REFRESH_MS") from error
        time.sleep(1.5)


# --- PostgreSQL: histograms and prices --------------------------------------------------------------


def pg_environment():
    """The DSN as libpq's variables: on a command line every user of the machine could read it."""
    dsn = os.environ.get("POSTGRES_DSN")
    if not dsn:
        with open(os.environ["POSTGRES_DSN_FILE"], encoding="utf-8") as file:
            dsn = file.read().strip()
    if "://" in dsn:
        url = urllib.parse.urlsplit(dsn)
        fields = {"host": url.hostname, "port": url.port, "user": url.username,
                  "password": url.password, "dbname": url.path.lstrip("/")}
        fields = {k: urllib.parse.unquote(str(v)) for k, v in fields.items() if v}
        fields.update(urllib.parse.parse_qsl(url.query))
    else:
        fields = dict(word.split("=", 1) for word in shlex.split(dsn))
    names = {"dbname": "PGDATABASE"}
    return {names.get(k, "PG" + k.upper().replace("_", "")): v for k, v in fields.items()}


def read_rows(what, sql):
    found = subprocess.run(["psql", "-XAtq", "-F", "\t", "-c", sql], env={**os.environ, **pg_environment()},
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise Failure(f"{what} could not be read: {found.stderr.strip()}")
    return [line.split("\t") for line in found.stdout.splitlines()]


class Prices:
    """What everybody pays for the demo's models: a card holds for a version of the catalogue and a minute."""

    def __init__(self):
        names = ", ".join(f"'{name}'" for name in ("*", *(m[0] for m in MODELS)))
        self.cards = collections.defaultdict(list)
        for model, version, start, withdrawn, *usd in read_rows("the prices", (
                "SELECT model, version, greatest(extract(epoch FROM effective_from) * 1000, 0)::bigint, withdrawn, "
                "llm_usd(input_pusd), llm_usd(coalesce(cached_input_pusd, input_pusd)), llm_usd(output_pusd) "
                f"FROM llm_price WHERE tenant_id = '' AND model IN ({names}) AND tier = '' AND above_tokens = 0")):
            prices = None if withdrawn == "t" else [decimal.Decimal(d) for d in usd]
            self.cards[model].append((int(start), int(version), prices))

    def holding(self, model, version, minute_ms):
        """The prices; None where the model has none."""
        cards = [c for c in self.cards[model] if c[1] <= version and c[0] <= minute_ms]
        return max(cards)[2] if cards else None

    def costs(self, key, sums, version):
        """COSTS of what was sent of a (tenant, route, model, minute)."""
        if not sums["responses"]:
            return dict.fromkeys(COSTS, 0)
        prices = (self.holding(key[2], version, key[3]) or
                  self.holding("*", version, key[3]))  # PRICE_DEFAULT, where it is set
        prompt, cached, completion = (sums[n] for n in SUMS[3:])
        if not prices:
            return dict(zip(COSTS, (0, sums["responses"], prompt + completion)))
        cost = decimal.Decimal(0)
        for price, tokens in zip(prices, (prompt - cached, cached, completion)):
            cost = EXACT.add(cost, EXACT.multiply(price, tokens))
        return dict(zip(COSTS, (cost, 0, 0)))


def read_histograms(oldest_ms):
    """(tenant, route, model, minute) to its counts by bucket index."""
    names = ", ".join(f"'{t}'" for t in TENANTS)
    rows = read_rows("the histograms", (
        "SELECT tenant_id, route, model, extract(epoch FROM window_start)::bigint * 1000, "
        "encode(latency_hdr, 'hex') FROM llm_metrics WHERE latency_hdr IS NOT NULL "
        f"AND tenant_id IN ({names}) AND window_start >= to_timestamp({oldest_ms / 1000})"))
    return {(t, r, m, int(start)): hdr_decode(bytes.fromhex(blob)) for t, r, m, start, blob in rows}


def hdr_decode(blob):
    """HdrHistogram V2: a 40-byte head, then counts as zigzag LEB128; a negative one is a run of zeros."""
    if int.from_bytes(blob[:4], "big") & ~0xf0 != 0x1c849303:
        raise Failure("latency_hdr is not an HdrHistogram in V2 encoding")
    counts, index, at = collections.Counter(), 0, 40
    end = at + int.from_bytes(blob[4:8], "big")
    while at < end:
        value, shift = 0, 0
        while True:
            byte, at = blob[at], at + 1
            if shift == 56:  # the ninth byte is whole
                value |= byte << shift
                break
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                break
        value = (value >> 1) ^ -(value & 1)
        if value < 0:
            index -= value
        else:
            if value:
                counts[index] = value
            index += 1
    return counts


def hdr_highest(index):
    """The greatest value of a bucket, at two significant digits: 256 sub-buckets, half of them used."""
    bucket, sub = (index >> 7) - 1, (index & 127) + 128
    if bucket < 0:
        bucket, sub = 0, sub - 128
    return (sub << bucket) + (1 << bucket) - 1


def quantile(counts, q):
    rank, seen = math.ceil(q * sum(counts.values())), 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return hdr_highest(index)
    return 0


# --- comparing --------------------------------------------------------------------------------------


def added(new, old, name):
    """What came to a field since `old` was read."""
    if name == COSTS[0]:
        return EXACT.subtract(decimal.Decimal(new.get(name, "0")), decimal.Decimal(old.get(name, "0")))
    return new.get(name, 0) - old.get(name, 0)


def differences(truth, prices, before, now):
    """What the API does not show as it was sent; empty when all is there."""
    found = []
    for key in set(truth) | set(now):
        expected = truth[key].sums if key in truth else collections.Counter()
        old, new = before.get(key, {}), now.get(key, {})
        wanted = {**{name: expected[name] for name in SUMS},
                  **prices.costs(key, expected, new.get("price_version", 0))}
        found += [(key, name, value, added(new, old, name)) for name, value in wanted.items()
                  if added(new, old, name) != value]
    return found


def wait_equal(url, truth, prices, before, oldest_ms):
    wanted = sum(cell.sums["requests"] + cell.sums["responses"] for cell in truth.values())
    deadline = time.monotonic() + WAIT_S
    while True:
        now = read_metrics(url, oldest_ms)
        found = differences(truth, prices, before, now)
        if not found:
            progress(None)
            return now
        counted = sum(row[n] - before.get(key, {}).get(n, 0)
                      for key, row in now.items() for n in ("requests", "responses"))
        progress(f"counted {counted} of {wanted} requests and answers")
        if time.monotonic() > deadline:
            progress(None)
            lines = [f"{' '.join(map(str, key[:3]))} {rfc3339(key[3])}: {name} is {got}, sent was {expected}"
                     for key, name, expected, got in sorted(found)[:10]]
            raise Failure(f"after {WAIT_S:.0f} s the metrics are not what was sent; {len(found)} differences:\n  "
                          + "\n  ".join(lines))
        time.sleep(0.25)


def by_model(truth, before, now, hist_before, hist_now):
    """Per model: sums as the API shows them, and the merged histogram; less what was there before."""
    table = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    for key, row in now.items():
        sums, merged = table[key[2]]
        for name in (*SUMS, *COSTS):
            sums[name] += added(row, before.get(key, {}), name)
        merged.update(hist_now.get(key, {}))
        merged.subtract(hist_before.get(key, {}))
    for model, (_, merged) in table.items():
        latencies = sorted(v for key, cell in truth.items() if key[2] == model for v in cell.latencies_us)
        check_quantiles(model, latencies, +merged)
    return table


def check_quantiles(model, latencies, merged):
    if sum(merged.values()) != len(latencies):
        raise Failure(f"{model}: the histograms hold {sum(merged.values())} latencies, sent were {len(latencies)}")
    for q in (0.5, 0.95):
        if latencies:
            exact, got = latencies[math.ceil(q * len(latencies)) - 1], quantile(merged, q)
            if abs(got - exact) > exact / 100 + 1:
                raise Failure(f"{model}: p{q * 100:.0f} is {got} us, of what was sent it is {exact} us")


# --- the terminal -----------------------------------------------------------------------------------

last_progress = [0.0]


def progress(text):
    """One line that changes, on a terminal; a line every five seconds elsewhere."""
    if sys.stdout.isatty():
        print("\r\033[K" + (f"  {text}" if text else ""), end="", flush=True)
    elif text and time.monotonic() - last_progress[0] > 5:
        last_progress[0] = time.monotonic()
        print("  " + text, flush=True)


def print_table(table):
    head = ("model", "requests", "answered", "errors", "p50 ms", "p95 ms", "prompt tok", "of it cached", "compl. tok",
            "cost USD", "unpriced")
    lines, total = [], (collections.Counter(), collections.Counter())
    for model in sorted(table):
        lines.append(table_line(model, *table[model]))
        total[0].update(table[model][0])
        total[1].update(table[model][1])
    lines.append(table_line("all", *total))
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    rule = "  " + "  ".join("-" * w for w in widths)
    print()
    for number, line in enumerate([head, *lines]):
        if number in (1, len(lines)):
            print(rule)
        print("  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))))


def table_line(name, sums, merged):
    merged = +merged
    unpriced = sums["unpriced_requests"]
    cost = "-" if unpriced and unpriced == sums["responses"] else f"{sums[COSTS[0]]:.4f}"
    return (name, str(sums["requests"]), str(sums["responses"]), str(sums["errors"]),
            f"{quantile(merged, 0.5) / 1000:.1f}", f"{quantile(merged, 0.95) / 1000:.1f}",
            str(sums["prompt_tokens"]), str(sums["cached_prompt_tokens"]), str(sums["completion_tokens"]),
            cost, str(unpriced))


def demo():
    ingest, metrics = os.environ["INGEST_URL"], os.environ["METRICS_URL"]
    with keys_where_asked(((metrics + "/v1/metrics?limit=1", None), (ingest + "/v1/llm/events", b"[]"))):
        compare(ingest, metrics)


def compare(ingest, metrics):
    count = int(os.environ.get("DEMO_REQUESTS", "4000"))
    now_ms = int(time.time() * 1000)
    run_id = f"{now_ms:x}"  # new ids each time: the same ones would be duplicates, and count nothing
    rng = random.Random(os.environ.get("DEMO_SEED", "1"))
    events, truth, said = make_traffic(rng, count, now_ms, run_id)
    oldest_ms = (now_ms - SPAN_S * 1000) // 60000 * 60000
    before, hist_before, prices = read_metrics(metrics, oldest_ms), read_histograms(oldest_ms), Prices()
    print(f"demo: {count} requests of {len(TENANTS)} tenants over the last {SPAN_S // 60} minutes", flush=True)
    send(ingest, events)
    started = time.monotonic()
    now = wait_equal(metrics, truth, prices, before, oldest_ms)
    waited = time.monotonic() - started
    print_table(by_model(truth, before, now, hist_before, read_histograms(oldest_ms)))
    print("\n  unpriced: answers of a model that has no price; their cost is unknown and not in the sum.")
    print(f"  Each number is what was sent ({said['repeated']} repeated events counted once, "
          f"{said['unanswered']} requests without an answer); all counted {waited:.1f} s after the last event.")
    for tenant in TENANTS:
        print(f"  {metrics}/v1/metrics?tenant_id={tenant}{'   (with a key of the tenant)' if keys else ''}")
    print(f"  {ingest}/metrics  {metrics}/metrics   (how the services themselves are)")


if __name__ == "__main__":
    try:
        demo()
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
