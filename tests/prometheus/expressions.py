# SPDX-License-Identifier: Apache-2.0
"""Random PromQL about the traffic (traffic.py): selectors of every kind under every function and operator that both
Prometheus 2.42 and metrics-api have. All ranges and offsets are whole seconds."""
import expected_samples
from traffic import BATCH, CHAT, CLAUDE, GPT, OWN

PLAIN = {"tenant_id": ("acme", "globex", "initech"), "route": (CHAT, CHAT, BATCH, "/gap", "/once", "/new", "/edge"),
         "model": (GPT, CLAUDE, OWN), "service_name": (CHAT, BATCH), "gen_ai_request_model": (GPT, CLAUDE)}
PATTERNS = {"tenant_id": ("acme|globex", ".*", "g.+", "[a-h].*", "nobody|initech"),
            "route": ("/[cb].*", ".+", "(/chat|/gap)"), "model": ("gpt.*", "claude-.*|in-house.*", ".*-4.*", ""),
            "service_name": ("/.*",), "gen_ai_request_model": ("g.*o", ".*")}
OWN_VALUES = {"error_type": ("rate_limit", "timeout", "overloaded", "late one"),
              "class": ("input", "output", "reasoning"), "gen_ai_token_type": ("input", "output"),
              "gen_ai_response_finish_reasons": ("stop", "length"), "le": ("0.64", "1.28", "10.24", "0.5", "+Inf")}
NAMES = ("tenant_id", "route", "model")
RANGES = ("2m", "5m", "150s", "10m", "30m", "1h", "3h")
COUNTER_FUNCTIONS = ("rate", "rate", "rate", "increase", "increase", "irate", "resets")
RANGE_FUNCTIONS = ("sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time", "delta",
                   "last_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time", "changes", "idelta",
                   "deriv")
AGGREGATIONS = ("sum", "sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
FUNCTIONS = ("abs", "exp", "ln", "log2", "log10", "sqrt", "deg", "rad", "atan", "tanh", "timestamp")
OF_SAMPLES = ("ceil", "floor", "round", "sgn", "sin", "cos")  # of others rounding makes another result
# Of times alone: of what is none, such as NaN, 2.42 makes one.
DATES = ("hour", "minute", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year")
ARITHMETIC = ("+", "-", "*", "/", "^")  # and % of samples
NAMELESS = (*ARITHMETIC, "atan2")       # of aggregations: 2.42 leaves the metric's name on atan2 alone
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")

COUNTERS = sorted({(c.name, c.label) for c in expected_samples.COUNTERS} |
                  {("llm_errors_total", "error_type"), (expected_samples.DURATION + "_bucket", "le"),
                   (expected_samples.FIRST + "_bucket", "le"),
                   ("llm_finish_reasons_total", "gen_ai_response_finish_reasons")}, key=str)
GAUGES = sorted((c.name, None) for c in expected_samples.GAUGES)

# Both must refuse these: what the one calls wrong is not to be an answer of the other. (Prometheus 3 takes some that
# 2.42 does not: names of labels in UTF-8, durations without a unit.)
REFUSED = (
    "", "llm_requests_total{", "sum(", "llm_requests_total[5m", "rate(llm_requests_total)", "sum_over_time(1)",
    'llm_requests_total{tenant_id=~"("}', '{tenant_id=""}', "{}", '{route=~".*"}', '1 + "a"', "sum by (1) (x)",
    "llm_minute_requests + on(tenant_id) llm_minute_requests", "llm_requests_total and 1", "nothing_of_that_name(1)",
    "llm_minute_requests * on(tenant_id) group_left llm_minute_requests", "rate(llm_requests_total[5m]) > bool",
    'rate({__name__=~"llm_(requests|responses)_total"}[5m])', "round(1)", 'label_replace(llm_requests_total, "a")',
    'label_replace(llm_requests_total, "to", "x", "route", "(")', "topk(llm_requests_total, 1)",
    "llm_requests_total[0s]", "1 == 1", "llm_requests_total[5m] offset 1h[5m]",
    'label_replace(sum by (route) (llm_minute_requests), "route", "x", "route", ".*")',
    "sum(llm_requests_total) by (a) by (b)", '-{__name__=~"llm_minute_re.*"}', "histogram_quantile(0.9)",
    'vector("a")', "absent(1)", "count_values(1, x)", 'llm_requests_total{a="1",}}', "scalar(1)", "5 5", "x{a!b}")
# Raw samples are an answer of instants alone.
INSTANT_ONLY = ("llm_requests_total[5m]", 'llm_minute_requests{tenant_id="acme"}[1h]',
                "llm_errors_total[20m] offset 1h", '{__name__=~"llm_minute_(re|un).*",route="/gap"}[2h]', '"a text"')


class Maker:
    def __init__(self, rng):
        self.rng, self.made = rng, 0

    def metric(self, kinds):
        self.made += 1
        return kinds[self.made * 7 % len(kinds)]

    def matchers(self, own_label):
        rng, found = self.rng, []
        labels = rng.choice((("route", "tenant_id", "gen_ai_request_model"), ("model", "tenant_id", "service_name")))
        for label in rng.sample(labels, rng.choice((0, 0, 0, 1, 1, 1, 2, 3))):
            kind = rng.choice(("=", "=", "=~", "=~", "!=", "!~"))
            value = rng.choice((PATTERNS if "~" in kind else PLAIN)[label])
            if not (kind == "!~" and value in (".*", ".+", "/.*")):
                found.append(f'{label}{kind}"{value}"')
        if own_label and rng.random() < 0.5:
            values = rng.sample(OWN_VALUES[own_label], 2)
            pattern = "|".join(values).replace("+", ".")
            found.append(own_label + rng.choice((f'="{values[0]}"', f'=~"{pattern}"', f'!="{values[0]}"')))
        if rng.random() < 0.05:
            found.append('no_such_label=""')
        return found

    def selector(self, kinds, offsets=True, tail=""):
        """(text, whether it has a label of its own)"""
        name, own = self.metric(kinds)
        inside = self.matchers(own)
        if self.rng.random() < 0.06:
            text = "{" + ",".join([f'__name__="{name}"', *inside]) + "}"
        else:
            text = name + ("{" + ",".join(inside) + "}" if inside or self.rng.random() < 0.1 else "")
        if offsets and self.rng.random() < 0.15:
            tail += f" offset {self.rng.choice(('1m', '5m', '1h', '90m', '-5m', '40s'))}"
        return text + tail, own

    def ranged(self, kinds=None):
        """A function of a range."""
        rng = self.rng
        if kinds is COUNTERS or kinds is None and rng.random() < 0.6:
            text, own = self.selector(COUNTERS, tail=f"[{rng.choice(RANGES)}]")
            return f"{rng.choice(COUNTER_FUNCTIONS)}({text})", own
        text, own = self.selector(GAUGES if rng.random() < 0.7 else COUNTERS, tail=f"[{rng.choice(RANGES)}]")
        kind = rng.random()
        if kind < 0.1:
            return f"quantile_over_time({rng.choice((0, 0.5, 0.9, 1))}, {text})", own
        if kind < 0.15:
            return f"predict_linear({text}, {rng.choice((60, 600, -300))})", own
        return f"{rng.choice(RANGE_FUNCTIONS)}({text})", own

    def vector(self):
        """One that is not aggregated: (text, label of its own)."""
        kind = self.rng.random()
        if kind < 0.3:
            return self.selector(GAUGES + COUNTERS)
        return self.ranged()

    def aggregated(self, labels=None, depth=1):
        rng = self.rng
        inner = self.any(depth - 1) if depth > 0 and rng.random() < 0.3 else self.vector()[0]
        if labels is None:
            kind = rng.random()
            names = rng.sample(NAMES, rng.randrange(3))
            by = "" if kind < 0.25 else f" {'by' if kind < 0.8 else 'without'} ({', '.join(names)})"
        else:
            by = f" by ({', '.join(labels)})"
        if labels is None and rng.random() < 0.12:
            return f"quantile{by} ({rng.choice((0, 0.25, 0.5, 0.99, 1))}, {inner})"
        if labels is None and rng.random() < 0.06:
            return f'count_values{by} ("value", {self.selector(GAUGES)[0].replace("seconds", "count")})'
        return f"{rng.choice(AGGREGATIONS)}{by} ({inner})"

    def operator(self, arithmetic):
        if self.rng.random() < 0.3:
            return self.rng.choice(COMPARISONS) + self.rng.choice(("", " bool"))
        return self.rng.choice(arithmetic[:4] if self.rng.random() < 0.7 else arithmetic)

    def binary(self, depth):
        rng = self.rng
        kind = rng.random()
        operator = self.operator(NAMELESS if 0.25 <= kind < 0.65 else ARITHMETIC)
        if kind < 0.25:
            number = rng.choice(("2", "0.5", "1e3", "0", "-1", "time()", "scalar(sum(llm_minute_requests))", "7"))
            if rng.random() < 0.1:
                return f"{self.selector([('llm_minute_requests', None), ('llm_tokens_total', 'class')])[0]} % {number}"
            if rng.random() < 0.4:
                return f"{number} {operator} {self.any(depth - 1)}"
            return f"{self.any(depth - 1)} {operator} {number}"
        if kind < 0.5:
            labels = rng.sample(NAMES, rng.randrange(1, 4))
            return f"{self.aggregated(labels, depth - 1)} {operator} {self.aggregated(labels, depth - 1)}"
        if kind < 0.65:
            few = rng.sample(NAMES, 1)
            many = few + [n for n in NAMES if n not in few]
            side = rng.random() < 0.5
            left, right = self.aggregated(many, depth - 1), self.aggregated(few, depth - 1)
            if side:
                return f"{left} {operator} on({few[0]}) group_left {right}"
            return f"{right} {operator} ignoring({', '.join(many[1:])}) group_right {left}"
        if kind < 0.8:
            plain = [m for m in GAUGES + COUNTERS if not m[1]]
            a, b = self.metric(plain)[0], self.metric(plain)[0]
            match = rng.choice((f"on({', '.join(NAMES)}) ", "ignoring(no_label) ", ""))
            return f"{a} {operator} {match}{b}"
        operator = rng.choice(("and", "or", "unless"))
        match = rng.choice(("", "on(tenant_id) ", "on(tenant_id, model) ", "ignoring(route, service_name) ", "on() "))
        return f"{self.vector()[0]} {operator} {match}{self.vector()[0]}"

    def function(self, depth):
        rng = self.rng
        inner, kind = self.any(depth - 1), rng.random()
        if kind < 0.37:
            return f"{rng.choice(FUNCTIONS)}({inner})"
        if kind < 0.4:
            return f"{rng.choice(OF_SAMPLES)}({self.selector(GAUGES + COUNTERS)[0]})"
        if kind < 0.45:
            time = rng.choice(("", f"timestamp({self.selector(GAUGES + COUNTERS)[0]})", "vector(time() - 86400 * 50)"))
            return f"{rng.choice(DATES)}({time})"
        if kind < 0.6:
            return rng.choice(("clamp({}, 0, 5)", "clamp_min({}, 1)", "clamp_max({}, 0.5)", "clamp({}, 3, 1)",
                               "-({})", "({})", "+{}")).replace("{}", inner, 1)
        if kind < 0.7:
            pattern = rng.choice(("(.*)", "/(.).*", "g(.+)o", ""))
            return f'label_replace({inner}, "to", "$1-x", "{rng.choice(NAMES)}", "{pattern}")'
        if kind < 0.76:
            return f'label_join({inner}, "joined", "{rng.choice(("-", "", ", "))}", "route", "model", "none")'
        if kind < 0.84:
            return f"absent({self.selector(GAUGES + COUNTERS)[0]})"
        if kind < 0.88:
            return f"absent_over_time({self.selector(GAUGES + COUNTERS, tail='[5m]')[0]})"
        if kind < 0.94:
            return f"vector({rng.choice((f'scalar({self.aggregated([])})', 'time() % 7', 'time() % 3600'))})"
        return f"{rng.choice(('sort', 'sort_desc'))}({inner})"

    def top(self):
        kind = self.rng.choice(("topk", "bottomk"))
        by = self.rng.choice(("", " by (tenant_id)", " without (route, service_name)"))
        return f"{kind}{by} ({self.rng.choice((1, 2, 3, 100, 0))}, {self.vector()[0]})"

    def any(self, depth):
        kind = self.rng.random()
        if depth <= 0 or kind < 0.2:
            return self.vector()[0]
        if kind < 0.5:
            return self.aggregated(depth=depth)
        if kind < 0.72:
            return f"({self.binary(depth)})"
        return self.function(depth)

    def expression(self):
        kind = self.rng.random()
        if kind < 0.08:
            return self.top()
        if kind < 0.12:
            names = self.rng.choice(("llm_minute_re.*", "llm_.*_tokens_total", ".*_seconds_sum",
                                     "llm_minute_(max|.*count).*"))
            return f'count by (__name__) ({{__name__=~"{names}",{self.rng.choice(NAMES)}!="x"}})'
        if kind < 0.15:
            bucket = self.rng.choice(("gen_ai_client_operation_duration_seconds_bucket",
                                      "gen_ai_server_time_to_first_token_seconds_bucket"))
            # Not of a rate: interpolated by both alike.
            return f"histogram_quantile({self.rng.choice((0.5, 0.9, 0.99))}, sum by (le, model) ({bucket}))"
        if kind < 0.17:
            return self.rng.choice((f"quantile(2, {self.vector()[0]})", f"quantile(-0.1, {self.vector()[0]})",
                                    f"quantile_over_time(1.1, {self.selector(GAUGES, tail='[5m]')[0]})"))
        if kind < 0.5:
            return self.aggregated(depth=2)
        return self.any(3)


def expressions(rng, count):
    """That many, no two alike."""
    maker, found = Maker(rng), {}
    while len(found) < count:
        found[maker.expression()] = None
    return list(found)
