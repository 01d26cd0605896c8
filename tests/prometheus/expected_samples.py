# SPDX-License-Identifier: Apache-2.0
"""What samples rows must give, by the text alone: "Samples" of metrics-api/prometheus/README.md, and METRICS.md. Exact
integers, slow and plain. Stamps are in ms; minutes and days count from 1970."""
import bisect
import collections
import json
import struct

MINUTE, DAY = 60_000, 86_400_000
FILL = 5  # minutes behind a window that have samples
HDR_HEADER = struct.Struct(">IiiiqqQ")

PROMPT = ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
SECONDS, USD = 10 ** 6, 10 ** 12
LE_LATENCY = [f"{0.01 * 2 ** n:.2f}" for n in range(14)]
LE_TTFT = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0".split()

# name, the label beyond those of all and its value, what is added, what is taken off, by what it is divided
Column = collections.namedtuple("Column", "name label value plus minus divisor")


def column(name, plus, minus=(), divisor=1, label=None, value=None):
    return Column(name, label, value, plus, minus, divisor)


DURATION, FIRST = "gen_ai_client_operation_duration_seconds", "gen_ai_server_time_to_first_token_seconds"
COUNTERS = [
    column(DURATION + "_count", ("latency_count",)),
    column(DURATION + "_sum", ("latency_sum_us",), divisor=SECONDS),
    column(FIRST + "_count", ("ttft_count",)),
    column(FIRST + "_sum", ("ttft_sum_us",), divisor=SECONDS),
    *(column("gen_ai_client_token_usage_count", ("responses",), label="gen_ai_token_type", value=v)
      for v in ("input", "output")),
    column("gen_ai_client_token_usage_sum", PROMPT, label="gen_ai_token_type", value="input"),
    column("gen_ai_client_token_usage_sum", ("completion_tokens",), label="gen_ai_token_type", value="output"),
    column("gen_ai_usage_cost_USD_count", ("responses",), ("unpriced_requests",)),
    column("gen_ai_usage_cost_USD_sum", ("cost_pusd",), divisor=USD),
    *(column("llm_cost_usd_total", (f"cost_{v}_pusd",), divisor=USD, label="class", value=v) for v in
      ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "request")),
    *(column("llm_tokens_total", (plus,), minus, label="class", value=v) for v, plus, minus in (
        ("input", "uncached_prompt_tokens", ()), ("cached_input", "cached_prompt_tokens", ()),
        ("cache_write_5m", "cache_write_5m_tokens", ()), ("cache_write_1h", "cache_write_1h_tokens", ()),
        ("output", "completion_tokens", ("reasoning_tokens",)), ("reasoning", "reasoning_tokens", ()))),
    column("llm_generation_seconds_total", ("generation_us",), divisor=SECONDS),
    column("llm_reported_cost_usd_total", ("reported_cost_pusd",), divisor=USD),
    *(column(f"llm_{field}_total", (field,)) for field in (
        "clamped_usage", "generation_tokens", "guessed_requests", "reported_requests", "requests", "responses",
        "unanswered", "unpriced_requests", "unpriced_tokens", "without_latency")),
]
GAUGES = [
    *(column(f"llm_minute_{field}", (field,)) for field in (
        "requests", "responses", "errors", "unanswered", "completion_tokens", "cached_prompt_tokens",
        "uncached_prompt_tokens", "reasoning_tokens", "generation_tokens", "unpriced_requests", "unpriced_tokens",
        "guessed_requests", "reported_requests", "latency_count", "ttft_count")),
    column("llm_minute_in_flight", ("requests",), ("responses", "unanswered")),
    column("llm_minute_prompt_tokens", PROMPT),
    column("llm_minute_cache_write_tokens", PROMPT[2:]),
    *(column(f"llm_minute_{name}", (of,), divisor=USD) for name, of in (
        ("estimated_cost_usd", "cost_pusd"), ("reported_cost_usd", "reported_cost_pusd"),
        ("cache_savings_usd", "cache_savings_pusd"))),
    *(column(f"llm_minute_{name}", (of,), divisor=SECONDS) for name, of in (
        ("generation_seconds", "generation_us"), ("latency_seconds", "latency_sum_us"), ("ttft_seconds", "ttft_sum_us"),
        ("max_latency_seconds", "latency_max_us"), ("max_ttft_seconds", "ttft_max_us"))),
]
COLUMNS = sorted({name for c in COUNTERS + GAUGES for name in c.plus + c.minus})


# ---- rows ----


def hdr_counts(raw):
    """{lowest value of a bucket in µs: how many}, of HdrHistogram V2 (uncompressed, 2 digits)."""
    counts, at, index = {}, HDR_HEADER.size, 0
    if not raw:
        return counts
    assert HDR_HEADER.unpack_from(raw)[0] == 0x1c849313
    while at < len(raw):
        value = shift = 0
        while True:
            byte, at = raw[at], at + 1
            value |= (byte if shift == 56 else byte & 127) << shift
            shift += 7
            if shift > 56 or byte < 128:
                break
        value = value >> 1 ^ -(value & 1)
        if value < 0:
            index -= value
        else:
            if value:
                counts[lowest(index)] = value
            index += 1
    return counts


def lowest(index):
    """256 buckets of width 1, then 128 of each power of two."""
    return index if index < 256 else (128 + index % 128) << (index // 128 - 1)


def buckets(counts, bounds):
    """Cumulative, by label: a histogram's bucket counts for a bound when it begins at or below it."""
    have = {le: sum(n for us, n in counts.items() if us <= round(float(le) * SECONDS)) for le in bounds}
    return {**have, "+Inf": sum(counts.values())} if counts else {}


VARIANTS = ((DURATION + "_bucket", "le"), (FIRST + "_bucket", "le"), ("llm_errors_total", "error_type"),
            ("llm_finish_reasons_total", "gen_ai_response_finish_reasons"))


class Row:
    """A window of a series, a minute or an hour. minute: where it begins. variants: {(name, label): {value: count}}"""

    def __init__(self, names, minute, facts, variants):
        self.names, self.minute, self.facts, self.variants = names, minute, facts, dict(zip(VARIANTS, variants))

    def value(self, of):
        return sum(self.facts[n] for n in of.plus) - sum(self.facts[n] for n in of.minus)


def stored_row(have):
    histograms = (hdr_counts(bytes.fromhex((have[name] or "")[2:])) for name in ("latency_hdr", "ttft_hdr"))
    return Row((have["tenant_id"], have["route"], have["model"]), have["minute"],
               {name: int(have[name]) for name in COLUMNS},
               [*(buckets(counts, le) for counts, le in zip(histograms, (LE_LATENCY, LE_TTFT))), have["error_classes"],
                have["finish_reasons"]])


def read_rows(sql, table="llm_minute"):
    """All rows. sql: a psql_session."""
    columns = ", ".join(f"{name}::text" for name in COLUMNS)
    lines = sql("SELECT row_to_json(x) FROM (SELECT tenant_id, route, model, (extract(epoch FROM window_start) / 60)"
                f"::bigint AS minute, {columns}, latency_hdr, ttft_hdr, error_classes, finish_reasons"
                f" FROM {table} JOIN llm_series USING (series_id) ORDER BY series_id, window_start) x")
    return [stored_row(json.loads(line)) for line in lines]


def minutes_of(hour):
    """What an hour counted, evenly: the first n minutes have n / 60 of it, in whole units. Maxima are the hour's, and
    buckets there are none."""
    def share(v, n):
        cut = lambda parts: abs(v) * parts // 60
        return (cut(n + 1) - cut(n)) * (1 if v >= 0 else -1)
    for n in range(60):
        facts = {name: v if "_max_" in name else share(v, n) for name, v in hour.facts.items()}
        classes = ({name: share(count, n) for name, count in hour.variants[of].items() if share(count, n)}
                   for of in VARIANTS[2:])
        yield Row(hour.names, hour.minute + n, facts, [{}, {}, *classes])


def served(minutes, hours, minutes_from):
    """The rows that samples are made of; minutes_from: in ms, where those begin that are kept."""
    kept = [row for row in minutes if row.minute * MINUTE >= minutes_from]
    return kept + [row for hour in hours if hour.minute * MINUTE < minutes_from for row in minutes_of(hour)]


# ---- samples ----


def day_of(stamp):
    """A stamp belongs to the day of the instant before it."""
    return (stamp - 1) // DAY


def gauge_samples(counts, through):
    """counts: {minute: integer}, of windows that are served."""
    found = {(minute + 1) * MINUTE: value for minute, value in counts.items()}
    for minute in counts:
        behind = (minute + 2) * MINUTE
        if minute + 1 not in counts and behind <= through:
            found[behind] = 0
    return sorted(found.items())


class Counted:
    """A series' windows that are served; each begins at one of these minutes, which ascend."""

    def __init__(self, minutes, through):
        self.minutes, self.midnights = minutes, [m * MINUTE for m in minutes if m * MINUTE % DAY == 0]
        behind = {(m + n) * MINUTE for m in minutes for n in range(2 + FILL)}
        self.stamps = sorted(stamp for stamp in behind if stamp <= through)

    def samples(self, counts, from_minute=None):
        """counts: {minute: integer}; what is not in it counts 0. From a window's start on, where one is given."""
        ends, sums, total = [(minute + 1) * MINUTE for minute in self.minutes], [0], 0
        for minute in self.minutes:
            total += counts.get(minute, 0)
            sums.append(total)

        def value(stamp):
            upto = bisect.bisect_right(ends, stamp)
            return sums[upto] - sums[bisect.bisect_right(ends, day_of(stamp) * DAY, 0, upto)]
        start = self.stamps[0] if from_minute is None else from_minute * MINUTE
        found = [(stamp, value(stamp)) for stamp in self.stamps[bisect.bisect_left(self.stamps, start):]]
        found += [(at + 1, 0) for at in self.midnights if at >= start and 0 != value(at) <= value(at + MINUTE)]
        return sorted(found)


def labels_of(names, label=None, value=None):
    tenant, route, model = names
    labels = {"tenant_id": tenant, "route": route, "model": model, "gen_ai_request_model": model, "service_name": route}
    return {**labels, label: value} if label else labels


def expected(rows, through, looked_from=None):
    """{metric's name: [(labels, [(stamp, value)])]}. rows: served(); through: the last stamp that is served;
    looked_from: the first stamp that is asked for, of whose day on variants are looked for."""
    series = collections.defaultdict(list)
    for row in rows:
        if (row.minute + 1) * MINUTE <= through:
            series[row.names].append(row)
    found = collections.defaultdict(list)
    for names, own in sorted(series.items()):
        own.sort(key=lambda row: row.minute)
        counted = Counted([row.minute for row in own], through)

        def add(name, samples, divisor=1, label=None, value=None, names=names):
            found[name].append((labels_of(names, label, value), [(t, v / divisor) for t, v in samples]))
        for of in COUNTERS:
            add(of.name, counted.samples({r.minute: r.value(of) for r in own}), of.divisor, of.label, of.value)
        for of in GAUGES:
            add(of.name, gauge_samples({r.minute: r.value(of) for r in own}, through), of.divisor)
        for name, label in own[0].variants:
            first, counts = {}, collections.defaultdict(dict)
            for row in own:
                for value, n in row.variants[name, label].items():
                    counts[value][row.minute] = n
                    if looked_from is None or row.minute * MINUTE // DAY >= day_of(looked_from):
                        first.setdefault(value, row.minute)
            for value, minute in first.items():
                add(name, counted.samples(counts[value], minute), 1, label, value)
    return found


def cut(samples, after):
    """Those behind a stamp."""
    kept = {name: [(labels, [p for p in points if p[0] > after]) for labels, points in series]
            for name, series in samples.items()}
    return {name: [(labels, points) for labels, points in series if points] for name, series in kept.items()}


def as_points(name, series):
    """Of one metric, as compare.Answer has them: {labels: {stamp: value}}."""
    return {tuple(sorted({"__name__": name, **labels}.items())): dict(points) for labels, points in series}


# ---- for Prometheus ----


def openmetrics(samples):
    """The lines of a file that promtool makes blocks of. All are of unknown type, so that names may be as they are."""
    for name, series in sorted(samples.items()):
        yield f"# TYPE {name} unknown\n"
        for labels, points in series:
            inside = ",".join(f'{k}="{escaped(v)}"' for k, v in labels.items())
            for stamp, value in points:
                # It reads seconds as a double and cuts what is behind the ms: so a little is added.
                yield f"{name}{{{inside}}} {value!r} {stamp // 1000}.{stamp % 1000:03}4\n"
    yield "# EOF\n"


def escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
