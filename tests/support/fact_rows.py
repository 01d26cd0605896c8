# SPDX-License-Identifier: Apache-2.0
"""Rows of facts put straight into the database, past the processor: every column that must have a value has 0."""
import base64
import json
import os
import subprocess
import zlib


def series(stack, series_id, tenant, route="r", model="m"):
    stack.sql("INSERT INTO llm_series (series_id, tenant_id, route, model) OVERRIDING SYSTEM VALUE"
              f" VALUES ({series_id}, '{tenant}', '{route}', '{model}')")


def partitions(stack, instants):
    """The days and months of these instants, which are SQL."""
    stack.sql("SELECT llm_make_partition(p, i) FROM unnest(ARRAY['llm_minute', 'llm_publish', 'llm_hour']) p,"
              f" unnest(ARRAY[{', '.join(instants)}]::timestamptz[]) i")


def rows(stack, table, series_ids, instants, **columns):
    """A row of llm_minute or llm_hour for each of the series at each of the instants; both are SQL of a set. Columns
    are SQL as well, and see series_id and window_start."""
    have = {"revision": "1", "usage": "'{}'", "error_classes": "'{}'", "finish_reasons": "'{}'", **columns}
    needed = stack.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema()"
                       f" AND table_name = '{table}' AND is_nullable = 'NO' AND column_default IS NULL").split()
    names = [c for c in dict.fromkeys([*needed, *have]) if c not in ("series_id", "window_start")]
    stack.sql(f"INSERT INTO {table} (series_id, window_start, {', '.join(names)})"
              f" SELECT series_id, window_start, {', '.join(have.get(c, '0') for c in names)}"
              f" FROM ({series_ids}) s(series_id), ({instants}) w(window_start)")
    if table == "llm_minute":
        stack.sql("INSERT INTO llm_publish (window_start, series_id) SELECT window_start, series_id"
                  f" FROM ({series_ids}) s(series_id), ({instants}) w(window_start)")


def histogram(*values):
    """As a literal of SQL; each value is µs, or "µs*count"."""
    tool = os.path.join(os.environ["SL_BUILD"], "tests", "interop", "hist_tool")
    out = subprocess.run([tool], input=f"make {' '.join(map(str, values))}\n", capture_output=True, text=True,
                         check=True, timeout=60).stdout
    return "'\\x" + zlib.decompress(base64.b64decode(json.loads(out)["hdr"])[8:]).hex() + "'"
