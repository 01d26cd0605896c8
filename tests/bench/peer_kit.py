# SPDX-License-Identifier: Apache-2.0
"""Programs of others that do the same work, from a directory outside of the checkout: what must be there, building it
elsewhere, what it is, and reading what its scripts say. Nothing in the directory is changed."""
import hashlib
import os
import re
import shutil
import stat
import subprocess

from machine import said

FILES = ("gen/gen.c", "check.sh", "lib.sh", "run-metrics.sh", "RESULTS.md", "wrk/metrics.lua", "wrk/metrics-table.sql",
         "kafka-streams/pom.xml", "kafka-streams/run.sh", "kafka-streams/schema.sql", "kafka-streams/src",
         "rpconnect/go.mod", "rpconnect/main.go", "rpconnect/config.yaml", "rpconnect/config-bare.yaml")
COMMANDS = {"cc": "build-essential", "mvn": "maven", "java": "default-jre-headless", "wrk": "wrk",
            "psql": "postgresql-client", "go": "golang-go, or of go.dev where that is too old"}
SECONDS_MAX = 1200  # of building one, with what it fetches
QUESTIONS = "## Metrics API of the original"


class Lacks(Exception):
    """What is missing, for whoever gave the directory."""


def check(folder):
    for name in FILES:
        if not os.path.exists(os.path.join(folder, name)):
            raise Lacks(f"--peers: {folder} has no {name}; a directory with these is wanted: {' '.join(FILES)}")
    for command, package in COMMANDS.items():
        if not shutil.which(command):
            raise Lacks(f"--peers: there is no {command} (of the Debian package {package})")
    published(folder)


def digest(folder):
    """Of the names and contents of all files below it."""
    sum_ = hashlib.sha256()
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(path, name)
            with open(file, "rb") as f:
                content = f.read()
            sum_.update(f"{os.path.relpath(file, folder)}\0{len(content)}\0".encode() + content)
    return sum_.hexdigest()[:16]


def built(source, below, command, product):
    """The product's path, made by the command in a copy of the source below that directory; anew only where the source
    has changed."""
    made = os.path.join(below, f"{os.path.basename(source)}-{digest(source)}")
    if not os.path.exists(made):
        work = made + ".new"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source, work)
        for path, _, names in os.walk(work):  # it may have been read-only
            for file in (path, *(os.path.join(path, n) for n in names)):
                os.chmod(file, os.stat(file).st_mode | stat.S_IWUSR)
        r = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        if r.returncode or not os.path.exists(os.path.join(work, product)):
            raise Lacks(f"--peers: {' '.join(command)} in {work} gave no {product}:\n{(r.stdout + r.stderr)[-3000:]}")
        os.rename(work, made)
    return os.path.join(made, product)


class Kit:
    """What is built of the directory; each when it is first asked for."""

    def __init__(self, folder, below):
        self.folder, self.below = folder, below
        os.makedirs(below, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def gen(self):
        return built(self.path("gen"), self.below, ["cc", "-O2", "-o", "gen", "gen.c", "-lrdkafka", "-lm"], "gen")

    def streams(self):
        """The directory that its run.sh wants."""
        jar = built(self.path("kafka-streams"), self.below, ["mvn", "-q", "-B", "package"],
                    "target/kafka-streams-peer.jar")
        return os.path.dirname(jar)

    def benthos(self):
        return built(self.path("rpconnect"), self.below, ["go", "build", "-o", "rpconnect", "."], "rpconnect")


def text_of(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return f.read()


def versions(folder):
    """For the description of the machine."""
    streams = re.search(r"<artifactId>kafka-streams</artifactId><version>([^<]+)<",
                        re.sub(r"\s", "", text_of(folder, "kafka-streams/pom.xml")))
    benthos = re.search(r"redpanda-data/benthos/v4 (\S+)", text_of(folder, "rpconnect/go.mod"))
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    return {"streams": streams[1] if streams else "unknown", "benthos": benthos[1] if benthos else "unknown",
            "java": (java.splitlines() or ["unknown"])[0], "go": said("go", "version"),
            "wrk": wrk_version(), "psql": said("psql", "--version")}


def wrk_version():
    out = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=60, check=False).stdout
    return (out.splitlines() or ["unknown"])[0].split(" Copyright")[0]


def published(folder):
    """CPU in µs that a question cost the original when it was measured: {connections: µs}."""
    section = text_of(folder, "RESULTS.md").partition(QUESTIONS)[2].partition("\n## ")[0]
    found = {int(c): float(cpu) for c, cpu in re.findall(r"^\| (\d+) \|[^|]*\|[^|]*\| ([\d.]+) \|", section, re.M)}
    if not found:
        raise Lacks(f"--peers: RESULTS.md has no table of connections and CPU below \"{QUESTIONS}\"")
    return found


def compared(text):
    """What check.sh said: (how many windows are not exact, whether its sums are)."""
    windows = re.search(r"windows: want=(\d+) exact=(\d+) wrong=\d+ missing=\d+ extra=(\d+)", text)
    sums = re.search(r"requests want=(\d+) have=(\d*) .*errors want=(\d+) have=(\d*)", text)
    off = re.findall(r"_sum off=(-?\d+)", text)
    if not windows or not sums or len(off) != 3:
        raise Lacks(f"--peers: check.sh did not say how many windows are exact, but:\n{text[-2000:]}")
    want, exact, extra = map(int, windows.groups())
    return want - exact + extra, sums[1] == sums[2] and sums[3] == sums[4] and set(off) <= {"0", "-0"}


def questions_said(text):
    """[(connections, µs of CPU a question)] of what run-metrics.sh printed."""
    bad = [n for n in re.findall(r" non2xx=(\d+)", text) if int(n)]
    found = [(int(c), float(cpu)) for c, cpu in re.findall(r" c=(\d+) run=.* api_cpu_us_per_query=([\d.]+)", text)]
    if bad or not found:
        raise Lacks(f"--peers: run-metrics.sh did not measure it, but said:\n{text[-2000:]}")
    return found
