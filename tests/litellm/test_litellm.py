# SPDX-License-Identifier: Apache-2.0
"""LiteLLM's real price list through deploy/admin/prices/litellm.h, against a reading of its own, made after what LiteLLM's
cost calculator does (litellm_core_utils/llm_cost_calc/utils.py, cost_calculator.py of the release that is pinned):
entry by entry and price by price."""
import collections
import hashlib
import json
import os
import re
import subprocess
import unittest
from decimal import ROUND_HALF_UP, Decimal

from stack import needed

SHA256 = "8f8060d8ce7a40c91b995c74d6a27657543d49e3c1c53430dabd556f244392c6"
ENTRIES, TAKEN = 4553, 3486
BANDS = (0, 32000, 100000, 128000, 200000, 256000, 272000, 512000, 1000000)
TIERS = {"": "", "batch": "_batches", "flex": "_flex", "priority": "_priority", "balanced": "_balanced",
         "ultrafast": "_ultrafast"}
MODES = ("chat", "completion", "responses", "embedding")
INPUT, OUTPUT, READ, WRITE = ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost",
                              "cache_creation_input_token_cost")
HOUR, REASONING, REQUEST = WRITE + "_above_1hr", "output_cost_per_reasoning_token", "input_cost_per_request"
# In the order of price.h.
CLASSES = (INPUT, READ, WRITE, HOUR, OUTPUT, REASONING, REQUEST)
INSTEAD = {READ: INPUT, WRITE: INPUT, HOUR: WRITE, REASONING: OUTPUT}


def whole(price):
    """To picodollars."""
    return None if price is None else int((Decimal(price) * 10 ** 12).quantize(Decimal(1), ROUND_HALF_UP))


def above(band):
    return f"_above_{band // 1000}k_tokens" if band else ""


class Entry:
    """What LiteLLM charges by an entry."""

    def __init__(self, entry):
        self.entry = entry
        self.ranges = sorted(entry.get("tiered_pricing") or [], key=lambda r: r["range"][0])
        self.bands = {r["range"][0] for r in self.ranges} | {
            int(m[1]) * 1000 for key in entry for m in [re.search(r"_cost(?:_per_token)?_.*?above_(\d+)k_tokens", key)]
            if m and key.startswith((INPUT, OUTPUT, READ, WRITE))}

    def get(self, name):
        """A price; that of output where there is none for embeddings."""
        price = self.entry.get(name)
        return Decimal(0) if price is None and name == OUTPUT and self.entry["mode"] == "embedding" else price

    def tiers(self):
        keys = [k for k in self.entry if k.startswith(CLASSES)]
        return [tier for tier, suffix in TIERS.items()
                if not tier or any(re.search(suffix + "(_|$)", k) for k in keys)]

    def of_range(self, name, prompt):
        chosen = [r for r in self.ranges if r["range"][0] < prompt][-1]
        if chosen.get(name) is not None:
            return whole(chosen[name])
        if name == REQUEST:
            return whole(self.get(name)) or 0
        return whole(self.get(OUTPUT)) if name == OUTPUT else self.of_range(INSTEAD[name], prompt)

    def of_batch(self, name, prompt):
        if name == REQUEST:
            return whole(self.get(name)) or 0
        crossed = [self.entry.get(f"{name}{above(b)}_batches") for b in BANDS if b < prompt]
        given = [p for p in crossed if p is not None]
        if given:
            return whole(given[-1])
        if name == OUTPUT:
            return int((Decimal(whole(self.get(OUTPUT))) / 2).quantize(Decimal(1), ROUND_HALF_UP))
        return self.of_batch(INSTEAD[name], prompt)

    def of_tier(self, name, suffix, prompt):
        """_get_token_base_cost and _resolve_reasoning_token_cost: the tier's key, else the standard one, of the highest
        band that the prompt exceeds and that has one."""
        if name == REQUEST:
            return whole(self.get(name)) or 0
        if name == REASONING and self.entry.get(name + suffix) is None and suffix and \
                self.entry.get(OUTPUT + suffix) is not None:
            return self.of_tier(OUTPUT, suffix, prompt)
        for band in reversed(BANDS):
            for key in (name + above(band) + suffix, name + above(band)):
                if band < prompt and self.get(key) is not None:
                    return whole(self.get(key))
        return self.of_tier(INSTEAD[name], suffix, prompt)

    def price(self, name, tier, prompt):
        if self.ranges:
            return self.of_range(name, prompt)
        return self.of_batch(name, prompt) if tier == "batch" else self.of_tier(name, TIERS[tier], prompt)


def other_output(entry):
    """What output costs by beside tokens of text."""
    keys = [k for k, v in entry.items() if k.startswith("output_cost_per_") and v
            and not k.startswith((OUTPUT, REASONING))]
    return None if entry.get("supported_output_modalities") == ["text"] else keys


def refusal(name, entry):
    """Of the real list; the module's own tests have the rest."""
    if name == "sample_spec":
        return "no model"
    if not entry.get("mode"):
        return "no mode"
    if entry["mode"] not in MODES:
        return "mode " + entry["mode"]
    starts = [r["range"][0] for r in entry.get("tiered_pricing") or []]
    for band in [int(x) * 1000 for k in entry for x in re.findall(r"_above_(\d+)k_tokens", k)] + starts:
        if band not in BANDS:
            return f"bands of {int(band) // 1000}k tokens are not counted apart"
    for key in other_output(entry) or ():
        for part, label in (("audio", "audio"), ("image", "images"), ("video", "video"), ("character", "characters")):
            if part in key:
                return "output costs by " + label
    if not starts and entry.get(INPUT) is None:
        return "no price of input tokens"
    return None


class RealList(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = os.path.join(needed("SL_LITELLM"), "prices.json")
        with open(path, "rb") as f:
            text = f.read()
        assert hashlib.sha256(text).hexdigest() == SHA256, f"{path} is another list"
        cls.list = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        tool = os.path.join(needed("SL_BUILD"), "tests", "integration", "litellm_tool")
        out = subprocess.run([tool], input=text, capture_output=True, check=True, timeout=60).stdout
        cls.read = [json.loads(line) for line in out.splitlines()]
        cls.taken = [r for r in cls.read if r["why"] is None]

    def test_every_key_is_one_entry(self):
        self.assertEqual([r["name"] for r in self.read], list(self.list))
        self.assertEqual(len(self.read), ENTRIES)

    def test_what_is_refused_has_its_reason(self):
        counts = collections.Counter(r["why"] or "taken" for r in self.read)
        for why, n in counts.most_common():
            print(f"{n:6}  {why}", flush=True)
        for r in self.read:
            self.assertEqual(r["why"], refusal(r["name"], self.list[r["name"]]), r["name"])
        self.assertEqual(counts["taken"], TAKEN)
        self.assertEqual(sum(counts.values()), ENTRIES)
        self.assertLess(len(counts), 30)  # few enough to be counted by

    def effective(self, lines, tier, prompt):
        """As price_line_for() and price_of()."""
        line = [prices for t, least, prices in lines if t == tier and least < prompt][-1]
        prices = dict(zip(CLASSES, line))

        def price(name):
            if prices[name] is not None or name == REQUEST:
                return prices[name] or 0
            return price(INSTEAD[name])
        return [price(name) for name in CLASSES]

    def test_every_price_is_what_litellm_charges(self):
        compared = 0
        for r in self.taken:
            entry = Entry(self.list[r["name"]])
            tiers = entry.tiers()
            self.assertEqual(sorted({t for t, _, _ in r["lines"]}), sorted(tiers), r["name"])
            for tier in tiers:
                for prompt in [1] + [b + d for b in BANDS[1:] for d in (0, 1)]:
                    expected = [entry.price(name, tier, prompt) for name in CLASSES]
                    self.assertEqual(self.effective(r["lines"], tier, prompt), expected, (r["name"], tier, prompt))
                    compared += len(CLASSES)
        print(f"{compared} prices of {len(self.taken)} cards are the same", flush=True)
        self.assertGreater(compared, 400000)

    def test_a_card_has_no_line_without_need(self):
        for r in self.taken:
            entry = Entry(self.list[r["name"]])
            for tier in entry.tiers():
                least = [b for t, b, _ in r["lines"] if t == tier]
                self.assertEqual(least, sorted(set(least)), r["name"])
                self.assertLessEqual(set(least), entry.bands | {0}, r["name"])

    def test_the_provider_is_kept(self):
        for r in self.taken:
            self.assertEqual(r["provider"], self.list[r["name"]]["litellm_provider"])

    def test_rounding_is_close(self):
        worst = Decimal(0)
        for r in self.taken:
            for key, value in self.list[r["name"]].items():
                if key.startswith(CLASSES) and isinstance(value, Decimal) and value:
                    worst = max(worst, abs(whole(value) / (value * 10 ** 12) - 1))
        print(f"a price is rounded by {float(worst):.1e} at most", flush=True)
        self.assertLess(worst, Decimal("2e-5"))

    def test_what_is_left_out_is_noted(self):
        words = {"searches": "_per_query", "audio": "audio", "images": "image", "video": "video", "pages": "page",
                 "characters": "_per_character", "citations": "citation", "decisions": "_decisions",
                 "explicit cache reads": "explicit_cache_read", "12-hour cache writes": "_above_12hr",
                 "off-peak hours": "off_peak_pricing", "regions": "uplift_multiplier"}
        notes = collections.Counter()
        for r in self.taken:
            entry = self.list[r["name"]]
            special = entry.get("provider_specific_entry", {})
            keys = [k for k, v in entry.items() if v and ("cost" in k or "pric" in k or "uplift" in k)]
            expected = {word for word, part in words.items() if any(part in key for key in keys)}
            expected |= {word for word, part in (("regions", "us"), ("fast mode", "fast")) if part in special}
            note = r["note"] or ""
            notes.update(note.split("; "))
            billed = re.match(r"also billed by: ([^;]*)", note)
            self.assertEqual(set(billed[1].split(", ")) if billed else set(), expected, r["name"])
            free = all(not p for _, _, prices in r["lines"] for p in prices)
            self.assertEqual("all prices are 0" in note, free, r["name"])
        for note, n in notes.most_common():
            print(f"{n:6}  {note or '(no note)'}", flush=True)


if __name__ == "__main__":
    unittest.main()
