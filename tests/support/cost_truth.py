# SPDX-License-Identifier: Apache-2.0
"""What stored rows must hold, and cost by any version of the catalogue, out of the raw events alone: usage lines as
they are counted, priced in Decimal."""
import bisect
import collections

from prices import (EXACT, TOKEN_CLASSES, UNPRICED, USAGE_LINES, band_of, cache_savings, class_costs, tier_of,
                    usage_of)

MINUTE = 60
OTHER = "__other__"
NAMES = ("tenant_id", "route", "model")
CLASSES = (*TOKEN_CLASSES, "request")
SENT_TOKENS = ("cached_prompt_tokens", "cache_write_tokens", "cache_write_1h_tokens", "completion_tokens",
               "reasoning_tokens")
# What usage costs; each is additive.
COSTS = ("cost_pusd", *(f"cost_{name}_pusd" for name in CLASSES), "cache_savings_pusd", "unpriced_requests",
         "unpriced_tokens", "guessed_requests")

Line = collections.namedtuple("Line", ("model", "asked", "tier", "above"))


class Row:
    """lines: {Line: [requests, tokens of each class]}"""
    __slots__ = ("requests", "responses", "lines")

    def __eq__(self, other):
        return (self.requests, self.responses, self.lines) == (other.requests, other.responses, other.lines)

    def __init__(self):
        self.requests = self.responses = 0
        self.lines = {}

    def fold(self):
        """The lines that a row keeps, and one of the rest."""
        names = sorted(self.lines, key=lambda n: (n.model.encode(), n.asked.encode(), n.tier.encode(), n.above))
        rest = [self.lines.pop(name) for name in names[USAGE_LINES:]]
        if rest:
            self.lines[Line(OTHER, "", "", 0)] = [sum(column) for column in zip(*rest)]


class Truth:
    """forms: of names under which a price is not looked for as they are, the ones under which it is, in order."""

    def __init__(self, catalogue, forms):
        self.catalogue, self.forms = catalogue, forms
        self.requests, self.answers = {}, {}
        self.cuts, self.known = [], {}

    def add(self, events):
        """The first of an id counts."""
        for event in events:
            (self.requests if event["type"] == "request" else self.answers).setdefault(event["request_id"], event)

    def answered(self):
        return sum(id_ in self.requests for id_ in self.answers)

    def rows(self, series):
        """{(tenant, route, model, minute): Row}. series: the (tenant, route, model) that have rows; what is of none of
        them is in its tenant's row of the rest."""
        rows = collections.defaultdict(Row)
        for id_, request in self.requests.items():
            whose = tuple(request[name] for name in NAMES)
            whose = whose if whose in series else (whose[0], OTHER, OTHER)
            row = rows[(*whose, request["timestamp"] // 60_000 * MINUTE)]
            row.requests += 1
            if id_ in self.answers:
                self.count(row, request, self.answers[id_])
        for row in rows.values():
            row.fold()
        return dict(rows)

    def count(self, row, request, answer):
        row.responses += 1
        prompt = answer.get("prompt_tokens", request.get("prompt_tokens"))
        usage = usage_of(prompt, *(answer.get(name) for name in SENT_TOKENS), None)[0]
        model, asked = answer.get("model") or request["model"], request["model"]
        line = Line(model, asked if asked != model else "", tier_of(answer.get("service_tier")), band_of(usage))
        sums = row.lines.setdefault(line, [0] * (1 + len(usage)))
        for n, tokens in enumerate((1, *usage)):
            sums[n] += tokens

    # ---- what it costs ----

    def costs(self, key, lines, version):
        """Of lines of the row with that key: COSTS and their values."""
        total = collections.Counter(dict.fromkeys(COSTS, 0))
        for line, (requests, *tokens) in lines.items():
            rates, guessed = self.rates(key[0], key[3], line, version)
            if rates == UNPRICED:
                total["unpriced_requests"] += requests
                total["unpriced_tokens"] += sum(tokens)
                continue
            for name, amount in zip(CLASSES, class_costs(rates, tokens, requests)):
                total[f"cost_{name}_pusd"] += pico(amount)
                total["cost_pusd"] += pico(amount)
            total["cache_savings_pusd"] += pico(cache_savings(rates, tokens))
            total["guessed_requests"] += guessed and requests
        return dict(total)

    def rates(self, tenant, at_s, line, version):
        """Between two instants at which some card begins no price changes."""
        if line.model == OTHER:
            return UNPRICED, False
        key = (tenant, bisect.bisect_right(self.cuts, at_s), line, version)
        if key not in self.known:
            names = [self.forms.get(name, (name,)) for name in line[:2] if name]
            self.known[key] = self.catalogue.rates(version, at_s, tenant, names, line.tier, line.above)
        return self.known[key]

    def add_prices(self, text, version):
        """The lines of a price file as one version."""
        self.catalogue.add_file(text, version)
        self.cuts = sorted({card.effective_s for cards in self.catalogue.cards.values() for card in cards})
        self.known = {}


def pico(usd):
    amount = usd.scaleb(12, EXACT)
    assert amount == int(amount), usd
    return int(amount)
