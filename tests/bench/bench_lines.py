# SPDX-License-Identifier: Apache-2.0
"""The one form in which a program says what it measured, beside what it says to people, a line each:

    bench NAME VALUE UNIT [items=N]

NAME has letters, digits and ._- alone, UNIT no white space, and N is how many items it was measured on. Programs in
C have bench_tell() of bench.h for it."""
import math
import re
import typing

LINE = re.compile(r"bench ([\w.-]+) (\S+) (\S+)(?: items=(\d+))?")


class Value(typing.NamedTuple):
    name: str
    value: float
    unit: str
    items: typing.Optional[int] = None


def tell(name, value, unit, items=None):
    print(f"bench {name} {value:.6g} {unit}" + ("" if items is None else f" items={int(items)}"), flush=True)


def read(text):
    """{name: Value} of what a program printed. A line that begins as one of these and is none, a value that is no
    number and a name twice raise a ValueError: a figure must not get lost."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("bench "):
            continue
        match = LINE.fullmatch(line)
        if not match or not match[1].isascii():
            raise ValueError(f"not bench NAME VALUE UNIT [items=N]: {line[:200]}")
        name, value, unit, items = match.groups()
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{name}: {value[:50]} is no number")
        if name in found:
            raise ValueError(f"{name}: told twice")
        found[name] = Value(name, number, unit, int(items) if items else None)
    return found
