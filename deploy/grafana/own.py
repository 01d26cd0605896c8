# SPDX-License-Identifier: Apache-2.0
"""The dashboard of the pipeline itself: what the three services say in /metrics, by the Prometheus that scrapes them
(deploy/prometheus). What each metric means is its HELP."""
from panels import PROMETHEUS, dashboard, datasource_variable, heading, label_variable, lines, stat, steps

EVERY = "15s"
MINE = 'instance=~"$instance"'
JOBS = 'job=~"streamlens-.*"'
P = "streamlens_processor_"


def rate(metric, by, where=MINE):
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(q, metric, by, where=MINE):
    return f"histogram_quantile({q}, {rate(metric + '_bucket', 'le, ' + by, where)})"


def over_time(title, unit, description, *targets, **how):
    return lines(title, unit, description, *targets, **{"lowest": 0, "every": EVERY, **how})


def state():
    ready = " or ".join(f"{metric}{{{MINE}}}" for metric in ("streamlens_ingest_ready", P + "ready",
                                                              "streamlens_metrics_database_up"))
    return [
        stat("Down", "short", "Targets that Prometheus cannot read.", f"count(up{{{JOBS},{MINE}}} == 0) or vector(0)",
             thresholds=steps(1)),
        stat("Not ready", "short", "Processes that are up, and whose /readyz says no.",
             f"count(({ready}) == 0) or vector(0)", thresholds=steps(1)),
        stat("Newest closed window", "s", "Since its end. It stands still, and this grows, while nothing comes.",
             f"time() - max({P}closed_through_timestamp_seconds{{{MINE}}})", thresholds=steps(180, 900)),
        stat("Halted partitions", "short", "Nothing of them is counted until somebody decides: "
             "runbook partition-halted.",
             f'sum({P}partitions{{state="halted",{MINE}}})', thresholds=steps(1)),
        stat("Publishers", "short", "Processes that publish to llm.metrics: one.",
             f"sum(streamlens_publisher_active{{{MINE}}})",
             thresholds={"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1},
                                                       {"color": "red", "value": 2}]}),
        stat("Alerts", "short", "Alerts of deploy/prometheus that fire now.",
             'count(ALERTS{alertstate="firing",alertname=~"StreamLens.*"}) or vector(0)', thresholds=steps(1)),
    ]


def coming_in():
    return [
        over_time("Events", "short", "Per second, by what senders were told. Unacknowledged ones are sent again.",
                  (rate("streamlens_ingest_events_total", "result"), "{{result}}"), stack=True),
        over_time("HTTP answers", "reqps", "By service and status. 503 is to be sent again; 4xx is the client's.",
                  (rate("streamlens_http_requests_total", "job, status"), "{{job}} {{status}}"), stack=True),
        over_time("Turned away", "short", "Per second: bodies, records and requests that were not taken, by reason.",
                  (rate("streamlens_ingest_bodies_refused_total", "reason"), "body: {{reason}}"),
                  (rate("streamlens_ingest_produce_failures_total", "reason"), "record: {{reason}}"),
                  (rate("streamlens_http_refused_total", "job, reason"), "{{job}}: {{reason}}")),
    ]


def reading():
    where = "{{topic}} {{partition}}"
    return [
        over_time("Lag by partition", "short", "Records that are not read yet. One line that grows alone is one "
                  "process or one broker.", (f"{P}lag_records{{{MINE}}}", where)),
        over_time("Seconds behind by partition", "s", "How old the oldest record is that is not read yet.",
                  (f"{P}behind_seconds{{{MINE}}}", where)),
        over_time("Joins in use", "percentunit", "Of MAX_JOINS. At 100 % a partition waits for answers, or for "
                  "their time to be up.", (f"{P}joins_used_ratio{{{MINE}}}", where)),
    ]


def counting():
    return [
        over_time("Counted", "short", "Per second: requests, answers, and requests whose time passed without one.",
                  *((rate(f"{P}{what}_total", "job"), what) for what in ("requests", "responses", "unanswered"))),
        over_time("Left out", "short", "Per second: dead letters, repeats, and series beyond a tenant's cap.",
                  (rate(f"{P}dead_letters_total", "reason"), "dead letter: {{reason}}"),
                  (rate(f"{P}duplicates_total", "topic, content"), "repeat: {{topic}}, {{content}}"),
                  (rate(f"{P}series_over_cap_total", "job"), "series over cap")),
        over_time("Flush", "s", "From its begin to its commit. Nothing is read meanwhile.",
                  *((quantile(q, f"{P}flush_duration_seconds", "job"), name)
                    for q, name in ((0.5, "p50"), (0.99, "p99")))),
    ]


def going_out():
    return [
        over_time("Published", "s", "From a window's close to its rows in llm.metrics, and since all that was "
                  "due was there.",
                  (quantile(0.95, "streamlens_publisher_delay_seconds", "job"), "p95 delay"),
                  (f"time() - max(streamlens_publisher_caught_up_timestamp_seconds{{{MINE}}} > 0)", "since caught up")),
        over_time("Records published", "short", "Rows per second to llm.metrics; its last sequence rises with them.",
                  (rate("streamlens_publisher_records_total", "job"), "records"),
                  (f"sum(deriv(streamlens_publisher_sequence{{{MINE}}}[$__rate_interval]))", "sequence")),
        over_time("PostgreSQL errors", "short", "Per second: calls that were not answered, or refused.",
                  (rate("streamlens_pg_queries_total", "job, result", f'result!="ok",{MINE}'), "{{job}} {{result}}"),
                  (rate(f"{P}database_errors_total", "job"), "{{job}}")),
    ]


def answering():
    return [
        over_time("Done within", "s", "99 of 100: from a record handed to the producer to the brokers' "
                  "acknowledgement; a question to metrics-api; a query to PostgreSQL, waiting included.",
                  (quantile(0.99, "streamlens_ingest_ack_duration_seconds", "job"), "acknowledgement"),
                  (quantile(0.99, "streamlens_metrics_answer_duration_seconds", "job"), "question"),
                  (quantile(0.99, "streamlens_pg_query_duration_seconds", "job"), "query of {{job}}")),
        over_time("Caches", "short", "Per second: answers of /v1, and blocks of minutes for /api/v1, that were there "
                  "(hit), that others were waiting for as well (joined), that were read (miss).",
                  (rate("streamlens_metrics_cache_total", "result"), "/v1 {{result}}"),
                  (rate("streamlens_metrics_facts_cache_total", "result"), "/api/v1 {{result}}")),
        over_time("Memory", "bytes", "Of each process.",
                  (f"process_resident_memory_bytes{{{JOBS},{MINE}}}", "{{job}} {{instance}}")),
    ]


def pipeline():
    return dashboard(
        "streamlens-pipeline", "StreamLens: the pipeline itself", "How ingest-api, processor and metrics-api are. "
        "Alerts and what to do about them: deploy/prometheus, deploy/runbooks.",
        [datasource_variable(PROMETHEUS, "streamlens-self", "StreamLens services"),
         label_variable("instance", "Process", f"up{{{JOBS}}}")],
        [state(), [heading("ingest-api")], coming_in(), [heading("processor")], reading(), counting(), going_out(),
         [heading("How long, how much")], answering()], since="now-1h", refresh="30s")
