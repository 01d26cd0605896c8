# SPDX-License-Identifier: Apache-2.0
"""Asks a question and compares what comes, to the last digit, with what the oracle says."""
import csv
import datetime
import gzip
import http.client
import io
import json
import math
import time
from decimal import Decimal

from question_maker import LISTS, USUAL
from question_oracle import (HIST_MAX_US, MINUTE, NAMES, Facts, derive, derive_cost, percentile_fields,
                             percentile_us)

NO_MEASURES = (*NAMES, "window_start", "window_end", "price_version", "revision", "publish_seq", "late", "updated_at",
               "estimated_cost_usd_decimal", "reported_cost_usd_decimal", "error_classes", "finish_reasons", "complete",
               "lossy", "settled")
BORDERS_US = sorted([0] + [(2 << k) - 1 for k in range(32)] + [(3 << k) - 1 for k in range(31)])


class Wrong(AssertionError):
    pass


def expect(condition, *what):
    if not condition:
        raise Wrong(" ".join(map(repr, what)))


def stamp(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def members_once(pairs):
    expect(len({name for name, _ in pairs}) == len(pairs), "a member twice", pairs)
    return dict(pairs)


def parse_json(text):
    return json.loads(text, object_pairs_hook=members_once)


class Client:
    """A connection that stays."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.asked = 0

    def get(self, path, headers=None):
        """(status, headers, body)"""
        self.connection.request("GET", path, headers=headers or {})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.asked += 1
        return answer.status, answer.headers, body.decode("utf-8")

    def close(self):
        self.connection.close()


class Knowledge:
    """What is known beside the facts: from where on windows are open, and what the database says of closing."""

    def __init__(self, open_from, closed_through, began, strict=True):
        self.open_from, self.closed_through, self.began = open_from, closed_through, began
        self.strict = strict  # False while late windows are yet to be closed

    def is_complete(self, start, end, through):
        """Of a span with rows."""
        if end - start == MINUTE:
            return start < self.open_from
        return through is not None and end <= through


def order_key(key):
    start, _, group = key
    return start, tuple((name or "").encode() for name in group)


def sorted_cells(q, cells):
    names = lambda key: order_key(key)[1]
    ordered = sorted(cells, key=names)
    return sorted(ordered, key=lambda key: key[0], reverse=q.order == "desc")


class Checker:
    def __init__(self, oracle, client, knowledge):
        self.oracle, self.client, self.known = oracle, client, knowledge
        self.rows = self.pages = self.refused = 0

    # ---- asking ----

    def ask(self, q, **changed):
        """(status, headers, body) of a moment in which no minute began; q.frm and q.to are of it."""
        while True:
            q.resolve(int(time.time() * 1000))
            first = (q.frm, q.to)
            low = self.known.closed_through()
            answer = self.client.get(q.path(**changed))
            high = self.known.closed_through()
            q.resolve(int(time.time() * 1000))
            if (q.frm, q.to) == first:
                q.through_between = (low, high)
                return answer

    def check(self, q):
        status, headers, body = self.ask(q)
        if q.endpoint == "metrics" and q.fill != "none" and self.too_many_filled(q):
            self.refused += 1
            return expect(status == 400 and parse_json(body)["field"] == "fill", status, body[:500])
        expect(status == 200, status, body[:500])
        if q.format != "json":
            return self.check_text(q, headers, body)
        answer = parse_json(body)
        kind = "list" if q.endpoint in LISTS else q.endpoint
        getattr(self, "check_" + kind)(q, answer)
        expect(answer["from"] == stamp(q.frm) if q.frm is not None else "from" not in answer, "from", q.frm)
        expect(answer["to"] == stamp(q.to) if q.to is not None else "to" not in answer, "to", q.to)
        if kind != "list":
            self.check_about(q, answer, headers)

    def through_of(self, q, text):
        """The instant up to which all is closed, as the answer says it."""
        through = None if text is None else int(instant(text))
        low, high = q.through_between
        expect(through is not None or low is None, "data_through", text, low)
        if through is not None:
            # A closed range may have been answered before, when less was closed.
            old = low is not None and through < low and (q.to is None or through < q.to)
            expect(through <= high and not old, "data_through", through, low, high)
            expect(through % MINUTE == 0 and through <= time.time() - 10, "data_through", text)
        return through

    def check_about(self, q, answer, headers):
        expect(answer["percentile_error"] == 0.01, answer["percentile_error"])
        expect(headers["StreamLens-Data-Through"] == answer["data_through"], "header", answer["data_through"])
        expect(headers["StreamLens-Open-Windows"] == json.dumps(answer["open_windows"]), "open_windows")
        expect(headers["StreamLens-Next-Cursor"] == answer["next_cursor"], "cursor")

    # ---- rows of metrics ----

    def cells(self, q):
        """{(start, end, group): Facts} of rows and cells alike."""
        if q.cells:
            return self.oracle.cells(q, q.steps())
        return {(key[3], key[3] + MINUTE, key[:3]): facts for key, facts in self.oracle.rows(q)}

    def default_limit(self, q):
        if q.endpoint == "top":
            return 10
        return 60 if not q.cells and q.from_time is None and q.to_time is None else 10000

    def too_many_filled(self, q):
        groups = {key[2] for key in self.cells(q)} or ({(None,) * 3} if not q.group_by else set())
        return len(groups) * len(q.steps().all()) > (q.limit or self.default_limit(q))

    def wanted(self, q):
        """All rows of the answer in order: [(key, Facts or None where the step has none)]."""
        cells = self.cells(q)
        if q.fill != "none":
            groups = {key[2] for key in cells} or ({(None,) * 3} if not q.group_by else set())
            for start, end in q.steps().all():
                for group in groups:
                    cells.setdefault((start, end, group), None)
        return [(key, cells[key]) for key in sorted_cells(q, cells)]

    def check_metrics(self, q, answer):
        wanted = self.wanted(q)
        limit = q.limit or self.default_limit(q)
        expect(answer["count"] == len(answer["metrics"]), "count", answer["count"])
        expect((answer["next_cursor"] is not None) == (len(wanted) > limit), "next_cursor", len(wanted), limit)
        self.check_rows(q, answer["metrics"], wanted[:limit], answer["data_through"], answer["open_windows"])

    def check_rows(self, q, rows, wanted, through, open_windows):
        got = [tuple(row.get(n) for n in ("window_start", *NAMES) if n in row) for row in rows[:3]]
        expect(len(rows) == len(wanted), "rows", len(rows), "wanted", len(wanted), got)
        through = self.through_of(q, through)
        any_open = False
        for row, (key, facts) in zip(rows, wanted):
            expected = self.expected(q, key, facts, through)
            any_open |= expected["complete"] is False
            self.check_row(q, row, {name: expected[name] for name in q.shown()})
        if self.known.strict:
            expect(open_windows == any_open, "open_windows", open_windows, any_open)
        self.rows += len(rows)

    def expected(self, q, key, facts, through):
        start, end, group = key
        row = dict(zip(NAMES, group), window_start=stamp(start), window_end=stamp(end))
        empty = facts is None
        if empty and q.fill == "null":
            return {**dict.fromkeys(q.shown()), **row, "complete": None}
        facts = facts or Facts()
        row.update(derive(facts))
        percents = [name.split("_")[0][1:] for name in USUAL[:4]] + list(q.percents or ())
        row.update(percentile_fields(facts, percents))
        if not q.percents and not facts.latencies_us:
            row.update(dict.fromkeys(USUAL[:4], 0))
        if empty:
            complete = through is not None and end <= through
        else:
            complete = self.known.is_complete(start, end, through)
        row.update(complete=complete, settled=complete and row["in_flight"] == 0,
                   updated_at=None if empty else self.when, price_version=0 if empty else self.oracle.version,
                   revision=self.positive, publish_seq=self.natural, late=self.natural)
        return row

    def when(self, text):
        return self.known.began <= instant(text) <= time.time()

    @staticmethod
    def positive(n):
        return int(n) > 0

    @staticmethod
    def natural(n):
        return int(n) >= 0

    def check_row(self, q, row, expected):
        expect(list(row) == list(expected), "fields", list(row), list(expected))
        for name, want in expected.items():
            if name in ("complete", "settled") and not self.known.strict:
                continue
            same = csv_same if q.format == "csv" else json_same
            expect(same(row[name], want), name, "is", row[name], "wanted", want, expected)

    # ---- other formats ----

    def rows_of(self, q, headers, body):
        """The rows of any format, read by a reader of that format."""
        media = headers["Content-Type"]
        if q.format == "json":
            answer = parse_json(body)
            expect(media == "application/json", media)
            expect(answer["next_cursor"] == headers["StreamLens-Next-Cursor"], "cursor")
            return answer[q.endpoint]
        if q.format == "ndjson":
            expect(body == "" or body.endswith("\n"), "the last line has no end")
            expect(media == "application/x-ndjson", media)
            return [parse_json(line) for line in body.split("\n")[:-1]]
        expect(media.startswith("text/csv"), media)
        lines = list(csv.reader(io.StringIO(body, newline=""), strict=True))
        expect(lines[0] == q.shown(), "header line", lines[0])
        expect(all(len(line) == len(lines[0]) for line in lines), "cells a line")
        return [dict(zip(lines[0], line)) for line in lines[1:]]

    def check_text(self, q, headers, body):
        rows = self.rows_of(q, headers, body)
        through, is_open = headers["StreamLens-Data-Through"], headers["StreamLens-Open-Windows"] == "true"
        if q.endpoint == "top":
            return self.check_top_rows(q, rows, through, is_open)
        if q.endpoint == "cost":
            return self.check_cost_rows(q, rows, through, is_open)
        wanted, limit = self.wanted(q), q.limit or self.default_limit(q)
        expect((headers["StreamLens-Next-Cursor"] is not None) == (len(wanted) > limit), "cursor")
        return self.check_rows(q, rows, wanted[:limit], through, is_open)

    # ---- pages ----

    def check_pages(self, q, rng):
        """Pages of any size, in any format, are together the whole."""
        wanted, cursor, at = self.wanted(q), None, 0
        while True:
            small = len(wanted) < 300
            q.limit = rng.choice((1, 2, 7, 50, 333)) if small else rng.randrange(len(wanted) // 9, len(wanted))
            q.format = rng.choice(("json", "ndjson", "csv"))
            status, headers, body = self.ask(q, limit=q.limit, cursor=cursor, format=q.format)
            expect(status == 200, status, body[:500])
            page = wanted[at:at + q.limit]
            self.check_rows(q, self.rows_of(q, headers, body), page, headers["StreamLens-Data-Through"],
                            headers["StreamLens-Open-Windows"] == "true")
            at += len(page)
            self.pages += 1
            cursor = headers["StreamLens-Next-Cursor"]
            if cursor is None:
                return expect(at == len(wanted), "rows of all pages", at, len(wanted))
            expect(at < len(wanted), "a cursor behind the last row")

    def check_list_pages(self, q, rng):
        _, wanted = self.names_of(q)
        own, cursor, at = self.names_of(q)[0], None, 0
        while True:
            q.limit = rng.choice((1, 2, 5, 20))
            status, _, body = self.ask(q, limit=q.limit, cursor=cursor)
            expect(status == 200, status, body[:500])
            page = parse_json(body)
            names = [tuple(row[name] for name in own) for row in page[q.endpoint]]
            expect(names == [names for names, *_ in wanted[at:at + q.limit]], names, at)
            at += len(names)
            self.pages += 1
            cursor = page["next_cursor"]
            if cursor is None:
                return expect(at == len(wanted), "names of all pages", at, len(wanted))

    # ---- summary, top, heatmap ----

    def sides(self, q):
        length = q.to - q.frm
        found = {}
        for side, frm in (("now", q.frm), ("before", q.frm - length)):
            rows = [facts for _, facts in self.oracle.rows(q, frm, frm + length)]
            found[side] = Facts() if rows else None
            for facts in rows:
                found[side].add(facts)
        return found

    def check_summary(self, q, answer):
        expect(answer["before_from"] == stamp(q.frm - (q.to - q.frm)), answer["before_from"])
        through = self.through_of(q, answer["data_through"])
        key = (q.frm, q.to, (None,) * 3)
        sides = {side: facts and self.expected(q, key, facts, through) for side, facts in self.sides(q).items()}
        measures = [name for name in q.shown() if name not in NO_MEASURES]
        expect(list(answer["summary"]) == measures, list(answer["summary"]), measures)
        for name in measures:
            now, before = (side and side[name] for side in (sides["now"], sides["before"]))
            got = answer["summary"][name]
            change = None if now is None or before is None or before == 0 else (now - before) / before
            for member, want in (("now", now), ("before", before), ("change", change)):
                expect(json_same(got[member], want), name, member, got, "wanted", want)
        if self.known.strict:
            expect(answer["open_windows"] == bool(sides["now"] and not sides["now"]["complete"]), "open_windows")

    def check_top(self, q, answer):
        expect(answer["count"] == len(answer["top"]) and answer["next_cursor"] is None, answer["count"])
        cells = self.check_top_rows(q, answer["top"], answer["data_through"], answer["open_windows"])
        if not cells:
            return expect(answer["total"] is None, answer["total"])
        total = Facts()
        for facts in cells.values():
            total.add(facts)
        expected = self.expected(q, (q.frm, q.to, (None,) * 3), total, None)
        expected["complete"] = not answer["open_windows"]
        expected["settled"] = expected["complete"] and expected["in_flight"] == 0
        return self.check_row(q, answer["total"], {n: expected[n] for n in q.shown() if n not in NAMES})

    def check_top_rows(self, q, rows, through, open_windows):
        cells = self.oracle.cells(q, q.steps())

        def measure(facts):
            s = facts.sums
            if q.by == "p95":
                values = sorted(facts.latencies_us)
                return percentile_us(values, Decimal(95))[1] if values else -1
            tokens = sum(s[n] for n in ("uncached_prompt_tokens", "cached_prompt_tokens", "cache_write_5m_tokens",
                                        "cache_write_1h_tokens", "completion_tokens"))
            return {"cost": s["cost_pusd"], "requests": s["requests"], "errors": s["errors"], "tokens": tokens}[q.by]
        ordered = sorted(cells, key=lambda key: (-measure(cells[key]), order_key(key)))
        limit = q.limit or 10
        strict, self.known.strict = self.known.strict, False  # open_windows is of all, not of those that are shown
        self.check_rows(q, rows, [(key, cells[key]) for key in ordered[:limit]], through, None)
        self.known.strict = strict
        if strict:
            end = self.through_of(q, through)
            is_open = [not self.known.is_complete(key[0], key[1], end) for key in cells]
            expect(open_windows == any(is_open), "open_windows", open_windows)
        return cells

    # ---- cost ----

    def check_cost(self, q, answer):
        expect(answer["before_from"] == stamp(q.frm - (q.to - q.frm)), answer["before_from"])
        expect(answer["count"] == len(answer["cost"]) and answer["next_cursor"] is None, answer["count"])
        whole = self.check_cost_rows(q, answer["cost"], answer["data_through"], answer["open_windows"])
        if not whole:
            return expect(answer["total"] is None, answer["total"])
        expected = derive_cost(*whole, whole[0].sums["cost_pusd"])
        return self.check_row(q, answer["total"], {n: expected[n] for n in q.shown() if n not in NAMES})

    def check_cost_rows(self, q, rows, through, open_windows):
        """All groups now and before, or None."""
        length, sides, whole = q.to - q.frm, {}, (Facts(), Facts())
        for side, frm in enumerate((q.frm, q.frm - length)):
            for key, facts in self.oracle.rows(q, frm, frm + length):
                group = tuple(key[i] if name in q.group_by else None for i, name in enumerate(NAMES))
                of_group = sides.setdefault(group, [None, None])
                of_group[side] = of_group[side] or Facts()
                of_group[side].add(facts)
                whole[side].add(facts)
        cost = lambda group: sides[group][0].sums["cost_pusd"] if sides[group][0] else 0
        ordered = sorted(sides, key=lambda group: (-cost(group), order_key((0, 0, group))))[:q.limit or 100]
        expect(len(rows) == len(ordered), "rows", len(rows), "wanted", len(ordered))
        for row, group in zip(rows, ordered):
            expected = dict(zip(NAMES, group), **derive_cost(*sides[group], whole[0].sums["cost_pusd"]))
            self.check_row(q, row, {name: expected[name] for name in q.shown()})
        self.rows += len(rows)
        end = self.through_of(q, through)
        if self.known.strict:
            is_open = bool(whole[0].sums["requests"]) and not self.known.is_complete(q.frm, q.to, end)
            expect(open_windows == is_open, "open_windows", open_windows, is_open)
        return whole if sides else None

    def check_heatmap(self, q, answer):
        steps = q.steps()
        values = {}
        for (start, _, _), facts in self.oracle.cells(q, steps).items():
            of_step = facts.latencies_us if q.metric == "latency" else facts.ttfts_us
            values[start] = [min(v, HIST_MAX_US) for v in of_step]
        borders = [round(float(b) * 1000) for b in answer["buckets"][:-1]]
        expect(answer["buckets"][-1] == "+Inf" and answer["count"] == len(answer["heatmap"]), "buckets")
        every = [v for of_step in values.values() for v in of_step]
        self.check_borders(borders, every)
        expect(len(answer["heatmap"]) == len(steps.all()), "steps")
        for row, (start, end) in zip(answer["heatmap"], steps.all()):
            expect((row["window_start"], row["window_end"]) == (stamp(start), stamp(end)), row["window_start"])
            counts, below = {}, -1
            for name, border in zip(answer["buckets"], (*borders, math.inf)):
                counts[name] = sum(below < v <= border for v in values.get(start, ()))
                below = border
            expect({n: row[n] for n in counts} == counts and len(row) == len(counts) + 2, row, "wanted", counts)
        self.rows += len(answer["heatmap"])

    @staticmethod
    def check_borders(borders, values):
        """Those that tell the values apart, and no more."""
        finite = [b for b in BORDERS_US if b < 3 << 30]
        if not values:
            return expect(not borders, borders)
        low = next((b for b in finite if b >= min(values)), None)
        high = next((b for b in finite if b >= max(values)), finite[-1])
        return expect(borders == [b for b in finite if low is not None and low <= b <= high], borders, low, high)

    # ---- lists ----

    def names_of(self, q):
        """[(names, first, last, how many series)]"""
        own = {"series": NAMES, "tenants": ("tenant_id",), "routes": ("route",), "models": ("model",)}[q.endpoint]
        found = {}
        for key, _ in self.oracle.rows(q):
            names = dict(zip(NAMES, key))
            heads = ("route", "model") if q.endpoint == "series" else own
            if q.prefix is None or any(names[n].startswith(q.prefix) for n in heads):
                seen = found.setdefault(tuple(names[n] for n in own), (set(), set()))
                seen[0].add(key[3])
                seen[1].add(key[:3])
        ordered = sorted(found, key=lambda names: [n.encode() for n in names])
        return own, [(names, min(found[names][0]), max(found[names][0]), len(found[names][1])) for names in ordered]

    def check_list(self, q, answer):
        own, wanted = self.names_of(q)
        limit = q.limit or 10000
        rows = []
        for names, first, last, series in wanted[:limit]:
            row = dict(zip(own, names), first_seen=stamp(first), last_seen=stamp(last))
            rows.append(row if q.endpoint == "series" else {**row, "series": series})
        expect(answer[q.endpoint] == rows, answer[q.endpoint][:3], "wanted", rows[:3])
        expect(answer["count"] == len(rows) and (answer["next_cursor"] is not None) == (len(wanted) > limit), "count")
        self.rows += len(rows)


# ---- values ----------------------------------------------------------------------------------------

def json_same(got, want):
    if callable(want):
        return want(got)
    if isinstance(want, Decimal):
        return isinstance(got, str) and Decimal(got) == want
    if isinstance(want, float) and not isinstance(got, (str, bool)) and got is not None:
        return got == want or math.isclose(got, want, rel_tol=4e-16, abs_tol=0)
    return got == want and isinstance(got, bool) == isinstance(want, bool)


def csv_same(got, want):
    if want is None:
        return got == ""
    if isinstance(want, str):
        return got == ("'" + want if want[:1] in "=+-@\t\r" else want)
    if isinstance(want, bool):
        return got == str(want).lower()
    if isinstance(want, Decimal):
        return Decimal(got) == want
    if isinstance(want, dict):
        return parse_json(got) == want
    return json_same(got if callable(want) else float(got), want)


