"""The chart rendered by a real Helm, and a way to look into what came out."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from helm.build import CHART
from tests.tools import tool

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Object = Mapping[str, Json]

OPERATOR_APIS = ("monitoring.coreos.com/v1", "autoscaling.k8s.io/v1")
NEWEST = "1.37.0"
FEATURES = sorted((CHART / "ci").glob("*-values.yaml"))


class RefusedError(Exception):
    """Helm ended with an error; the text is what it said."""


class Run(NamedTuple):
    """How the chart is rendered."""

    helm: str = "helm4"
    kubernetes: str = NEWEST
    apis: tuple[str, ...] = OPERATOR_APIS


class Chart(NamedTuple):
    """What came out: the text, and its objects in order."""

    text: str
    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Object:
        """Return the only object of the kind whose name ends so."""
        [found] = [o for o in self.all(kind) if str(at(o, "metadata", "name")).endswith(suffix)]
        return found

    def kinds(self) -> list[str]:
        return sorted({str(found["kind"]) for found in self.objects})

    def pod(self) -> Json:
        """Return the pod's spec of the workload."""
        [workload] = self.all("Deployment") + self.all("StatefulSet")
        return at(workload, "spec", "template", "spec")

    def container(self) -> Json:
        return at(self.pod(), "containers", 0)


def at(value: Json, *path: str | int) -> Json:
    """Return what stands at the path, None where nothing does."""
    for step in path:
        if isinstance(step, int) and isinstance(value, Sequence) and step < len(value):
            value = value[step]
        elif isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def items(value: Json) -> Sequence[Json]:
    """Return the value as a list."""
    assert isinstance(value, Sequence)
    assert not isinstance(value, str)
    return value


def fields(value: Json) -> Object:
    """Return the value as an object."""
    assert isinstance(value, Mapping)
    return value


def render(values: Object | None = None, run: Run = Run()) -> Chart:  # noqa: B008 - immutable
    """Return the chart with the values over its defaults, as the release `r` in `here`.

    The dashboards, most of its bytes, are left out where the values do not speak of them.
    """
    return _render(run, "", json.dumps({"dashboards": {"enabled": False}, **(values or {})}))


def render_file(path: Path, run: Run = Run()) -> Chart:  # noqa: B008 - immutable
    """Return the chart with a values file over its defaults."""
    return _render(run, str(path), "{}")


def _render(run: Run, file: str, values: str) -> Chart:
    text = template(run, file, values)
    return Chart(text, documents(text))


@cache
def documents(text: str) -> tuple[Object, ...]:
    """Return the objects of a YAML stream, without its empty documents."""
    return tuple(found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found)


@cache
def template(run: Run, file: str, values: str) -> str:
    """Return what `helm template` prints, or raise what it complains about."""
    options = ["--namespace", "here", "--kube-version", run.kubernetes, "--values", "-"]
    options += [f"--api-versions={api}" for api in run.apis]
    options += ["--values", file] if file else []
    return call(run.helm, "template", "r", str(CHART), *options, stdin=values)


def notes(values: Object) -> str:
    """Return what Helm tells after an installation; Helm 3 would need a cluster for that."""
    options = ["--dry-run=client", "--namespace", "here", "--values", "-"]
    said = call("helm4", "install", "r", str(CHART), *options, stdin=json.dumps(values))
    return said.partition("\nNOTES:\n")[2]


def call(name: str, *arguments: str, stdin: str = "") -> str:
    """Return what the command prints, or raise what it complains about."""
    done = subprocess.run(
        [str(tool(name)), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout
