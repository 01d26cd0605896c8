# SPDX-License-Identifier: Apache-2.0
"""What usage costs, written apart from the C code and in Decimal USD: price files read with csv, the rules of
common/core/usage.h and price.h in their plainest form. Names are not taken apart here: who asks gives the
forms under which a name is to be looked up."""
import collections
import csv
import datetime
from decimal import ROUND_HALF_UP, Context, Decimal

PICODOLLAR = Decimal(1).scaleb(-12)
EXACT = Context(prec=80)  # no sum or product here has more digits
BANDS = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000, 1_000_000)
STANDARD_TIERS = ("", "auto", "default", "standard", "on_demand")
EXCLUDE_CACHED = ("anthropic", "bedrock", "aws.bedrock", "aws_bedrock", "amazon_bedrock")
TOKENS_PER_UNIT = {"USD/Mtok": 6, "USD/ktok": 3, "USD/tok": 0}  # powers of ten
WITHDRAWN = "none"  # as a unit
TOKEN_CLASSES = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning")
EVER = -1 << 62
USAGE_LINES = 64  # a row keeps so many usage lines; the bytewise greatest go into one that no price fits
UNPRICED, GUESSED = "unpriced", "guessed"

# Tokens of one answer in disjoint classes; output is without reasoning.
Usage = collections.namedtuple("Usage", TOKEN_CLASSES)


def usage_of(prompt, cached, write, write_1h, completion, reasoning, provider):
    """(Usage, whether something was clamped); None is what was not sent."""
    clamped = False

    def without(whole, part):
        nonlocal clamped
        if whole is None:
            return 0
        clamped = clamped or whole < part
        return max(0, whole - part)

    cached, write_1h, reasoning = cached or 0, write_1h or 0, reasoning or 0
    write_5m = without(write, write_1h)
    if provider is not None and provider.lower() in EXCLUDE_CACHED:
        uncached = prompt or 0
    else:
        uncached = without(prompt, cached + write_5m + write_1h)
    output = without(completion, reasoning)
    return Usage(uncached, cached, write_5m, write_1h, output, reasoning), clamped


def band_of(usage):
    prompt = sum(usage[:4])
    return max((b for b in BANDS if prompt > b), default=0)


def tier_of(tier):
    tier = (tier or "").lower()
    return "" if tier in STANDARD_TIERS else tier


class Card:
    def __init__(self, version, rows):
        first = rows[0]
        self.version, self.model = version, first["model"]
        self.names = {n.lower() for n in [self.model, *(first.get("aliases") or "").split()]}
        self.effective_s = EVER
        if first.get("effective_from"):
            at = datetime.datetime.fromisoformat(first["effective_from"].replace("Z", "+00:00"))
            self.effective_s = int(at.timestamp())
        self.discount = Decimal(first["discount_percent"]) / 100 if first.get("discount_percent") else None
        self.withdrawn = first["unit"] == WITHDRAWN
        self.lines = {}
        for row in rows if not self.withdrawn else ():
            power = TOKENS_PER_UNIT[row["unit"]]
            line = {c: Decimal(row[c]).scaleb(-power) if row.get(c) else None for c in TOKEN_CLASSES}
            line["request"] = Decimal(row.get("request") or 0)
            self.lines[row.get("tier") or "", int(row.get("above_tokens") or 0)] = fall_back(line)

    def line_for(self, tier, band):
        of_tier = [above for t, above in self.lines if t == tier and above <= band]
        return self.lines[tier, max(of_tier)] if of_tier else None


def fall_back(line):
    for name, other in (("cached_input", "input"), ("cache_write_5m", "input"), ("cache_write_1h", "cache_write_5m"),
                        ("reasoning", "output")):
        if line[name] is None:
            line[name] = line[other]
    return {name: price if price is not None else Decimal(0) for name, price in line.items()}


class Catalogue:
    def __init__(self):
        self.cards = collections.defaultdict(list)  # (tenant, model) to its cards

    def add_file(self, text, version):
        """The lines of a price file as one version."""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        cards = collections.defaultdict(list)
        for row in csv.DictReader(lines):
            cards[row.get("tenant") or "", row["model"], row.get("effective_from")].append(row)
        for (tenant, model, _), rows in cards.items():
            self.cards[tenant, model].append(Card(version, rows))

    def card(self, version, at_s, tenant, name):
        """The card that bears the name exactly."""
        found = []
        for (of, _), cards in self.cards.items():
            holding = [c for c in cards if of == tenant and c.version <= version and c.effective_s <= at_s]
            if holding:
                found.append(max(holding, key=lambda c: (c.effective_s, c.version)))
        return next((c for c in found if not c.withdrawn and name.lower() in c.names), None)

    def rates(self, version, at_s, tenant, names, tier, band):
        """USD a token by class, then a request: of the first name that is found; or UNPRICED. And whether they
        are guessed. names: for the answered and the asked model each the forms to look for, in order."""
        for forms in names:
            for of in (tenant, ""):
                for form in forms:
                    card = self.card(version, at_s, of, form)
                    if card:
                        return self.of_card(version, at_s, tenant, of, card, forms, tier, band)
        card = self.card(version, at_s, "", "*")
        if not card:
            return UNPRICED, False
        found = self.of_card(version, at_s, tenant, "", card, (), tier, band)[0]
        return found, found != UNPRICED

    def of_card(self, version, at_s, tenant, of, card, forms, tier, band):
        discount = None
        if card.discount is not None:
            discount, card = card, next(filter(None, (self.card(version, at_s, "", f) for f in forms)), None)
        elif of != tenant:
            discount = self.card(version, at_s, tenant, "*")
        line = card and card.line_for(tier, band)
        if not line:
            return UNPRICED, False
        if discount:
            line = {name: (price * (1 - discount.discount)).quantize(PICODOLLAR, ROUND_HALF_UP)
                    for name, price in line.items()}
            line["request"] += discount.lines["", 0]["request"]
        return tuple(line[name] for name in (*TOKEN_CLASSES, "request")), False


def class_costs(rates, usage, requests=1):
    """USD by class, exact; that of requests is the last."""
    return [EXACT.multiply(price, n) for price, n in zip(rates, (*usage, requests))]


def cost(rates, usage, requests=1):
    """USD, exact."""
    return exact_sum(class_costs(rates, usage, requests))


def cache_savings(rates, usage):
    """USD: the tokens that went through a cache at the price of input, less what they cost as they were paid."""
    through = slice(1, 4)
    return EXACT.subtract(EXACT.multiply(rates[0], sum(usage[through])),
                          exact_sum(class_costs(rates, usage)[through]))


def exact_sum(amounts):
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
