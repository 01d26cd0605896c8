# SPDX-License-Identifier: Apache-2.0
"""What the manifests are held to: the settings of each program, the sources' own lists. Standard library only."""
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(os.environ.get("SL_ROOT", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("SL_BUILD", ROOT / "build"))
PROGRAMS = ("ingest-api", "processor", "metrics-api", "admin")


def by_program():
    """{program: {name: whether NAME_FILE works}}, from the reference page, which is the table in code."""
    names = {program: {} for program in PROGRAMS}
    for line in (ROOT / "deploy/REFERENCE.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and re.fullmatch(r"`[A-Z_]+`", cells[0]):
            for program in cells[3].split(", "):
                names[program][cells[0].strip("`")] = cells[2] == "text"
    assert all(names.values()), "deploy/REFERENCE.md is not read right"
    return names


def unknown(program, variables):
    """Those that the program does not read."""
    known = by_program()[program]
    return [name for name in variables
            if name not in known and not known.get(name.removesuffix("_FILE"), False)
            and not name.startswith("KAFKA_CONF_")]


def program_path(program):
    folder = "deploy/admin" if program == "admin" else program
    return BUILD / folder / f"streamlens-{program}"


def check_config(program, variables):
    """What --check-config has against them; empty where nothing."""
    r = subprocess.run([program_path(program), "--check-config"], capture_output=True, text=True, timeout=30,
                       check=False, env={"PATH": os.environ["PATH"], **variables})
    return "" if r.returncode == 0 else f"{program}: {r.stderr or r.returncode}"


def packages(name):
    """The Debian packages of an array in deploy/local/packages.sh."""
    script = f'. "{ROOT}/deploy/local/packages.sh"; printf "%s\\n" "${{{name}[@]}}"'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
