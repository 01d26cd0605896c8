# SPDX-License-Identifier: Apache-2.0
"""The format of Prometheus' PromQL test scripts: load, clear and eval, with what is expected."""
import math
import re
from dataclasses import dataclass, field

STALE = "stale"
DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
DURATION_MS = (365 * 86400000, 7 * 86400000, 86400000, 3600000, 60000, 1000, 1)
INSTANT = re.compile(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
RANGE = re.compile(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
EXPECT = re.compile(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
EXPECT_RANGE = re.compile(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
PLAIN = r"(?:[Ii]nf|[Nn]a[Nn]|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
VALUE = re.compile(rf"^([+-]?{PLAIN}|stale|_)(?:([+-]{PLAIN})?x(\d+))?$")


class ScriptError(Exception):
    pass


def duration_ms(text):
    text = text.strip()
    if text == "0":
        return 0
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise ScriptError(f"no duration: {text!r}")
    return sum(int(n or 0) * ms for n, ms in zip(match.groups(), DURATION_MS))


def unquote(text, at):
    """The string that begins at the quote, and where it ends."""
    quote, out, i = text[at], "", at + 1
    simple = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    while text[i] != quote:
        if text[i] != "\\" or quote == "`":
            out, i = out + text[i], i + 1
            continue
        c = text[i + 1]
        size = {"x": 2, "u": 4, "U": 8}.get(c)
        if size:
            out, i = out + chr(int(text[i + 2:i + 2 + size], 16)), i + 2 + size
        else:
            out, i = out + simple.get(c, c), i + 2
    return out, i + 1


def metric(line):
    """The labels that a line begins with, and the rest of it."""
    name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line)
    labels, at = {}, 0
    if name:
        labels["__name__"], at = name.group(0), name.end()
    if line[at:at + 1] != "{" or line[at:at + 2] == "{{":
        return labels, line[at:]
    at += 1
    while True:
        at += len(line[at:]) - len(line[at:].lstrip(" ,"))
        if line[at] == "}":
            return labels, line[at + 1:]
        if line[at] in "\"'`":
            key, at = unquote(line, at)
        else:
            word = re.match(r"[a-zA-Z_][a-zA-Z0-9_]*", line[at:])
            key, at = word.group(0), at + word.end()
        equals = re.match(r"\s*=\s*", line[at:])
        if equals:
            labels[key], at = unquote(line, at + equals.end())
        else:
            labels["__name__"] = key


def values(text):
    """The values of a series: numbers, "stale", None where there is none."""
    out = []
    for word in text.split():
        match = VALUE.match(word)
        if not match:
            raise ScriptError(f"no value: {word!r}")
        base, step, times = match.groups()
        count = int(times or 0) + 1
        if base == "_":
            out += [None] * (int(times) if times else 1)
        elif base == "stale":
            out += [STALE] * count
        else:
            value = float(base)
            for _ in range(count):
                out.append(value)
                value += float(step or 0)
    return out


@dataclass
class Load:
    gap_ms: int
    nhcb: bool
    series: list = field(default_factory=list)  # (labels, values or None for native histograms, starts)


@dataclass
class Eval:
    line: int
    query: str
    instant: bool
    start: int
    end: int
    step: int
    ordered: bool = False
    fail: bool = False
    fail_text: str = None
    fail_regex: str = None
    notes: dict = field(default_factory=lambda: {"warn": [], "info": []})  # (how, text), text None: any
    none_of: set = field(default_factory=set)
    scalar: float = None
    string: str = None
    series: list = field(default_factory=list)  # (labels, values)
    native: bool = False
    matrix: bool = False


def expectation(case, line):
    match = EXPECT.match(line)
    if not match:
        raise ScriptError(f"no expectation: {line!r}")
    kind, how, text = match.groups()
    text = text.strip() if text else None
    if kind == "ordered":
        case.ordered = True
    elif kind == "fail":
        case.fail = True
        if how == "msg":
            case.fail_text = text
        elif how == "regex":
            case.fail_regex = text
    elif kind in ("no_warn", "no_info"):
        case.none_of.add(kind[3:])
    else:
        case.notes[kind].append((how, text))


def expected(case, line):
    if case.fail and line.startswith("expected_fail_message"):
        case.fail_text = line[len("expected_fail_message"):].strip()
    elif case.fail and line.startswith("expected_fail_regexp"):
        case.fail_regex = line[len("expected_fail_regexp"):].strip()
    elif line.startswith("expect range vector"):
        case.start, case.end, case.step = map(duration_ms, EXPECT_RANGE.match(line).groups())
        case.matrix = True
    elif line.startswith("expect string"):
        case.string = unquote(line, len("expect string "))[0]
    elif line.split(" ")[0] == "expect":
        expectation(case, line)
    else:
        try:
            case.scalar = float(int(line, 0)) if re.fullmatch(r"[+-]?0[xX]\w+", line) else float(line)
        except ValueError:
            labels, rest = metric(line)
            case.native = case.native or "{{" in rest
            case.series.append((labels, None if "{{" in rest else values(rest)))


def evaluation(line, number):
    match = INSTANT.match(line)
    if match:
        how, at, query = match.groups()
        at = duration_ms(at or "0")
        case = Eval(number, query, True, at, at, 0)
    else:
        match = RANGE.match(line)
        if not match:
            raise ScriptError(f"line {number}: {line}")
        how, start, end, step, query = match.groups()
        case = Eval(number, query, False, duration_ms(start), duration_ms(end), duration_ms(step))
    case.ordered, case.fail = how == "ordered", how == "fail"
    if how in ("warn", "info"):
        case.notes[how].append((None, None))
    return case


def load(line):
    match = re.match(r"^load(?:_(with_nhcb))?\s+(.+?)$", line)
    return Load(duration_ms(match.group(2)), bool(match.group(1)))


def load_line(command, line, starts):
    """Returns whether the line only had start timestamps, for the one that follows."""
    labels, rest = metric(line)
    if rest.startswith("@st"):
        return True
    command.series.append((labels, None if "{{" in rest else values(rest), starts))
    return False


def parse(text):
    """The commands of a script: "clear", Load and Eval."""
    lines = [line.strip() for line in text.split("\n")]
    lines = ["" if line.startswith("#") else line for line in lines]
    commands, i = [], 0
    while i < len(lines):
        line, number = lines[i], i + 1
        i += 1
        if not line:
            continue
        word = line.split()[0].lower()
        if word == "clear":
            commands.append("clear")
            continue
        command = load(line) if word.startswith("load") else evaluation(line, number)
        commands.append(command)
        starts = False
        while i < len(lines) and lines[i]:
            if isinstance(command, Load):
                starts = load_line(command, lines[i], starts)
            else:
                expected(command, lines[i])
            i += 1
    return commands


def same_number(a, b, epsilon=0.000001):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    total, difference, normal = abs(a) + abs(b), abs(a - b), 2.2250738585072014e-308
    if a == 0 or b == 0 or total < normal:
        return difference < epsilon * normal
    return difference / min(total, 1.7976931348623157e308) < epsilon
