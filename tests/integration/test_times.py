#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Days of time zones, and times and durations as clients write them, against Python's calendar."""
import os
import random
import re
import subprocess
import unittest
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from stack import needed

SEED = 20261122
MINUTE, DAY = 60_000_000, 86_400_000_000
EPOCH = date(1970, 1, 1).toordinal()
UTC = timezone.utc


def ask(lines, **env):
    """The tool's answers, as (words) each."""
    tool = os.path.join(needed("SL_BUILD"), "tests", "integration", "times_tool")
    out = subprocess.run([tool], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True,
                         timeout=120, env={**os.environ, **env}).stdout
    answers = [line.split(" ") for line in out.splitlines()]
    assert len(answers) == len(lines), out[-500:]
    return answers


def us(*when, tz=UTC):
    return int(datetime(*when, tzinfo=tz).timestamp()) * 1_000_000


def shown_date(zone, t_us):
    """The date that the zone's clocks show, as days since 1970."""
    return datetime.fromtimestamp(t_us // 1_000_000, zone).toordinal() - EPOCH


def days_by_scan(name, from_us, to_us, every):
    """Minute by minute: where a date that is a border, or one behind it, is first shown."""
    zone, first = ZoneInfo(name), 4 if every == 7 else 0
    t = from_us - (every + 3) * DAY
    border = (shown_date(zone, t) - first) // every * every + first + every
    found = []
    while not found or found[-1] < to_us:
        shown = shown_date(zone, t)
        if shown >= border:
            found.append(t)
            border = (shown - first) // every * every + first + every
        t += MINUTE
    return [t for i, t in enumerate(found) if i + 1 == len(found) or found[i + 1] > from_us]


# What is odd about the zone, and when.
ODD = (
    ("America/Sao_Paulo", (2018, 11, 4), "midnight is skipped"),
    ("America/Sao_Paulo", (2018, 2, 18), "midnight comes twice, 24:00 first"),
    ("Africa/Cairo", (2023, 4, 28), "midnight is skipped"),
    ("Africa/Cairo", (2023, 10, 27), "23:00 comes twice"),
    ("Asia/Kathmandu", (2024, 1, 1), ":45"),
    ("Asia/Kathmandu", (1986, 1, 1), ":30 becomes :45"),
    ("Asia/Kolkata", (2024, 1, 1), ":30"),
    ("Australia/Lord_Howe", (2024, 4, 7), "half an hour of summer"),
    ("Pacific/Apia", (2011, 12, 30), "a date is skipped"),
    ("Pacific/Kwajalein", (1993, 8, 21), "a date is skipped"),
    ("Asia/Manila", (2024, 1, 1), "no summer time"),
    ("Europe/Berlin", (2024, 3, 31), "23 hours"),
    ("Europe/Berlin", (2024, 10, 27), "25 hours"),
    ("America/St_Johns", (2010, 11, 7), "00:01 becomes 23:01 of the day before"),
    ("America/St_Johns", (2010, 3, 14), "00:01 becomes 01:01"),
    ("America/Havana", (2024, 3, 10), "midnight is skipped"),
    ("America/Havana", (2024, 11, 3), "midnight comes twice"),
    ("Atlantic/Azores", (2024, 10, 27), "midnight comes twice"),
    ("Antarctica/Troll", (2024, 3, 31), "two hours of summer"),
    ("Africa/Monrovia", (1972, 1, 6), "no whole minutes before"),
    ("Africa/Casablanca", (2024, 3, 10), "winter time is the odd one"),
    ("Etc/GMT+12", (2024, 1, 1), "the last"),
    ("Pacific/Kiritimati", (1995, 1, 1), "a date is skipped, and from then on it is the first"),
    ("America/New_York", (1969, 12, 31), "before 1970"),
)


class Days(unittest.TestCase):
    def same(self, questions):
        answers = ask([f"days {name} {start} {end} {every}" for name, start, end, every in questions])
        for question, answer in zip(questions, answers):
            with self.subTest(question):
                self.assertEqual(answer[0], "ok", answer)
                self.assertEqual([int(t) for t in answer[1:]], days_by_scan(*question))

    def test_odd_days_begin_where_the_clocks_first_show_them(self):
        for name, when, why in ODD:
            middle = us(*when)
            with self.subTest(f"{name} {when}: {why}"):
                self.same([(name, middle - 3 * DAY, middle + 3 * DAY, 1),
                           (name, middle - 17 * MINUTE, middle + 5 * 60 * MINUTE, 1),
                           (name, middle - 9 * DAY, middle + 9 * DAY, 7)])

    def test_a_range_may_begin_and_end_at_any_minute_of_an_odd_day(self):
        rnd, questions = random.Random(SEED), []
        for name, when, _ in ODD:
            start = us(*when) + rnd.randrange(-1440, 1440) * MINUTE
            questions.append((name, start, start + rnd.randrange(1, 2000) * MINUTE, rnd.choice((1, 2, 7))))
            at = us(*when, tz=ZoneInfo(name)) // MINUTE * MINUTE  # about a border
            questions += [(name, at + d * MINUTE, at + DAY + d * MINUTE, 1) for d in (-61, -1, 0, 1, 59, 60)]
        self.same(questions)

    def test_ranges_at_random(self):
        rnd = random.Random(SEED + 1)
        names = sorted({name for name, _, _ in ODD} | {"UTC", "Asia/Tehran", "Asia/Gaza", "Europe/London"})
        questions = []
        for _ in range(60):
            start = rnd.randrange(us(1972, 2, 1), us(2037, 1, 1)) // MINUTE * MINUTE
            length = rnd.choice((1, 1440, 10_000, 40_000))
            questions.append((rnd.choice(names), start, start + rnd.randint(1, length) * MINUTE,
                              rnd.choice((1, 1, 2, 3, 5, 7))))
        self.same(questions)

    def test_dates_that_were_skipped_have_no_border(self):
        (answer,) = ask([f"days Pacific/Apia {us(2011, 12, 28)} {us(2012, 1, 2)} 1"])
        borders = [datetime.fromtimestamp(int(t) // 1_000_000, UTC).isoformat()[:16] for t in answer[1:]]
        self.assertEqual(borders, ["2011-12-27T10:00", "2011-12-28T10:00", "2011-12-29T10:00",
                                   "2011-12-30T10:00", "2011-12-31T10:00", "2012-01-01T10:00", "2012-01-02T10:00"])
        zone = ZoneInfo("Pacific/Apia")
        self.assertEqual([datetime.fromtimestamp(int(t) // 1_000_000, zone).day for t in answer[1:]],
                         [27, 28, 29, 31, 1, 2, 3])

    def test_weeks_begin_on_mondays(self):
        (answer,) = ask([f"days Europe/Berlin {us(2024, 2, 1)} {us(2024, 5, 1)} 7"])
        zone = ZoneInfo("Europe/Berlin")
        for t in answer[1:]:
            shown = datetime.fromtimestamp(int(t) // 1_000_000, zone)
            self.assertEqual((shown.weekday(), shown.hour, shown.minute), (0, 0, 0))

    def test_the_longest_range(self):
        end = us(2026, 11, 22)
        fine, longer = ask([f"days Europe/Berlin {end - 4100 * DAY} {end} 1",
                            f"days Europe/Berlin {end - 4100 * DAY - MINUTE} {end} 1"])
        self.assertEqual((fine[0], len(fine)), ("ok", 4103))
        self.assertEqual(longer[0], "from")
        self.assertIn("4100", " ".join(longer))

    def test_zones_that_are_none(self):
        names = ("Europe/Nowhere", "Europe", "../../../../etc/passwd", "../zoneinfo/UTC", "/etc/localtime",
                 "/Europe/Berlin", "zone.tab", "right/UTC", "right/Europe/Berlin", "EST+5", ":UTC", "Europe/Berlin/",
                 "UTC,M3.2.0,M11.1.0")
        for name, answer in zip(names, ask([f"days {name} 0 {DAY} 1" for name in names])):
            self.assertEqual(answer[0], "tz", name)
            self.assertIn("Europe/Berlin", answer[-1])

    def test_the_process_keeps_its_own_zone(self):
        lines = ["clocks", f"days Asia/Kathmandu 0 {DAY} 1", "clocks", f"days No/Where 0 {DAY} 1", "clocks"]
        for tz, ahead in (("America/New_York", -18000), ("UTC", 0)):
            answers = ask(lines, TZ=tz)
            self.assertEqual([answers[i] for i in (0, 2, 4)], [["ok", tz, str(ahead)]] * 3)
        env = {k: v for k, v in os.environ.items() if k != "TZ"}
        tool = os.path.join(needed("SL_BUILD"), "tests", "integration", "times_tool")
        out = subprocess.run([tool], input="\n".join(lines), capture_output=True, text=True, env=env, check=True,
                             timeout=60).stdout.splitlines()
        self.assertEqual([out[0], out[2]], [out[2], out[4]])
        self.assertTrue(out[0].startswith("ok - "))


def up(t_us):
    return -(-t_us // MINUTE) * MINUTE


UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration_by_python(text):
    """µs, or None."""
    match = re.fullmatch(r"(\d+)|(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text, re.ASCII)
    if not match or not text:
        return None
    plain, *amounts = match.groups()
    seconds = int(plain) if plain else sum(int(a or 0) * u for a, (_, u) in zip(amounts, UNITS))
    return seconds * 1_000_000 if seconds <= 36500 * 86400 else None


class Times(unittest.TestCase):
    def test_durations(self):
        rnd = random.Random(SEED + 2)
        texts = ["5m", "1h30m", "1d", "7d", "1w", "300", "0", "0s", "5", "m", "5M", "1h1h", "1m1h", "1.5h", "-1h", "+1h",
                 "1h30", "1 h", "36500d", "36500d1s", "5ms", "99999999999999999999", "99999999999999999999w",
                 "3153600001"]
        for _ in range(2000):
            parts = [f"{rnd.choice((0, 1, 7, 59, 90, 4000, 10 ** 9))}{u}" for u, _ in UNITS if rnd.random() < 0.4]
            if rnd.random() < 0.1:
                rnd.shuffle(parts)
            text = "".join(parts)
            if text and rnd.random() < 0.2:
                at = rnd.randrange(len(text))
                text = text[:at] + rnd.choice("0wdhms. x") + text[at + 1:]
            texts.append(text)
        texts = [t for t in texts if t]
        for text, answer in zip(texts, ask([f"duration {t}" for t in texts])):
            expected = duration_by_python(text)
            self.assertEqual(answer, ["no"] if expected is None else ["ok", str(expected)], text)

    def test_instants(self):
        rnd, asked = random.Random(SEED + 3), []
        now = us(2026, 11, 22, 4, 5, 6) + 789
        for _ in range(1500):
            t = rnd.randrange(us(1973, 4, 1), us(2100, 1, 1))
            if rnd.random() < 0.3:
                t = t // MINUTE * MINUTE + rnd.choice((-1, 0, 1))
            zone = timezone(timedelta(minutes=rnd.randrange(-839, 840)))
            shown = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t)).astimezone(zone)
            seconds, back = divmod(t, 1_000_000), rnd.randrange(-10 ** 7, 10 ** 7)
            asked += [(shown.isoformat(), t), (shown.isoformat().replace("+", " "), t),
                      (f"{seconds[0]}.{seconds[1]:06d}", t), (str(t // 1_000_000), t // 1_000_000 * 1_000_000),
                      (str(t // 1000), t // 1000 * 1000), (f"{t // 1000}.{t % 1000:03d}", t),
                      (f"now{back:+d}s", now + back * 1_000_000), (f"now {abs(back)}", now + abs(back) * 1_000_000)]
        for (text, expected), answer in zip(asked, ask([f"time {now} {text}" for text, _ in asked])):
            self.assertEqual(answer, ["ok", str(up(expected))], text)


if __name__ == "__main__":
    unittest.main()
