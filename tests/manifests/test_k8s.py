#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/k8s by Kubernetes' own schemas, and each name and number that has to be the same in two places. There is
no cluster."""
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from manifests import documents, library
from program_settings import PROGRAMS, ROOT, check_config, program_path, unknown

K8S = ROOT / "deploy/k8s"
VERSIONS = ("1.27", "1.30", "1.37")  # the oldest that the README names, and the newest that is known here
SERVICES = {"ingest-api", "processor", "metrics-api"}
SECRET = "/run/secrets/streamlens/postgres_dsn"


def settings_file():
    lines = (K8S / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def default(name):
    """Of a setting of the processor."""
    text = subprocess.run([program_path("processor"), "--print-config"], capture_output=True, text=True, check=True,
                          env={}).stdout
    return re.search(rf"^{name}=(.*)$", text, re.M).group(1)


class Manifests(unittest.TestCase):
    def setUp(self):
        self.kustomization, = documents(K8S / "kustomization.yaml")
        self.keda, = documents(K8S / "processor-keda.yaml")
        self.objects = [d for name in self.kustomization["resources"] for d in documents(K8S / name)]

    def of(self, *kinds):
        return [d for d in self.objects if d["kind"] in kinds]

    def pods(self):
        """{name of the object: what its pods are made of}"""
        found = {d["metadata"]["name"]: d["spec"]["template"] for d in self.of("Deployment", "StatefulSet", "Job")}
        for d in self.of("CronJob"):
            found[d["metadata"]["name"]] = d["spec"]["jobTemplate"]["spec"]["template"]
        return found

    def container(self, template):
        one, = template["spec"]["containers"]
        return one

    def environment(self, template):
        """As the kubelet would make it."""
        container = self.container(template)
        own = {v["name"]: v.get("value", "processor-0") for v in container["env"]}
        source, = container["envFrom"]
        self.assertEqual(source["configMapRef"]["name"], self.kustomization["configMapGenerator"][0]["name"])
        return {**settings_file(), **own}

    def program(self, template):
        return self.container(template)["command"][0].removeprefix("streamlens-")

    # ---- the format ----

    def test_schemas(self):
        validate = library("kubernetes_validate").validate
        self.assertTrue(self.objects)
        for version in VERSIONS:
            for d in self.objects:
                with self.subTest(version=version, kind=d["kind"], name=d["metadata"]["name"]):
                    validate(d, version, strict=True)  # raises, also where it knows no such kind

    def test_every_file_is_used(self):
        apart = {"kustomization.yaml", "processor-keda.yaml"}
        self.assertEqual({p.name for p in K8S.glob("*.yaml")} - apart, set(self.kustomization["resources"]))
        self.assertEqual(self.kustomization["configMapGenerator"][0]["envs"], ["settings.env"])

    def test_image(self):
        image, = self.kustomization["images"]
        version = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text(encoding="utf-8")).group(1)
        self.assertEqual(str(image["newTag"]), version)
        for name, template in self.pods().items():
            self.assertEqual(self.container(template)["image"], image["name"], name)

    # ---- the programs ----

    def test_all_programs_run(self):
        self.assertEqual({self.program(t) for t in self.pods().values()}, set(PROGRAMS))

    def test_settings(self):
        with tempfile.NamedTemporaryFile("w") as secret:
            secret.write("postgres://streamlens@postgres/streamlens")
            secret.flush()
            for name, template in self.pods().items():
                with self.subTest(name):
                    env = self.environment(template)
                    self.assertEqual(unknown(self.program(template), [v["name"] for v in
                                                                      self.container(template)["env"]]), [])
                    self.assertEqual(env["POSTGRES_DSN_FILE"], SECRET)
                    self.assertEqual(check_config(self.program(template),
                                                  {**env, "POSTGRES_DSN_FILE": secret.name}), "")
                    # By kubectl exec, as the README has it.
                    self.assertEqual(check_config("admin", {**env, "POSTGRES_DSN_FILE": secret.name}), "")
        for name in settings_file():
            self.assertTrue(any(not unknown(program, [name]) for program in PROGRAMS), name)

    def test_secret_is_where_it_is_looked_for(self):
        for name, template in self.pods().items():
            mount, = self.container(template)["volumeMounts"]
            volume, = template["spec"]["volumes"]
            self.assertEqual((mount["name"], mount["mountPath"], volume["secret"]["secretName"]),
                             (volume["name"], str(Path(SECRET).parent), "streamlens"), name)
            # By group: the files are root's.
            self.assertEqual((volume["secret"]["defaultMode"], template["spec"]["securityContext"]["fsGroup"]),
                             (0o440, template["spec"]["securityContext"]["runAsGroup"]), name)

    def test_ports_and_probes(self):
        routes = "".join((ROOT / name / "routes.c").read_text(encoding="utf-8") for name in SERVICES)
        for name in SERVICES:
            template = self.pods()[name]
            container = self.container(template)
            port, = container["ports"]
            self.assertEqual(str(port["containerPort"]), self.environment(template)["HTTP_PORT"])
            for probe, path in (("startupProbe", "/startupz"), ("readinessProbe", "/readyz"),
                                ("livenessProbe", "/livez")):
                self.assertEqual(container[probe]["httpGet"], {"path": path, "port": port["name"]})
                self.assertIn(f'"{path}"', routes)
            service, = [s for s in self.of("Service") if s["metadata"]["name"] == name]
            self.assertEqual(service["spec"]["ports"][0]["targetPort"], port["name"])
            self.assertEqual(service["spec"]["ports"][0]["port"], port["containerPort"])

    def test_time_to_stop(self):
        drain_s = int(default("HTTP_DRAIN_TIMEOUT_MS")) / 1000
        for name in SERVICES:
            template = self.pods()[name]
            wait = self.container(template).get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})
            wait_s = int(wait["preStop"]["exec"]["command"][1])
            self.assertGreater(template["spec"]["terminationGracePeriodSeconds"], wait_s + drain_s, name)
            self.assertEqual(wait_s > 0, name != "processor")  # nobody sends to one

    # ---- who is meant ----

    def test_selectors(self):
        labels = {name: t["metadata"]["labels"] for name, t in self.pods().items()}
        for d in self.of("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"):
            selector = d["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            meant = [name for name, own in labels.items() if selector.items() <= own.items()]
            self.assertEqual(meant, [d["metadata"]["name"]], d["kind"])
        for kind in ("Service", "PodDisruptionBudget"):
            self.assertEqual({d["metadata"]["name"] for d in self.of(kind)}, SERVICES, kind)
        for d in self.of("HorizontalPodAutoscaler"):
            target = d["spec"]["scaleTargetRef"]
            found, = [o for o in self.of(target["kind"]) if o["metadata"]["name"] == target["name"]]
            self.assertNotIn("replicas", found["spec"])  # each apply would set it back
            self.assertIn("cpu", self.container(found["spec"]["template"])["resources"]["requests"])
        self.assertEqual({d["metadata"]["name"] for d in self.of("HorizontalPodAutoscaler")},
                         SERVICES - {"processor"})

    def test_network(self):
        """Everything is closed, then each pod may reach the stores, and each service be reached at its port."""
        policies = {d["metadata"]["name"]: d["spec"] for d in self.of("NetworkPolicy")}
        self.assertEqual(policies["default-deny"], {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        part = policies["stores"]["podSelector"]["matchLabels"]
        for name, template in self.pods().items():
            self.assertLessEqual(part.items(), template["metadata"]["labels"].items(), name)
        out = {p["port"] for rule in policies["stores"]["egress"] for p in rule["ports"]}
        self.assertEqual(out, {53, 5432, int(settings_file()["KAFKA_BROKERS"].rsplit(":", 1)[1])})
        into = [*policies["apis"]["podSelector"]["matchExpressions"][0]["values"],
                policies["processor"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]]
        self.assertEqual(set(into), SERVICES)

    def test_hardening(self):
        """What the namespace asks for (restricted), and a root that cannot be written to."""
        namespace, = self.of("Namespace")
        self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        self.assertEqual(namespace["metadata"]["name"], self.kustomization["namespace"])
        user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy/compose/Dockerfile").read_text(encoding="utf-8"), re.M)
        for name, template in self.pods().items():
            pod = template["spec"]["securityContext"]
            self.assertEqual((pod["runAsNonRoot"], pod["runAsUser"], pod["runAsGroup"], pod["seccompProfile"]),
                             (True, int(user[1]), int(user[2]), {"type": "RuntimeDefault"}), name)
            self.assertEqual(self.container(template)["securityContext"],
                             {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                              "capabilities": {"drop": ["ALL"]}}, name)
            self.assertIs(template["spec"]["automountServiceAccountToken"], False, name)

    def test_retention(self):
        """Never two at a time, after the day in UTC. The schemas know the names of fields, not each word in them."""
        cron, = self.of("CronJob")
        self.assertEqual((cron["spec"]["timeZone"], cron["spec"]["concurrencyPolicy"]), ("Etc/UTC", "Forbid"))
        self.assertRegex(cron["spec"]["schedule"], r"^\d+ 0 \* \* \*$")
        self.assertEqual(self.container(self.pods()[cron["metadata"]["name"]])["command"],
                         ["streamlens-admin", "retention"])

    def test_lag(self):
        """KEDA looks at what the processors read, and makes no more of them than there is work for."""
        spec, settings = self.keda["spec"], settings_file()
        target, = [d for d in self.of(spec["scaleTargetRef"]["kind"])
                   if d["metadata"]["name"] == spec["scaleTargetRef"]["name"]]
        self.assertNotIn("replicas", target["spec"])
        self.assertEqual(self.keda["metadata"]["namespace"], self.kustomization["namespace"])
        self.assertEqual(str(spec["maxReplicaCount"]), settings["PARTITIONS"])
        topics = set()
        for trigger in spec["triggers"]:
            self.assertEqual(trigger["type"], "kafka")
            about = trigger["metadata"]
            self.assertTrue(all(isinstance(v, str) for v in about.values()), about)  # KEDA takes texts alone
            self.assertEqual((about["bootstrapServers"], about["consumerGroup"], about["allowIdleConsumers"]),
                             (settings["KAFKA_BROKERS"], default("CONSUMER_GROUP"), "false"))
            topics.add(about["topic"])
        self.assertEqual(topics, {"llm.requests", "llm.responses"})


if __name__ == "__main__":
    unittest.main()
