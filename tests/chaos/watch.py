# SPDX-License-Identifier: Apache-2.0
"""What must hold at every instant, looked at again and again while the faults go on: hours are the sums of their
minutes, nothing in flight is negative, and positions, flush numbers and epochs never go back."""
import threading

SUMS = ("requests responses unanswered errors uncached_prompt_tokens cached_prompt_tokens completion_tokens"
        " latency_count latency_sum_us cost_pusd").split()
NEVER_BACK = ("epoch", "flush_seq", "request_next", "response_next", "request_time_ms", "response_time_ms",
              "request_replay", "response_replay")
HOURS = ("WITH m AS (SELECT series_id, date_trunc('hour', window_start, 'UTC') h, "
         + ", ".join(f"sum({c}) {c}" for c in SUMS) + " FROM llm_minute GROUP BY 1, 2)"
         " SELECT count(*) FILTER (WHERE m.h IS NULL OR x.series_id IS NULL OR "
         + " OR ".join(f"m.{c} <> x.{c}" for c in SUMS) + "), (SELECT count(*) FROM llm_minute"
         " WHERE requests < responses + unanswered) FROM m FULL JOIN llm_hour x"
         " ON x.series_id = m.series_id AND x.window_start = m.h")
POSITIONS = ("SELECT partition, " + ", ".join(f"coalesce({c}, -1)" for c in NEVER_BACK)
             + " FROM streamlens_position ORDER BY partition")


class Watch(threading.Thread):
    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.stop = world, threading.Event()
        self.looks, self.before, self.findings = 0, {}, []

    def run(self):
        while not self.stop.wait(2):
            self.look()

    def look(self):
        hours, positions = self.world.sql(HOURS), self.world.sql(POSITIONS)
        if hours is None or positions is None:
            return
        self.looks += 1
        if hours != "0|0":
            self.findings.append(f"hour rows off | rows with less than nothing in flight: {hours}")
        for line in positions.splitlines():
            partition, *now = map(int, line.split("|"))
            before = self.before.get(partition, now)
            for name, b, n in zip(NEVER_BACK, before, now):
                if n < b:
                    self.findings.append(f"partition {partition}: {name} went back from {b} to {n}")
            self.before[partition] = now

    def end(self):
        self.stop.set()
        self.join(60)
        self.look()
        return self.findings
