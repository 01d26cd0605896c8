# SPDX-License-Identifier: Apache-2.0
"""What runs of measures add up to (pure): a summary a value, what is wrong with a run, and the table."""
import statistics


def summary(values, target):
    """Of what the runs told of one value, a dict that is JSON. spread: from the least to the greatest, in parts of the
    median. ratio: the median in parts of the target, turned round where it is to be at least that; so 1 or less keeps
    the promise. None where there is nothing to divide by."""
    numbers = [v.value for v in values]
    least, median, most = min(numbers), statistics.median(numbers), max(numbers)
    result = {"unit": values[0].unit, "items": values[0].items, "runs": numbers, "min": least, "median": median,
              "max": most, "spread": (most - least) / abs(median) if median else None}
    if target:
        result["limit"] = target.limit
    if target and target.value is not None:
        above, below = (target.value, median) if target.at_least else (median, target.value)
        result.update(target=target.value, at_least=target.at_least, ratio=above / below if below else None,
                      kept=above <= below, promise=target.promise)
    return result


def wrong(values, targets):
    """What a run should have told and did not, a line each."""
    for name, target in targets.items():
        if name not in values:
            yield f"it did not tell {name}"
        elif target and values[name].unit != target.unit:
            yield f"{name}: it is told in {values[name].unit}, and should be in {target.unit}"


def measured(runs, targets):
    """{name: summary} of a measure's runs, each {name: Value}: first what has a target, then the others as told."""
    names = dict.fromkeys([n for n, t in targets.items() if t] + [n for run in runs for n in run])
    found = {name: [run[name] for run in runs if name in run] for name in names}
    return {name: summary(values, targets.get(name)) for name, values in found.items() if values}


def figure(number):
    if number is None:
        return "-"
    return f"{number:.0f}" if number == int(number) or abs(number) >= 1000 else f"{number:.3g}"


def bound(target, at_least):
    return (">= " if at_least else "<= ") + figure(target)


def row(name, s):
    spread = "-" if s["spread"] is None else f"{s['spread']:.0%}"
    cells = [name, s["unit"], figure(s["min"]), figure(s["median"]), spread]
    if "target" not in s:
        return cells + ["", "", s.get("limit", "")]
    ratio = ("0" if s["kept"] else "over") if s["ratio"] is None else f"{s['ratio']:.2f}"
    return cells + [bound(s["target"], s["at_least"]), ratio + ("" if s["kept"] else " !"), s["limit"]]


def table(measures):
    """Markdown that can be read as it is, of {measure: {"values": {name: summary}}}."""
    rows = [["value", "unit", "min", "median", "spread", "target", "ratio", "limited by"]]
    rows += [row(name, s) for m in measures.values() for name, s in m["values"].items()]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]

    def line(cells):
        return "| " + " | ".join(c.rjust(w) if 2 <= i <= 6 else c.ljust(w)
                                 for i, (c, w) in enumerate(zip(cells, widths))) + " |"
    ruler = ["-" * (w - 1) + (":" if 2 <= i <= 6 else "-") for i, w in enumerate(widths)]
    return "\n".join([line(rows[0]), line(ruler), *map(line, rows[1:])])
