# SPDX-License-Identifier: Apache-2.0
"""The dashboards of what is asked of models: overview, cost, one model, one tenant. Metrics and what they mean:
metrics-api/prometheus/METRICS.md. Totals are sums of llm_minute_…, which are exact; rates are of counters;
percentiles are of all values of the stretch, merged."""
from panels import (PROMETHEUS, dashboard, datasource_variable, heat, label_variable, lines, ranked, stat, steps, sums,
                    table)

ALL = 'tenant_id=~"$tenant_id",route=~"$route",model=~"$model"'
ONE_MODEL = 'tenant_id=~"$tenant_id",route=~"$route",model="$model"'
ONE_TENANT = 'tenant_id="$tenant_id",route=~"$route",model=~"$model"'
LATENCY, FIRST_TOKEN = "gen_ai_client_operation_duration_seconds", "gen_ai_server_time_to_first_token_seconds"
TOKENS = ("prompt_tokens", "completion_tokens")


# --- expressions ------------------------------------------------------------------------------------


def by(labels):
    return f" by ({', '.join(labels.split())})" if labels else ""


def total(field, where, labels="", over="$__range"):
    """Exactly what the windows of the stretch hold."""
    return f"sum{by(labels)} (sum_over_time(llm_minute_{field}{{{where}}}[{over}]))"


def rate(metric, where, labels=""):
    return f"sum{by(labels)} (rate({metric}{{{where}}}[$__rate_interval]))"


def percentile(q, metric, where, labels="", over="$__rate_interval"):
    return f"histogram_quantile({q}, sum{by('le ' + labels)} (rate({metric}_bucket{{{where}}}[{over}])))"


def tokens(where, labels="", over="$__range"):
    return " + ".join(total(field, where, labels, over) for field in TOKENS)


def error_share(where, labels="", over="$__range"):
    return f"{total('errors', where, labels, over)} / {total('responses', where, labels, over)}"


def cost(where, labels="", over="$__range"):
    return total("estimated_cost_usd", where, labels, over)


# --- panels that several dashboards have ------------------------------------------------------------


def requests(where):
    return stat("Requests", "short", "Requests of closed windows, answered or not. Exact.", total("requests", where))


def errors(where):
    return stat("Errors", "percentunit", "Failed answers, of all answers. Above 5 % look at the classes below.",
                error_share(where), thresholds=steps(0.01, 0.05), decimals=2)


def p95(where):
    return stat("p95 latency", "s", "95 of 100 answers were complete within this time.",
                percentile(0.95, LATENCY, where, over="$__range"))


def first_token(where):
    return stat("p95 to first token", "s", "Of streamed answers 95 of 100 had begun within this time.",
                percentile(0.95, FIRST_TOKEN, where, over="$__range"), empty="–")


def token_sum(where):
    return stat("Tokens", "short", "Tokens of prompts, cached ones included, and of answers. Exact.", tokens(where))


def cost_sum(where):
    return stat("Cost", "currencyUSD", "By the catalogue's prices; answers without a price count 0. Exact.",
                cost(where))


def in_flight(where):
    return stat("In flight", "short", "Requests of closed windows that have no answer yet, and whose time is not up. "
                "One that stays high is calls that hang.", total("in_flight", where))


def per_request(where):
    return stat("Cost per answer", "currencyUSD", "Mean cost of an answer that has a price.",
                f"{cost(where)} / ({total('responses', where)} - {total('unpriced_requests', where)})", decimals=5)


def latency_lines(where):
    return lines("Latency", "s", "From request to complete answer. A p99 that leaves the p50 behind is a tail: a few "
                 "calls that wait.", *((percentile(q, LATENCY, where), name) for q, name in
                                       ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))), lowest=0)


def first_token_lines(where):
    return lines("Time to first token", "s", "How long a reader looks at nothing. When it grows and generation is as "
                 "fast as before, the model is queueing.", *((percentile(q, FIRST_TOKEN, where), name) for q, name in
                                                             ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))), lowest=0)


def p95_lines(where, label, what):
    return lines(f"p95 latency by {what}", "s", f"Which {what} is slow. Percentiles are of merged histograms, so they "
                 "may be compared.", (percentile(0.95, LATENCY, where, label), f"{{{{{label}}}}}"), lowest=0)


def latency_heat(where):
    return heat("Latency, all answers", "s", "How many answers took how long. Two bands are two kinds of calls.",
                f"sum by (le) (increase({LATENCY}_bucket{{{where}}}[$__rate_interval]))")


def request_lines(where, label, what):
    return lines(f"Requests per second by {what}", "reqps", f"Which {what} the traffic is of.",
                 (rate("llm_requests_total", where, label), f"{{{{{label}}}}}"), stack=True, lowest=0)


def error_lines(where):
    return lines("Errors per second by class", "reqps", "What answers failed with; the class is the error's own text.",
                 (rate("llm_errors_total", where, "error_type"), "{{error_type}}"), stack=True, lowest=0)


def error_share_lines(where, label, what):
    return lines(f"Errors by {what}", "percentunit", f"Failed answers of each {what}, of its answers.",
                 (error_share(where, label, "$__rate_interval"), f"{{{{{label}}}}}"), lowest=0)


def token_lines(where):
    return lines("Tokens per second by class", "short", "What is read and written. More cached_input is less to pay "
                 "for the same prompts.", (rate("llm_tokens_total", where, "class"), "{{class}}"), stack=True, lowest=0)


def speed_lines(where, label, what):
    return lines(f"Tokens per second of an answer by {what}", "short", "How fast tokens come once the first has: the "
                 "speed that a reader sees.",
                 (f"{total('generation_tokens', where, label, '$__rate_interval')} / "
                  f"{total('generation_seconds', where, label, '$__rate_interval')}", f"{{{{{label}}}}}"), lowest=0)


def cost_bars(where, label, what):
    return sums(f"Cost by {what}", "currencyUSD", "What the windows up to each bar cost; bars add up to the total.",
                (cost(where, label, "$__interval"), f"{{{{{label}}}}}"))


def hung_bars(where):
    return sums("Unanswered, in flight", "short", "Requests whose time passed without an answer, and those that still "
                "wait. Calls that hang are in flight first and unanswered after JOIN_TTL_MS.",
                (total("unanswered", where, over="$__interval"), "unanswered"),
                (total("in_flight", where, over="$__interval"), "in flight"))


def reason_lines(where):
    return lines("Finish reasons", "reqps", "Why answers ended. Much length is answers cut off at max_tokens.",
                 (rate("llm_finish_reasons_total", where, "gen_ai_response_finish_reasons"),
                  "{{gen_ai_response_finish_reasons}}"), stack=True, lowest=0)


def mean_token_lines(where):
    return lines("Tokens per answer", "short", "Means. Prompts that grow are mostly a history or documents that grow.",
                 *((f"{total(field, where, '', '$__interval')} / {total('responses', where, '', '$__interval')}", name)
                   for field, name in (("prompt_tokens", "prompt"), ("cached_prompt_tokens", "of it cached"),
                                       ("completion_tokens", "completion"))), lowest=0)


def slowest_lines(where):
    return lines("Slowest answer", "s", "The longest latency of each stretch, exact, clamped by nothing.",
                 (f"max(max_over_time(llm_minute_max_latency_seconds{{{where}}}[$__interval]))", "latency"),
                 (f"max(max_over_time(llm_minute_max_ttft_seconds{{{where}}}[$__interval]))", "to first token"),
                 lowest=0)


def comparison(title, where, label, what, link=None):
    return table(title, "short", f"Each {what} over the whole range.", label, [
        ("Requests", "short", total("requests", where, label)),
        ("Errors", "percentunit", error_share(where, label)),
        ("p95", "s", percentile(0.95, LATENCY, where, label, "$__range")),
        ("p95 to first token", "s", percentile(0.95, FIRST_TOKEN, where, label, "$__range")),
        ("Tokens", "short", tokens(where, label)),
        ("Cost", "currencyUSD", cost(where, label)),
        ("Unpriced", "short", total("unpriced_requests", where, label)),
    ], sort="Requests", link=link)


# --- variables --------------------------------------------------------------------------------------


def variables(*, one=""):
    """Data source, tenant, route, model; each list is of what the ones before leave. `one` has a single value
    and stands before those that depend on it."""
    tenant, route = 'tenant_id=~"$tenant_id"', 'route=~"$route"'
    if one == "tenant_id":
        tenant = 'tenant_id="$tenant_id"'
    counted = "llm_requests_total"
    return [datasource_variable(PROMETHEUS, "llm-metrics", "StreamLens"),
            label_variable("tenant_id", "Tenant", counted, several=one != "tenant_id"),
            label_variable("route", "Route", f"{counted}{{{tenant}}}"),
            label_variable("model", "Model", f"{counted}{{{tenant},{route}}}", several=one != "model")]


# --- dashboards -------------------------------------------------------------------------------------


def overview():
    w = ALL
    return dashboard("streamlens-overview", "StreamLens: overview", "Traffic, errors, latency, tokens and cost of all "
                     "calls to language models.", variables(), [
        [requests(w), errors(w), p95(w), first_token(w), token_sum(w), cost_sum(w), in_flight(w),
         stat("Data age", "s", "Since the end of the newest window that is served. Windows close 10 s after their end; "
              "beyond 3 minutes look at the pipeline, or nobody has sent anything.",
              f"time() - max(timestamp(llm_requests_total{{{w}}}))", thresholds=steps(180, 600), empty="no traffic")],
        [request_lines(w, "model", "model"), error_lines(w), error_share_lines(w, "model", "model")],
        [latency_lines(w), first_token_lines(w), p95_lines(w, "model", "model")],
        [token_lines(w), speed_lines(w, "model", "model"), cost_bars(w, "model", "model")],
        [latency_heat(w), lines("Requests per second by tenant", "reqps", "Whom the traffic is from.",
                                (rate("llm_requests_total", w, "tenant_id"), "{{tenant_id}}"), stack=True, lowest=0)],
        [comparison("Models", w, "model", "model", ("streamlens-model", "model"))],
        [comparison("Tenants", w, "tenant_id", "tenant", ("streamlens-tenant", "tenant_id"))],
    ])


def cost_dashboard():
    w = ALL
    answers = total("responses", w)
    return dashboard("streamlens-cost", "StreamLens: cost", "What calls cost, of what, for whom, and how sure that is. "
                     "By the catalogue's prices (streamlens-admin price).", variables(), [
        [cost_sum(w), per_request(w),
         stat("Per million tokens", "currencyUSD", "Mean price of what was used, prompts and answers together.",
              f"{cost(w)} / ({tokens(w)}) * 1000000", decimals=3),
         stat("At this pace a month", "currencyUSD", "The range's cost, carried on for 30 days.",
              f"{cost(w)} / $__range_s * 86400 * 30"),
         stat("Saved by caches", "currencyUSD", "What cached tokens would have cost more at the full price, less what "
              "writing them cost more. Below 0 caches cost more than they save.", total("cache_savings_usd", w),
              thresholds=steps(0, falling=True)),
         stat("Prompt from cache", "percentunit", "Tokens of prompts that were read from a cache.",
              f"{total('cached_prompt_tokens', w)} / {total('prompt_tokens', w)}", decimals=1),
         stat("Unpriced", "percentunit", "Answers of models that no price fits: their cost is unknown and in no sum. "
              "See runbook unpriced-requests.", f"{total('unpriced_requests', w)} / {answers}",
              thresholds=steps(0.0001, 0.01), decimals=2),
         stat("Guessed", "percentunit", "Answers that PRICE_DEFAULT has priced, for want of a price of their own.",
              f"{total('guessed_requests', w)} / {answers}", thresholds=steps(0.0001, 0.05), decimals=2)],
        [cost_bars(w, "model", "model"), cost_bars(w, "tenant_id", "tenant"), cost_bars(w, "route", "route")],
        [lines("Cost per hour by class", "currencyUSD", "What of the cost is input, output, caches and fees.",
               (f"{rate('llm_cost_usd_total', w, 'class')} * 3600", "{{class}}"), stack=True, lowest=0),
         sums("Saved by caches", "currencyUSD", "By model. Bars below 0: caches that are written and not read.",
              (total("cache_savings_usd", w, "model", "$__interval"), "{{model}}"), lowest=None),
         lines("Prompt from cache by model", "percentunit", "A share that falls is prompts whose beginning changes.",
               (f"{total('cached_prompt_tokens', w, 'model', '$__rate_interval')} / "
                f"{total('prompt_tokens', w, 'model', '$__rate_interval')}", "{{model}}"), lowest=0)],
        [lines("Estimated and reported", "currencyUSD", "Cost per hour by the catalogue, of all answers, and as "
               "providers reported it, of those that did. Where all report, the two should be one.",
               (f"{rate('gen_ai_usage_cost_USD_sum', w)} * 3600", "estimated"),
               (f"{rate('llm_reported_cost_usd_total', w)} * 3600", "reported"), lowest=0),
         lines("Answers with a reported cost", "percentunit", "Of all answers; what to make of the panel beside it.",
               (f"{total('reported_requests', w, over='$__rate_interval')} / "
                f"{total('responses', w, over='$__rate_interval')}", "reported"), lowest=0),
         sums("Tokens without a price", "short", "By model: what to add to the catalogue first.",
              (total("unpriced_tokens", w, "model", "$__interval"), "{{model}}"))],
        [ranked("Most expensive routes", "currencyUSD", "Cost of the range, the ten highest.",
                f"topk(10, {cost(w, 'tenant_id route')})", "{{tenant_id}} {{route}}"),
         ranked("Dearest tokens", "currencyUSD", "USD per million tokens of each model, as used here: caches, "
                "discounts and the mix of prompts and answers included.",
                f"sort_desc({cost(w, 'model')} / ({tokens(w, 'model')}) * 1000000)", "{{model}}")],
        [table("Models", "currencyUSD", "What each model costs, and whether that is all of it.", "model", [
            ("Cost", "currencyUSD", cost(w, "model")),
            ("Answers", "short", total("responses", w, "model")),
            ("Per answer", "currencyUSD", f"{cost(w, 'model')} / {total('responses', w, 'model')}"),
            ("Tokens", "short", tokens(w, "model")),
            ("Saved by caches", "currencyUSD", total("cache_savings_usd", w, "model")),
            ("Unpriced answers", "short", total("unpriced_requests", w, "model")),
            ("Guessed answers", "short", total("guessed_requests", w, "model")),
        ], sort="Cost", link=("streamlens-model", "model"))],
    ], since="now-24h")


def model():
    w = ONE_MODEL
    return dashboard("streamlens-model", "StreamLens: one model", "All about one model, as it was asked for.",
                     variables(one="model"), [
        [requests(w), errors(w), p95(w), first_token(w), token_sum(w), cost_sum(w), per_request(w)],
        [request_lines(w, "tenant_id", "tenant"), request_lines(w, "route", "route"), error_lines(w)],
        [latency_lines(w), first_token_lines(w), p95_lines(w, "route", "route")],
        [slowest_lines(w), speed_lines(w, "route", "route"), mean_token_lines(w)],
        [token_lines(w), reason_lines(w), cost_bars(w, "tenant_id", "tenant")],
        [latency_heat(w)],
    ])


def tenant():
    w = ONE_TENANT
    return dashboard("streamlens-tenant", "StreamLens: one tenant", "All about one tenant: what it asks, what it gets, "
                     "what it costs.", variables(one="tenant_id"), [
        [requests(w), errors(w), p95(w), first_token(w), token_sum(w), cost_sum(w), per_request(w)],
        [request_lines(w, "route", "route"), request_lines(w, "model", "model"), error_lines(w)],
        [latency_lines(w), p95_lines(w, "route", "route"), error_share_lines(w, "route", "route")],
        [hung_bars(w), mean_token_lines(w), token_lines(w)],
        [cost_bars(w, "route", "route"), cost_bars(w, "model", "model")],
        [comparison("Routes", w, "route", "route")],
        [comparison("Models", w, "model", "model", ("streamlens-model", "model"))],
    ])
