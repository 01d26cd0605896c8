# SPDX-License-Identifier: Apache-2.0
"""What measures were taken on: without it a figure says nothing."""
import json
import os
import re
import shlex
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UNKNOWN = "unknown"


def said(*command):
    """The first line of it."""
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=ROOT).stdout
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return (out.strip().splitlines() or [UNKNOWN])[0]


def file_text(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def cpu(text):
    """Of /proc/cpuinfo."""
    fields = dict(re.findall(r"^(model name|cpu MHz)\s*: (.+)$", text, re.M))
    return {"cpu": fields.get("model name", UNKNOWN), "mhz": fields.get("cpu MHz", UNKNOWN)}


def compiler(build):
    commands = json.loads(file_text(os.path.join(build, "compile_commands.json")) or "[]")
    return said(shlex.split(commands[0]["command"])[0], "--version") if commands else UNKNOWN


def buildtype(build):
    options = json.loads(file_text(os.path.join(build, "meson-info", "intro-buildoptions.json")) or "[]")
    return next((o["value"] for o in options if o["name"] == "buildtype"), UNKNOWN)


def kafka(pom):
    """The one that deploy/local starts; a broker does not say its version."""
    found = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([^<]+)<", pom)
    return found[1] + " (of deploy/local)" if found else UNKNOWN


def describe(build, dsn):
    """A dict of texts and numbers. dsn: of PostgreSQL, or None where none was used."""
    return {**cpu(file_text("/proc/cpuinfo")), "cores": len(os.sched_getaffinity(0)), "kernel": os.uname().release,
            "load": [round(x, 2) for x in os.getloadavg()], "revision": said("git", "describe", "--always", "--dirty"),
            "compiler": compiler(build), "buildtype": buildtype(build),
            "librdkafka": said("pkg-config", "--modversion", "rdkafka"),
            "libpq": said("pkg-config", "--modversion", "libpq"),
            "kafka": kafka(file_text(os.path.join(ROOT, "deploy/local/pom.xml"))),
            "postgresql": said("psql", "-XAtd", dsn, "-c", "SHOW server_version") if dsn else UNKNOWN}
