#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dashboards/*.json from usage.py, own.py and rows.py: ./generate.py [DIRECTORY]"""
import json
import sys
from pathlib import Path

import own
import rows
import usage

DASHBOARDS = (usage.overview, usage.cost_dashboard, usage.model, usage.tenant, own.pipeline, rows.rows)


def main(folder):
    for make in DASHBOARDS:
        made = make()
        name = made["uid"].removeprefix("streamlens-") + ".json"
        (folder / name).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "dashboards")
