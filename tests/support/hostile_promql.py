# SPDX-License-Identifier: Apache-2.0
"""What somebody who means no good sends to /api/v1: texts that are no PromQL, values of parameters, regular
expressions, and PromQL at random: what dashboards send, with words lost, doubled, swapped and put in."""
import re

NOT_PROMQL = (
    "", " ", "#", "(", ")", "sum(", "sum)", "1 +", "+", "a b", "{}", "{", "}", '{__name__=""}', '{a=~".*"}',
    '{a!="b"}', "x{", "x{a}", 'x{a="b"', 'x{a="b",,}', "x{a=b}", 'x{a~"b"}', 'x{"a"="b","c"', "x[", "x[5m", "x[m]",
    "x[0s]", "x[-5m]", "x[5x]", "x[1e400s]", "x offset", "x @", "rate(x)", "rate(x[5m], 1)", "rate()", "sum(x) by",
    "sum by (a b) (x)", "topk(x)", "topk(x, 1)", "x and 1", "1 == 2", "1 bool 2", "x == bool",
    "x * on (a) group_left", "x + group_left y", 'label_replace(x, "a")', "scalar(1)", "vector(x)", "nothing(x)",
    "sum_over_time(x)", "x or or x", '"\\xZZ"', '"\\u12"', '"unclosed', "'a\nb'", "`unclosed", "0x", "1e", "1..2",
    "1__0", "\\", "$1", "x\u00e9", "\ufeffx", "x\u00a0+ 1", 'x{a=~"("}', 'x{a=~"[b-a]"}', 'x{a=~"a{1001}"}',
    'x{a=~"(?<=b)"}', 'x{a=~"\\\\1"}', "select 1", "x; DROP TABLE llm_minute; --",
    "x' OR '1'='1", "<script>alert(1)</script>", "${jndi:ldap://x}", "{{7*7}}",
)
TIMES = (
    "", "now", "now-1h", "NaN", "Inf", "-Inf", "1e400", "-1e400", "1e308", "-1e308", "9", "0x10", "1_000", "--1",
    "1 ", " 1", "1763636400,5", "2025-11-20", "2025-11-20T11:00:00", "2025-02-30T00:00:00Z", "10000-01-01T00:00:00Z",
    "\u0661", "2025-11-20T11:00:00Z\u0000", "-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z",
    "9223372036854775807", "-9223372036854775808", "9223372036854775.807", "1e18", "-1e15", "0", "-1",
    "1763636400.9999999999999", "'", "%", "\u0000",
)
STEPS = (
    "", "0", "-1", "NaN", "Inf", "-Inf", "1e-9", "1e-400", "1e308", "1e400", "0s", "-5m", "5x", "m", "1m1m",
    "99999999999y", "9223372036854775807", "1ms", "0.0001", " 1", "\u0000", "5m5", "''",
)
NUMBERS = (
    "", "-1", "NaN", "1e3", "0x10", "9", "9223372036854775808", " 1", "1 ", "+", "''", "\u0000", "\u0661",
)
RAW = (
    b"%00", b"%ff", b"%c3", b"%ed%a0%80", b"%f5%80%80%80", b"%c0%af", b"%", b"%z", b"%zz", b"%u0041", b"%0d%0aX:%20y",
    b"\xff", b"\xc3\x28", b";", b"=", b"&&&", b"%2525", b"+",
)
PATTERNS = (
    "(a*)*b", "(x+x+)+y", "(.*)*" * 20 + "!", "(a|aa)+$", "(a|a?)+$", "((a{0,9}){0,9}){0,9}b", "(" * 400 + ")" * 400,
    "[" + "a-z" * 999 + "]", "a{1000}", "(a{500}){500}", "((a{99}){99}){99}", ".*" * 2000, "(?i)" * 999, "\\\\pL{900}",
    "[^\\\\x00-\\\\x{10FFFF}]", "|".join(f"r{i}" for i in range(9000)), "(" * 1500, "\\\\Q" + "a" * 60000)
UNENDING = ("sum(", "(", "{", "[", "x[5m", "x offset ", "by(", "sum by (a) ", "'", "@", "((x)")
PARAMETERS = {
    "time": TIMES, "start": TIMES, "end": TIMES, "step": STEPS, "timeout": STEPS, "lookback_delta": STEPS,
    "limit": NUMBERS, "open_windows": NUMBERS, "limit_per_metric": NUMBERS, "match[]": ("", "{}", "\u0000"),
    "metric": ("", "\u0000", "a" * 7000, "'"), "query": ("", "\u0000", "test", "'"),
    "stats": ("all", "'"), "type": ("'",), "x": ("\u0000",)}
LABELS = (
    "%00", "%ff", "%c3%28", "a%2Fb", "%2e%2e", "..", "%", "%zz", "a b", "0a", "-", "'", "a" * 6000, "{}", "*",
    "__name__%00", "route%20OR%201=1", "tenant_id;x", "%f0%9f%98%80", "U__a_20_b", "route?", "le/", "", "/", "route/x",
    ".")
# What mutated() begins with, and what it puts in.
SEEDS = (
    "llm_minute_requests", "llm_requests_total", 'llm_minute_requests{route="/chat"}',
    'llm_minute_requests{route=~"/c.*|/s.*",model!="m2"}', 'llm_minute_requests{route!~"/chat",model=~".+"}',
    '{__name__=~"llm_minute_.*",tenant_id="acme"}', '{"llm_minute_requests", model="m"}',
    "sum(rate(llm_requests_total[5m]))", "sum by (model, route) (increase(llm_tokens_total[10m]))",
    "sum without (class, le) (rate(llm_cost_usd_total[1h]))", "avg_over_time(llm_minute_requests[10m] offset 5m)",
    "histogram_quantile(0.95, sum by (le) (rate(gen_ai_client_operation_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.5, rate(gen_ai_client_operation_duration_seconds_bucket[5m])) * 1000",
    "topk(3, sum by (route) (llm_minute_requests))", "bottomk by (model) (1, llm_minute_requests)",
    'count_values("v", llm_minute_requests)', "quantile(0.9, llm_minute_requests)",
    "stddev by (route) (llm_minute_errors)",
    "llm_minute_errors / on (route, model) group_left () llm_minute_requests",
    "llm_minute_errors / ignoring (tenant_id) llm_minute_requests > bool 0.5",
    "llm_minute_requests and on (route) llm_minute_errors > 0 or vector(1)",
    "llm_minute_requests unless llm_minute_errors",
    'label_replace(llm_minute_requests, "x", "$1-$2", "route", "/(.)(.*)")',
    'label_join(llm_minute_requests, "y", ",", "route", "model")', 'absent(llm_minute_requests{route="none"})',
    'absent_over_time(llm_minute_requests{route="none"}[5m])', "sort_desc(llm_minute_requests)",
    "-llm_minute_requests ^ 2 % 7", "clamp(llm_minute_requests, 1, 5e5)",
    "clamp_max(irate(llm_requests_total[5m]), 3)", "round(deriv(llm_minute_requests[9m]), 0.1)",
    "time() - timestamp(llm_minute_requests)", "scalar(sum(llm_minute_requests)) + 1", "hour(vector(time())) == 11",
    "max_over_time(llm_minute_max_latency_seconds[1h])", "quantile_over_time(0.3, llm_minute_requests[20m])",
    "predict_linear(llm_minute_requests[10m], 3600)",
    "changes(llm_requests_total[1h]) or resets(llm_requests_total[1h])",
    "sum_over_time(llm_minute_requests[30m:1m])", "llm_minute_requests @ 1763636400", "1 + 2 * 3 ^ -4", '"a string"',
    "0x1f / Inf - NaN", "minute() + day_of_week()", "group by (tenant_id) (llm_minute_requests)",
)
WORDS = (
    "sum", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or", "unless",
    "rate", "increase", "topk", "quantile", "count_values", "histogram_quantile", "absent", "label_replace",
    "vector", "scalar", "time", "le", "tenant_id", "route", "model", "__name__", "llm_requests_total",
    "gen_ai_client_operation_duration_seconds_bucket", "(", ")", "{", "}", "[", "]", ",", "=", "!=", "=~", "!~",
    "==", ">=", "<", "+", "-", "*", "/", "%", "^", "@", ":", ";", "#", "\\", "'", '"', "`", "$", "\n", "5m", "1h30m",
    "-5m", "1y", "0s", "99999999999y", "5x", "0", "-1", "1e308", "1e-320", "0x7fffffffffffffff", "NaN", "-Inf",
    "1_000", '".*"', '"(a*)*"', '"["', '"\\x00"', '"\\ud800"', "'\\''", "`a`", '"globex"', '"$1"', "start()",
    "end()", "\u00e9", "\u202e",
)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\w+|\s+|=~|!~|!=|==|<=|>=|.', re.S)


def mutated(rng):
    """A text of at most a few kB; most parse no more."""
    words = TOKEN.findall(rng.choice(SEEDS))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(words) + 1)
        what = rng.randrange(8)
        if what == 0 and len(words) > 1:
            del words[min(at, len(words) - 1)]
        elif what == 1 and words:
            words.insert(at, rng.choice(words))
        elif what == 2 and len(words) > 1:
            i, j = rng.randrange(len(words)), rng.randrange(len(words))
            words[i], words[j] = words[j], words[i]
        elif what == 3:
            words.insert(at, rng.choice(WORDS))
        elif what == 4 and words:
            words[min(at, len(words) - 1)] = rng.choice(WORDS)
        elif what == 5:
            words = ["("] + words + [")", rng.choice(("+", "or", "/ on ()", "== bool", "and")), "("] + \
                TOKEN.findall(rng.choice(SEEDS)) + [")"]
        elif what == 6:
            function = rng.choice(("sum", "abs", "topk", "rate", "count by (route)", "absent", "sort", "-"))
            words = [function, "("] + words + [")"]
        elif words:
            i = min(at, len(words) - 1)
            words[i] = words[i] * rng.choice((2, 3, 50))
    return "".join(words)[:8000]
