# SPDX-License-Identifier: Apache-2.0
"""Documents against deploy/schemas."""
import base64
import json
import os
import subprocess

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema_check.py")


def problems(pairs):
    """For each (schema, document) the list of [path, keyword] that is wrong with it."""
    lines = "".join(json.dumps(p) + "\n" for p in pairs)
    out = subprocess.run([PROGRAM], input=lines, stdout=subprocess.PIPE, text=True, timeout=120,
                         check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def whole_record(envelope):
    """Of kcat's JSON envelope (kcat -J) what deploy/schemas/README.md calls a whole record."""
    headers = envelope.get("headers", [])
    value = (envelope.get("payload") or "").encode()
    return {"key": envelope["key"], "headers": dict(zip(headers[::2], headers[1::2])),
            "value": base64.b64encode(value).decode()}
