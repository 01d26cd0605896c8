# SPDX-License-Identifier: Apache-2.0
"""What the dashboards are made of: panels, variables, and where they stand. Standard library only.

A panel is Grafana's own JSON but for `id` and `gridPos`, which dashboard() gives.
"""
import string

SCHEMA_VERSION = 39  # Grafana 11.0; newer ones migrate it as they load it
PROMETHEUS, POSTGRES = "prometheus", "grafana-postgresql-datasource"
WIDTH = 24  # of a dashboard, in Grafana's units
HEIGHTS = {"row": 1, "stat": 4, "timeseries": 8, "bargauge": 9, "heatmap": 9, "table": 9}


def source(kind):
    return {"type": kind, "uid": "${datasource}"}


# --- targets ----------------------------------------------------------------------------------------


def query(expr, legend="", *, instant=False, shape="time_series"):
    """PromQL: over the range a point each step, or at its end (instant)."""
    return {"datasource": source(PROMETHEUS), "editorMode": "code", "expr": " ".join(expr.split()),
            "legendFormat": legend or "__auto", "range": not instant, "instant": instant, "format": shape}


def sql(statement, shape="table"):
    return {"datasource": source(POSTGRES), "editorMode": "code", "rawQuery": True, "format": shape,
            "rawSql": "\n".join(line.strip() for line in statement.strip().split("\n"))}


def as_target(what, **how):
    return what if isinstance(what, dict) else query(*([what] if isinstance(what, str) else what), **how)


# --- panels -----------------------------------------------------------------------------------------


def panel(kind, title, unit, description, targets, *, defaults=None, overrides=(), options=None, **more):
    targets = [{"refId": letter, **target} for letter, target in zip(string.ascii_uppercase, targets)]
    return {"type": kind, "title": title, "description": description, "datasource": targets[0]["datasource"],
            "targets": targets, "options": options or {},
            "fieldConfig": {"defaults": {"unit": unit, **(defaults or {})}, "overrides": list(overrides)}, **more}


def steps(*limits, falling=False):
    """Green, then orange, then red, from the limits on; falling: the other way around."""
    colours = ["green", "orange", "red"] if len(limits) == 2 else ["green", "red"]
    if falling:
        colours.reverse()
    return {"mode": "absolute", "steps": [{"color": colour, "value": limit} for colour, limit in
                                          zip(colours, [None, *limits])]}


def stat(title, unit, description, what, *, thresholds=None, decimals=None, empty="0"):
    """A number for the whole range."""
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds or {"mode": "absolute", "steps": [
        {"color": "text", "value": None}]}, "noValue": empty}
    if decimals is not None:
        defaults["decimals"] = decimals
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return panel("stat", title, unit, description, [as_target(what, instant=True)], defaults=defaults,
                 options={"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": "value",
                          "justifyMode": "auto", "orientation": "auto"})


def lines(title, unit, description, *targets, stack=False, bars=False, points=None, lowest=None,
          every="1m"):
    """Over time. bars: what a step adds up to, at the step's end; then `points` of them at most."""
    custom = {"drawStyle": "bars" if bars else "line", "lineWidth": 1, "showPoints": "never", "spanNulls": False,
              "fillOpacity": 60 if bars else 20 if stack else 5,
              "stacking": {"mode": "normal" if stack else "none", "group": "A"}}
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom}
    if lowest is not None:
        defaults["min"] = lowest
    more = {"interval": every}
    if points:
        more["maxDataPoints"] = points
    return panel("timeseries", title, unit, description, [as_target(t) for t in targets], defaults=defaults,
                 options={"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True,
                                     "calcs": ["sum"] if bars else ["mean", "max"]},
                          "tooltip": {"mode": "multi", "sort": "desc"}}, **more)


def sums(title, unit, description, *targets, **how):
    """Bars that add up to the whole, exactly."""
    return lines(title, unit, description, *targets, **{"stack": True, "bars": True, "points": 120, "lowest": 0, **how})


def ranked(title, unit, description, expr, legend):
    """One bar a series, the longest first."""
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return panel("bargauge", title, unit, description, [query(expr, legend, instant=True)],
                 defaults={"color": {"mode": "continuous-BlPu"}, "min": 0},
                 options={"reduceOptions": reduce, "orientation": "horizontal", "displayMode": "gradient",
                          "valueMode": "color", "showUnfilled": True})


def heat(title, unit, description, expr):
    """A histogram over time: of each bucket how many."""
    return panel("heatmap", title, unit, description, [query(expr, "{{le}}", shape="heatmap")],
                 options={"calculate": False, "yAxis": {"unit": unit, "axisPlacement": "left"},
                          "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5},
                          "cellGap": 1, "filterValues": {"le": 1e-9}, "legend": {"show": True},
                          "tooltip": {"mode": "single", "yHistogram": False}}, interval="1m", maxDataPoints=120)


def override(column, **properties):
    names = {"unit": "unit", "decimals": "decimals", "links": "links", "width": "custom.width"}
    return {"matcher": {"id": "byName", "options": column},
            "properties": [{"id": names[name], "value": value} for name, value in properties.items()]}


def table(title, unit, description, key, columns, *, sort, link=None):
    """A row a value of label `key`; columns: (head, unit, expression). link: the dashboard of a value, its variable."""
    targets = [query(expr, instant=True, shape="table") for _, _, expr in columns]
    heads = {f"Value #{letter}": head for letter, (head, _, _) in zip(string.ascii_uppercase, columns)}
    overrides = [override(head, unit=its) for head, its, _ in columns if its != unit]
    if link:
        uid, variable_name = link
        url = (f"/d/{uid}?var-{variable_name}=${{__value.text:percentencode}}&${{datasource:queryparam}}"
               "&${__url_time_range}")
        overrides.append(override(key, links=[{"title": "Look at it alone", "url": url}]))
        description += " A click on a name shows it alone."
    order = {key: 0, **{name: i for i, name in enumerate(heads, 1)}}
    return panel("table", title, unit, description, targets, overrides=overrides,
                 options={"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": True}]},
                 transformations=[{"id": "merge", "options": {}},
                                  {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": heads,
                                                                 "indexByName": order}}])


def sql_table(title, unit, description, statement, *, units=None):
    overrides = [override(column, unit=its) for column, its in (units or {}).items()]
    return panel("table", title, unit, description, [sql(statement)], overrides=overrides,
                 options={"showHeader": True, "cellHeight": "sm"})


def heading(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


# --- variables --------------------------------------------------------------------------------------


def datasource_variable(kind, uid, name):
    """Comes first: all else is asked of the one that is chosen."""
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": kind, "refresh": 1,
            "regex": "", "hide": 0, "multi": False, "includeAll": False, "options": [], "skipUrlSync": False,
            "current": {"text": name, "value": uid, "selected": False}}


def variable(name, label, kind, asked, several):
    """several: any number of values, all to begin with; else one, the first."""
    return {"type": "query", "name": name, "label": label, "datasource": source(kind), **asked, "refresh": 2,
            "sort": 1, "regex": "", "hide": 0, "options": [], "skipUrlSync": False, "multi": several,
            "includeAll": several, "current": {"text": ["All"], "value": ["$__all"]} if several else {}}


def label_variable(name, label, selector, *, several=True, of=None):
    """Values of a label of what the selector matches. `.*` stands for all, so that 200 names are no pattern."""
    asked = f"label_values({selector}, {of or name})"
    found = variable(name, label, PROMETHEUS, {"definition": asked, "query": {
        "qryType": 1, "query": asked, "refId": "PrometheusVariableQueryEditor-VariableQuery"}}, several)
    return {**found, "allValue": ".*"} if several else found


def sql_variable(name, label, statement):
    return variable(name, label, POSTGRES, {"definition": statement, "query": statement}, True)


# --- dashboards -------------------------------------------------------------------------------------


def placed(rows):
    """Panels from top to bottom, those of a row side by side across the whole width."""
    top, panels = 0, []
    for row in rows:
        left, height = 0, max(HEIGHTS[one["type"]] for one in row)
        for i, one in enumerate(row):
            width = (WIDTH - left) // (len(row) - i)
            panels.append({**one, "id": len(panels) + 1, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        top += height
    return panels


def dashboard(uid, title, description, variables, rows, *, since="now-6h", refresh="1m"):
    return {
        "uid": uid, "title": title, "description": description, "tags": ["streamlens"], "schemaVersion": SCHEMA_VERSION,
        "version": 1, "id": None, "editable": True, "graphTooltip": 1, "timezone": "browser", "refresh": refresh,
        "time": {"from": since, "to": "now"}, "timepicker": {}, "annotations": {"list": []}, "fiscalYearStartMonth": 0,
        "links": [{"type": "dashboards", "tags": ["streamlens"], "title": "StreamLens", "asDropdown": True,
                   "includeVars": True, "keepTime": True, "icon": "external link", "targetBlank": False, "url": ""}],
        "templating": {"list": variables}, "panels": placed(rows)}
