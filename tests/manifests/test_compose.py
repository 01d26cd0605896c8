#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/compose: the image's recipe by hadolint and against the sources, the services by compose's own schema
and each program's settings; Prometheus and Grafana with what is mounted into them. No container is started: what the
image's first half does is done here, in a copy."""
import fnmatch
import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from manifests import checker, documents
from program_settings import PROGRAMS, ROOT, check_config, packages, program_path, unknown

COMPOSE = ROOT / "deploy/compose"
RECIPE = COMPOSE / "Dockerfile"
STORES = {"redpanda", "postgres"}  # images of others, as they come


def instructions():
    """[(name, rest)] of the Dockerfile, comments gone and lines joined."""
    text = re.sub(r"^\s*#.*\n", "", RECIPE.read_text(encoding="utf-8"), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def apt_packages(run):
    words = re.search(r"--no-install-recommends(.*?)&&", run).group(1).split()
    return set(words)


def stages():
    found = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def kept(path):
    """Whether the context has the file: the last line that matches decides."""
    keep = True
    for line in (COMPOSE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and any(fnmatch.fnmatch(str(p), pattern) for p in [path, *path.parents]):
            keep = line.startswith("!")
    return keep


class Image(unittest.TestCase):
    def test_hadolint(self):
        self.assertEqual(checker("hadolint", RECIPE), (0, ""))

    def test_packages_of_building(self):
        """Those of the one list: each library it has, and nothing that it does not have."""
        listed = packages("PACKAGES_RUN")
        wanted = {p for p in listed if p.endswith("-dev")} | {"build-essential", "meson", "ninja-build"}
        build = apt_packages(next(rest for name, rest in stages()[0] if name == "RUN"))
        self.assertLessEqual(build, set(listed))
        self.assertLessEqual(wanted, build)

    def test_packages_of_running(self):
        """Whose libraries the programs name, as this machine's packages have them; and no other library."""
        needed = set()
        for program in PROGRAMS:
            text = subprocess.run(["objdump", "-p", program_path(program)], capture_output=True, text=True,
                                  check=True).stdout
            needed |= set(re.findall(r"NEEDED\s+(\S+)", text))
        owners = set()
        for library in needed:
            # By name, since where /lib is a link to /usr/lib the list of files has the one or the other. Libraries of
            # other machines, and of 32 bits, lie elsewhere.
            text = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
            owners |= set(re.findall(r"^([^:]+).*: (?:/usr)?/lib/", text, re.M))
        run = apt_packages(next(rest for name, rest in stages()[1] if name == "RUN"))
        beside = {"tzdata", "ca-certificates", "libsasl2-modules", "curl"}
        self.assertEqual(run - beside, owners - {"libc6"})

    def test_builds_from_its_context(self):
        """meson and ninja find all that they read among what the context keeps. Compiled elsewhere: the same."""
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
        if listed.returncode != 0:  # a copy of the files alone
            files = [p.relative_to(ROOT) for p in ROOT.rglob("*") if p.is_file()]
        else:
            files = [Path(name) for name in listed.stdout.split("\0") if name]
        copy = Path(tempfile.mkdtemp(prefix="streamlens-context-"))
        self.addCleanup(shutil.rmtree, copy)
        for name in filter(kept, files):
            if (ROOT / name).is_file():
                (copy / "src" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / "src" / name)
        build = next(rest for name, rest in stages()[0] if name == "RUN" and "meson setup" in rest)
        setup, ninja, install = (command.split() for command in build.split("&&"))
        self.assertEqual((setup[2], ninja[1:3], install[-3:-1]), ("/build", ["-C", "/build"], ["-C", "/build"]))
        for command in ([*setup[:2], str(copy / "build"), *setup[3:]], ["ninja", "-n", "-C", str(copy / "build"),
                                                                       *ninja[3:]]):
            r = subprocess.run(command, cwd=copy / "src", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=200, check=False)
            self.assertEqual(r.returncode, 0, r.stdout)
        plan = json.loads(subprocess.run(["meson", "introspect", "--installed", str(copy / "build")],
                                         capture_output=True, text=True, check=True).stdout)
        self.assertEqual(sorted(plan.values()), sorted(f"/usr/bin/streamlens-{p}" for p in PROGRAMS))
        self.assertEqual(sorted(Path(p).name for p in ninja[3:]), sorted(f"streamlens-{p}" for p in PROGRAMS))

    def test_it_is_nobody(self):
        self.assertIn(("USER", "65532:65532"), stages()[1])
        self.assertEqual([name for name, _ in stages()[1] if name == "ADD"], [])


class Services(unittest.TestCase):
    def setUp(self):
        self.file, = documents(COMPOSE / "docker-compose.yaml")
        self.services = self.file["services"]
        self.own = {name: s for name, s in self.services.items() if "build" in s}

    def program(self, name):
        s = self.own[name]
        return (s.get("entrypoint") or s["command"])[0].removeprefix("streamlens-")

    def environment(self, name):
        """As compose would hand it over, with a password of the test's."""
        def put(match):
            return match[3] if match[2] == ":-" else "secret"
        return {k: re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", put, str(v)) for k, v in
                self.own[name]["environment"].items()}

    def test_schema(self):
        status, said = checker("check-jsonschema", "--builtin-schema", "vendor.compose-spec",
                               COMPOSE / "docker-compose.yaml")
        self.assertEqual(status, 0, said)

    def test_all_programs_run(self):
        self.assertEqual({self.program(name) for name in self.own}, set(PROGRAMS))

    def test_settings(self):
        for name in self.own:
            with self.subTest(name):
                # What is not a program's own is shared with those whose it is, and read by nobody here.
                unread = [v for v in unknown(self.program(name), self.environment(name)) if v != "KAFKA_BROKERS"]
                self.assertEqual(unread, [])
                self.assertEqual(check_config(self.program(name), self.environment(name)), "")

    def test_ports(self):
        """Published for this machine alone, at the port that is listened on; so is the health check's."""
        for name, service in self.services.items():
            for port in service.get("ports", []):
                address, _, inside = port.split(":")
                self.assertEqual(address, "127.0.0.1", name)
                if name in self.own:
                    self.assertEqual(inside, self.environment(name)["HTTP_PORT"])
        for name in ("ingest-api", "processor", "metrics-api"):
            self.assertEqual(self.own[name]["healthcheck"]["test"][-1],
                             f"http://127.0.0.1:{self.environment(name)['HTTP_PORT']}/readyz")

    def test_hardening(self):
        for name, service in self.services.items():
            if name in STORES:
                continue
            self.assertTrue(service["read_only"], name)
            self.assertEqual((service["cap_drop"], service["security_opt"]), (["ALL"], ["no-new-privileges:true"]))
            # Of our own image the recipe says it.
            self.assertTrue(name in self.own or re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name)

    def test_order(self):
        """The services come after setup, which comes after the stores, which say when they are there."""
        for name, service in self.services.items():
            for other, how in service.get("depends_on", {}).items():
                if how["condition"] == "service_healthy":
                    self.assertIn("healthcheck", self.services[other], name)
                else:
                    self.assertIn(other, {"setup", "grafana-login"}, name)
                    self.assertEqual(self.services[other]["restart"], "no", name)
        for name in self.own:
            self.assertLessEqual(set(self.own[name]["depends_on"]), {*STORES, "setup"}, name)
        self.assertEqual(set(self.own["setup"]["depends_on"]), {"redpanda", "postgres"})

    def test_time_to_stop(self):
        """Longer than a service takes to drain by default."""
        for name in ("ingest-api", "processor", "metrics-api"):
            drain = subprocess.run([program_path(self.program(name)), "--print-config"], capture_output=True, text=True,
                                   check=True, env=self.environment(name)).stdout
            drain_ms = int(re.search(r"^HTTP_DRAIN_TIMEOUT_MS=(\d+)", drain, re.M).group(1))
            self.assertGreater(int(self.own[name]["stop_grace_period"].removesuffix("s")) * 1000, drain_ms)

    def test_images_have_a_version(self):
        images = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
        images += [s["image"] for name, s in self.services.items() if name not in self.own]
        for image in images:
            self.assertRegex(image, r":v?\d+(\.\d+)+(-slim)?$")

    def test_build_is_where_it_says(self):
        for service in self.own.values():
            context = (COMPOSE / service["build"]["context"]).resolve()
            self.assertEqual(context / service["build"]["dockerfile"], RECIPE.resolve())


class Monitoring(unittest.TestCase):
    """Prometheus and Grafana: what is mounted exists, and what it names is among the services."""

    def setUp(self):
        self.file, = documents(COMPOSE / "docker-compose.yaml")
        self.services = self.file["services"]
        self.grafana = self.services["grafana"]

    def mounts(self, name):
        """{path in the container: path here}, of what is not a volume."""
        parts = [v.split(":") for v in self.services[name]["volumes"]]
        for volume in (p for p in parts if not p[0].startswith(".")):
            self.assertIn(volume[0], self.file["volumes"], name)
        found = {p[1]: (COMPOSE / p[0]).resolve() for p in parts if p[0].startswith(".") and p[2:] == ["ro"]}
        for path in found.values():
            self.assertTrue(path.exists() and ROOT in path.parents, path)
        return found

    def yaml(self, *path):
        found, = documents(ROOT.joinpath("deploy", *path))
        return found

    def test_only_in_the_profile(self):
        named = {name for name, s in self.services.items() if s.get("profiles") == ["monitoring"]}
        self.assertEqual(named, {"prometheus", "grafana-login", "grafana"})
        for name, service in self.services.items():
            self.assertTrue(name in named or not named & set(service.get("depends_on", {})), name)

    def test_prometheus_scrapes_each_service(self):
        mine, other = self.yaml("compose", "prometheus.yml"), self.yaml("prometheus", "prometheus.yml")
        self.assertEqual([j["job_name"] for j in mine["scrape_configs"]],
                         [j["job_name"] for j in other["scrape_configs"]])
        self.assertEqual(mine["global"], other["global"])
        for job in mine["scrape_configs"]:
            place, = job["dns_sd_configs"]
            name, = place["names"]
            self.assertEqual(job["job_name"], "streamlens-" + name)
            self.assertEqual(str(place["port"]), self.services[name]["environment"]["HTTP_PORT"])
            self.assertEqual(place["type"], "A")

    def test_prometheus_takes_its_files(self):
        mounts = self.mounts("prometheus")
        config = next(c for c in self.services["prometheus"]["command"] if c.startswith("--config.file="))
        folder = Path(tempfile.mkdtemp(prefix="streamlens-prometheus-"))
        self.addCleanup(shutil.rmtree, folder)
        for inside, here in mounts.items():
            shutil.copy(here, folder / Path(inside).name)
        r = subprocess.run(["promtool", "check", "config", folder / Path(config.split("=")[1]).name],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertEqual(r.returncode, 0, r.stdout)
        self.assertRegex(r.stdout, r"SUCCESS: [1-9]\d* rules found")

    def test_grafana_has_what_the_provisioning_names(self):
        env, mounts = self.grafana["environment"], self.mounts("grafana")
        texts = {}
        for kind in ("datasources", "dashboards"):
            folder = ROOT / "deploy/grafana/provisioning" / kind
            file, = folder.glob("*.yaml")
            self.assertEqual(mounts[f"/etc/grafana/provisioning/{kind}/{file.name}"], file)
            texts[kind] = file.read_text(encoding="utf-8")
        written = re.sub(r"^ *#.*\n", "", "".join(texts.values()), flags=re.M)
        named = set(re.findall(r"\$(\w+)", written))
        self.assertEqual(named, {v for v in env if v.startswith("STREAMLENS_")})
        table = (ROOT / "deploy/grafana/provisioning/datasources/README.md").read_text(encoding="utf-8")
        self.assertEqual(named, set(re.findall(r"`(STREAMLENS_\w+)`", table)))
        self.assertIn(env["STREAMLENS_DASHBOARDS"], mounts)
        home = Path(env["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        self.assertTrue((mounts[str(home.parent)] / home.name).exists())

    def test_grafana_reaches_its_sources(self):
        env = self.grafana["environment"]
        for variable in ("STREAMLENS_METRICS_URL", "STREAMLENS_PROMETHEUS_URL", "STREAMLENS_SQL_HOST"):
            name, port = env[variable].removeprefix("http://").split(":")
            listens = {p.split(":")[-1] for p in self.services[name].get("ports", [])}
            self.assertIn(port, listens, variable)
        self.assertEqual(env["STREAMLENS_SQL_DATABASE"], self.services["postgres"]["environment"]["POSTGRES_DB"])

    def test_grafana_logs_in_as_who_was_made(self):
        env, login = self.grafana["environment"], self.services["grafana-login"]
        command = dict(c.removeprefix("--set=").split("=", 1) for c in login["command"] if c.startswith("--set="))
        self.assertEqual(command, {"login": env["STREAMLENS_SQL_USER"], "password": env["STREAMLENS_SQL_PASSWORD"]})
        self.assertEqual(login["image"], self.services["postgres"]["image"])
        file = next(c.split("=")[1] for c in login["command"] if c.startswith("--file="))
        self.assertEqual(self.mounts("grafana-login")[file], ROOT / "deploy/grafana/login.sql")

    def test_data_sources(self):
        """By kind: what Grafana takes for granted is not what these are."""
        listed = self.yaml("grafana", "provisioning", "datasources", "streamlens.yaml")["datasources"]
        sources = {d["uid"]: d for d in listed}
        self.assertEqual([u for u, d in sources.items() if d.get("isDefault")], ["llm-metrics"])
        for uid, every in (("llm-metrics", "60s"), ("streamlens-self", "15s")):
            about = sources[uid]["jsonData"]
            self.assertEqual((about["httpMethod"], about["timeInterval"], about["prometheusType"]),
                             ("POST", every, "Prometheus"), uid)
        self.assertIs(sources["llm-metrics"]["jsonData"]["manageAlerts"], False)
        headers = {sources["llm-metrics"]["jsonData"]["httpHeaderName1"]:
                   sources["llm-metrics"]["secureJsonData"]["httpHeaderValue1"]}
        self.assertEqual(headers, {"Authorization": "Bearer $STREAMLENS_KEY"})
        self.assertEqual(sources["llm-sql"]["type"], "grafana-postgresql-datasource")


if __name__ == "__main__":
    unittest.main()
