"""The exporter with its state in a ConfigMap, under the chart's own account and roles."""

import base64
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

import yaml

from exporter.checkpoint.format import decode
from exporter.simulator import kyverno
from exporter.simulator.checks import BASELINE, LABELS
from exporter.simulator.kyverno import ReportTarget
from tests.app.commands import Command
from tests.app.running import EVENTS_TOTAL, Increase, Samples, total
from tests.chart.rendering import Object, at, render
from tests.cluster.gate import Gate
from tests.cluster.harness import ControlPlane
from tests.cluster.objects import pod_report
from tests.tools import eventually, own_directory

ACCOUNT = NAME = "r-policy-report-exporter"
STATE = f"{NAME}-state"
NOTE = "policy-report-exporter/"
OLDEST = "policyreport_oldest_failure_timestamp_seconds"
INTERVAL_SECONDS = 0.2
CONFIG: dict[str, object] = {"birth_hold": 0, "checkpoint_interval": INTERVAL_SECONDS}
WITHIN_SECONDS = 30.0
KINDS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def installed(plane: ControlPlane, namespace: str) -> None:
    """Apply what the chart makes for the state, its account and its roles."""
    chart = render({"namespaceOverride": namespace})
    plane.apply([o for o in chart.objects if o["kind"] in KINDS or is_state(o)])


def is_state(item: Object) -> bool:
    return item["kind"] == "ConfigMap" and at(item, "metadata", "name") == STATE


class Kept:
    """A namespace of a control plane in which requests are blocked, and its stored state."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.blocked = 0
        installed(plane, namespace)

    def block(self, times: int = 1) -> None:
        """Let requests be blocked, as Kyverno would tell of it."""
        events = []
        for _ in range(times):
            target = ReportTarget("Pod", self.namespace, f"web-{self.blocked}", "uid")
            events.append(kyverno.policy_event(BASELINE, target, time.time(), blocked=True))
            self.blocked += 1
        if events:
            self.plane.apply(events)

    def fail(self, *names: str) -> None:
        self.plane.apply([pod_report(self.namespace, name, LABELS.policy) for name in names])

    def object(self) -> Object:
        found: Object = json.loads(
            self.plane.kubectl("get", "configmap", STATE, "-n", self.namespace, "-o", "json")
        )
        return found

    def note(self, name: str) -> str:
        """Give an annotation of the object."""
        notes = at(self.object(), "metadata", "annotations")
        return str(at(notes, NOTE + name) or "")

    def content(self) -> bytes:
        return base64.b64decode(str(at(self.object(), "binaryData", "checkpoint") or ""))

    @contextmanager
    def pod(
        self, name: str, gate: Gate | None = None, seen: Increase | None = None
    ) -> Iterator["Pod"]:
        """Run the exporter as the Pod of a name would, ready or not; stop it at the end."""
        kubeconfig = self.plane.token_kubeconfig(self.namespace, ACCOUNT)
        if gate is not None:
            kubeconfig = gate.kubeconfig(kubeconfig)
        # The control plane is shared: Events of cluster-wide policies all lie in one namespace.
        config = CONFIG | {"filters": {"namespaces": {"include": [self.namespace]}}}
        with own_directory({"config.yaml": yaml.safe_dump(config)}) as home:
            pod = Pod(self, name, home, kubeconfig, seen or Increase())
            with pod.process:
                yield pod


class Pod:
    """One exporter; ``seen`` adds up what Prometheus' increase() makes of its scrapes."""

    def __init__(self, kept: Kept, name: str, home: Path, kubeconfig: Path, seen: Increase) -> None:
        self.seen = seen
        self._kept = kept
        self.process = Command(
            home,
            "serve",
            f"--kubeconfig={kubeconfig}",
            "--config.file=config.yaml",
            f"--state.configmap={kept.namespace}/{STATE}",
            env={"HOSTNAME": name},
            ready="/metrics",
        )

    def scrape(self) -> Samples | None:
        samples = self.process.scrape()
        if samples is not None:
            self.seen.scrape(samples)
        return samples

    def shows(self, blocked: int) -> Samples:
        """Scrape until so many blocked requests are shown."""
        return eventually(
            lambda: (
                s if (s := self.scrape()) and (total(s, EVENTS_TOTAL) or 0) >= blocked else None
            ),
            within=WITHIN_SECONDS,
            what=f"{blocked} blocked requests are shown",
        )

    def until(self, done: Callable[[Samples], object]) -> Samples:
        """Scrape until *done*."""
        return eventually(
            lambda: s if (s := self.scrape()) and done(s) else None,
            within=WITHIN_SECONDS,
            what="the metrics are as expected",
        )

    def remembers(self) -> None:
        """Wait for a checkpoint that knows how far Events are counted."""
        self.until_ready()

        def knows() -> bool:
            content = self._kept.content()
            return bool(content) and any(decode(content).versions.values())

        eventually(knows, within=WITHIN_SECONDS, what="the checkpoint has versions")

    def until_ready(self) -> None:
        def ready() -> bool:
            with suppress(URLError, OSError):
                return "ready" in self.process.get("/-/ready")
            return False

        eventually(ready, within=WITHIN_SECONDS, what="it is ready")

    def reload(self, **changes: object) -> None:
        """Change the configuration, and wait until it is in force."""
        file = self.process.cwd / "config.yaml"
        config = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        before = self.process.log.count("the new configuration is in force")
        os.kill(self.process.pid, signal.SIGHUP)
        eventually(
            lambda: self.process.log.count("the new configuration is in force") > before,
            within=WITHIN_SECONDS,
            what="the configuration is in force",
        )

    def ages(self) -> dict[str, float]:
        """Give the time of the oldest failure, by policy."""
        samples = self.scrape() or {}
        return {s.label("policy"): v for s, v in samples.items() if s.name == OLDEST}


def kill_at_random(kept: Kept, gate: Gate, kills: int, seed: int) -> Increase:
    """Kill Pod after Pod, at random moments of its life and of its writes.

    Some are cut off from the API server before, and some are not alone: another process of the
    same name takes itself for the writer, too.
    """
    chance, seen = random.Random(seed), Increase()
    kept.fail("web", "api")
    with kept.pod("pod-0", gate, seen) as pod:
        pod.remembers()
        kept.block(2)
        pod.shows(2)
        ages = pod.ages()
        pod.process.kill()
    for number in range(1, kills + 1):
        # A container that starts again has its Pod's name; another Pod has not.
        with kept.pod(f"pod-{number // 2}", gate, seen) as pod, ExitStack() as others:
            twins = [pod]
            if chance.random() < 0.2:
                twins.append(others.enter_context(kept.pod(f"pod-{number // 2}", gate)))
            cut_off = _live(kept, gate, pod, chance)
            for each in twins:
                each.process.kill()
            if cut_off:
                gate.open()
    with kept.pod("last", gate, seen) as pod:
        kept.block()
        samples = pod.shows(kept.blocked)
        eventually(lambda: pod.ages() == ages, what="the ages are those of the first Pod")
        assert total(samples, EVENTS_TOTAL) == kept.blocked
    return seen


def _live(kept: Kept, gate: Gate, pod: Pod, chance: random.Random) -> bool:
    """Block and scrape, and end at any moment between two writes; True if it is cut off."""
    for _ in range(chance.randint(0, 3)):
        kept.block(chance.randint(0, 2))
        pod.scrape()
    if chance.random() < 0.4:
        pod.shows(kept.blocked)
        kept.block()
    cut_off = chance.random() < 0.2
    if cut_off:
        gate.shut()
        kept.block()
        pod.scrape()
    time.sleep(chance.uniform(0, 2 * INTERVAL_SECONDS))
    return cut_off
