#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Validates documents: a line of standard input is a JSON array [schema, document], the schema being the name of
one in deploy/schemas or a schema itself, a line of standard output the array of what is wrong with it, each as
[path, keyword]. Debian's Python by its full name, since its
packages (python3-jsonschema) are that one's alone. tests/support/schemas.py calls it."""
import json
import os
import sys

from jsonschema import Draft202012Validator

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "schemas")


def validator(schema):
    if isinstance(schema, str):
        with open(os.path.join(SCHEMAS, schema + ".json"), encoding="utf-8") as f:
            schema = json.load(f)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def main():
    validators = {}
    for line in sys.stdin:
        schema, document = json.loads(line)
        name = json.dumps(schema)
        if name not in validators:
            validators[name] = validator(schema)
        print(json.dumps([["/".join(map(str, e.absolute_path)), e.validator]
                          for e in validators[name].iter_errors(document)]), flush=True)


if __name__ == "__main__":
    main()
