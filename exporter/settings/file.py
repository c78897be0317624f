"""The configuration file: YAML, strict."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import yaml

from exporter.alerting.settings import SEVERITIES, AlertingSettings
from exporter.checkpoint.filters import CountingFilters
from exporter.errors import ConfigError
from exporter.journal.recorder import JournalSettings
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.exposition import BIRTH_HOLD_SECONDS, DROPPABLE, ExposureSettings
from exporter.model.changes import Scope
from exporter.model.report import RESULTS
from exporter.model.resource import (
    EVENTS,
    NAMESPACES,
    OWNED_RESOURCES,
    POLICY_RESOURCES,
    REPORT_RESOURCES,
    Resource,
)
from exporter.settings.flags import is_url
from exporter.state.selection import KYVERNO_SOURCES, Filters, Globs, Selection
from exporter.state.shares import DEFAULT_SHARES, NamespaceShares
from exporter.state.violation_events import CONTROLLERS
from exporter.wire.report_limits import DEFAULT_LIMITS, ReportLimits
from exporter.yamlfile import decode

Word = Literal["pass", "fail", "warn", "error", "skip"]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
FROM_RESULTS: Final = frozenset(
    {
        "policyreport_results",
        "policyreport_resource_results",
        "policyreport_failing_workloads",
        "policyreport_failures_opened_total",
        "policyreport_failures_closed_total",
        "policyreport_oldest_failure_timestamp_seconds",
        "policyreport_newest_result_timestamp_seconds",
        "policyreport_oldest_result_timestamp_seconds",
    }
)
"""The families that summaries cannot fill; unknown is not zero, so they are left out."""
MOVED: Final = {"status_page.grafana_url": "grafana_url at the top level"}
_LABEL: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?")


class LabelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which labels the report and event families carry."""

    namespace_labels: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class FamilySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One family, switched off or bounded."""

    enabled: bool = True
    results: tuple[Literal["fail", "error"], ...] | None = None
    max_series: Positive | None = None


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether policies are watched."""

    watch: bool = True


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which violations' Events count."""

    watch: bool = True
    controllers: tuple[str, ...] = CONTROLLERS
    known_policies_only: bool = False


class WorkloadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the workload of an object is found.

    From the names of reported objects, or where ``watch`` is "metadata", from the metadata of Pods,
    ReplicaSets and Jobs, which name their controllers.
    """

    watch: Literal["none", "metadata"] = "none"


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of each report is read, and where reports on Namespaces count.

    ``detail`` is all of a report, or its summary as kubectl prints it. ``namespace_objects`` is
    where results of cluster reports about a Namespace count: in no namespace, or in its own.
    """

    detail: Literal["full", "summary"] = "full"
    namespace_objects: Literal["cluster", "own"] = "cluster"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is kept of one report, and of the reports of one namespace; bytes are of memory."""

    report_results: Positive = DEFAULT_LIMITS.results
    report_bytes: Positive = DEFAULT_LIMITS.size
    namespace_failures: Positive = DEFAULT_SHARES.failures
    namespace_message_bytes: Positive = DEFAULT_SHARES.message_bytes

    @property
    def report(self) -> ReportLimits:
        """Those of one report."""
        return ReportLimits(self.report_results, self.report_bytes)

    @property
    def shares(self) -> NamespaceShares:
        """Those of one namespace."""
        return NamespaceShares(self.namespace_failures, self.namespace_message_bytes)


class StatusPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the status page, the page at /."""

    enabled: bool = True


class ConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the configuration file may hold."""

    cluster: str = ""
    grafana_url: str = ""
    sources: tuple[str, ...] = KYVERNO_SOURCES
    filters: Filters = Filters()
    results: tuple[Word, ...] = RESULTS
    labels: LabelSettings = LabelSettings()
    families: dict[str, FamilySettings] = {}
    max_series: Positive = 200_000
    birth_hold: Seconds = BIRTH_HOLD_SECONDS
    checkpoint_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 10.0
    reports: ReportSettings = ReportSettings()
    limits: Limits = Limits()
    workloads: WorkloadSettings = WorkloadSettings()
    policies: PolicySettings = PolicySettings()
    events: EventSettings = EventSettings()
    status_page: StatusPage = StatusPage()
    alerting: AlertingSettings = AlertingSettings()
    journal: JournalSettings = JournalSettings()

    def selection(self, shard: tuple[int, int] = (0, 1)) -> Selection:
        """Compile what counts, in the namespaces of a shard."""
        own = self.reports.namespace_objects == "own"
        return Selection(self.filters, self.sources, self.results, shard, own_namespace=own)

    def choice(self, shard: tuple[int, int] = (0, 1)) -> CountingFilters:
        """Describe what counts, as a checkpoint remembers it."""
        failures = self.reports.detail == "full" and "fail" in self.results
        limits = self.limits
        return CountingFilters(
            self.sources,
            self.filters,
            self.events.controllers,
            failures,
            shard,
            (limits.report_results, limits.report_bytes, limits.namespace_failures),
        )

    def exposure(self) -> ExposureSettings:
        """Give what is exposed."""
        families = self.families.items()
        unknown = FROM_RESULTS if self.reports.detail == "summary" else frozenset[str]()
        return ExposureSettings(
            max_series=self.max_series,
            drop=frozenset(self.labels.drop),
            namespace_labels=tuple(map(label_name, self.labels.namespace_labels)),
            disabled=unknown | {name for name, family in families if not family.enabled},
            limits={name: f.max_series for name, f in families if f.max_series is not None},
            words={name: frozenset(f.results) for name, f in families if f.results is not None},
            birth_hold=self.birth_hold,
            controlled=self.filters.controlled,
        )


def label_name(namespace_label: str) -> str:
    """Spell a namespace's label as a metric label: what is not allowed becomes ``_``."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", namespace_label)
    return f"_{name}" if name[:1].isdigit() else name


def read_config(path: Path | None) -> ConfigFile:
    """Read the configuration file; the defaults where there is none.

    Raises:
        ConfigError: naming file, line, key, what was expected and the nearest known key.
    """
    if path is None:
        return ConfigFile()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    config = decode(text, ConfigFile, str(path), MOVED)
    for key, complaint in _complaints(config):
        raise ConfigError(f"{path}:{_line(text, key)}: {key}: {complaint}")
    return config


def _line(text: str, key: str) -> int:
    """Find the line of a dotted key; no step of those that are asked for has a dot in it."""
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    for step in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        for name, child in pairs:
            if name.value == step:
                node, line = child, name.start_mark.line + 1
    return line


def _complaints(config: ConfigFile) -> Iterator[tuple[str, str]]:
    """Find what msgspec cannot know to be wrong: the key, and what is wrong with it."""
    yield from _top_level_complaints(config)
    yield from _severity_complaints(config.filters)
    yield from _family_complaints(config)
    for label in config.labels.drop:
        if label not in DROPPABLE:
            near = difflib.get_close_matches(label, DROPPABLE, n=1, cutoff=0.5)
            known = ", ".join(sorted(DROPPABLE))
            hint = f"did you mean {near[0]}?" if near else f"expected some of {known}"
            yield "labels.drop", f"{label!r} cannot be dropped, {hint}"
    for complaint in _label_complaints(config.labels):
        yield "labels.namespace_labels", complaint


def _top_level_complaints(config: ConfigFile) -> Iterator[tuple[str, str]]:
    if not config.sources:
        yield "sources", "expected at least one source; remove the key to count Kyverno's own"
    if not config.results:
        yield "results", f"expected at least one of {', '.join(RESULTS)}"
    if config.grafana_url and not is_url(config.grafana_url):
        yield "grafana_url", f"{config.grafana_url!r}: expected http://host or https://host"
    if config.alerting.grafana_url:
        yield "alerting.grafana_url", "this key has moved: use grafana_url at the top level"
    for key, severities in (
        ("violations", config.alerting.violations.severities),
        ("blocks", config.alerting.blocks.severities),
    ):
        missing = [each for each in SEVERITIES if each not in severities]
        if missing:
            yield (
                f"alerting.{key}.severities",
                f"expected all of {', '.join(SEVERITIES)}; missing {', '.join(missing)}",
            )


def _severity_complaints(filters: Filters) -> Iterator[tuple[str, str]]:
    chosen = filters.severities
    for key, patterns in (("include", chosen.include), ("exclude", chosen.exclude)):
        for pattern in patterns:
            if not any(map(Globs((pattern,)).matcher(), SEVERITIES)):
                name = f"filters.severities.{key}"
                yield name, f"{pattern!r} matches none of {', '.join(SEVERITIES)}"


def _family_complaints(config: ConfigFile) -> Iterator[tuple[str, str]]:
    names = sorted(family.name for family in CATALOGUE)
    for name, family in config.families.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            known = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
            yield f"families.{name}", f"unknown family, {known}"
        elif family.results is not None and name != "policyreport_resource_results":
            yield f"families.{name}.results", "only policyreport_resource_results has this key"


def _label_complaints(labels: LabelSettings) -> Iterator[str]:
    taken = {label for family in CATALOGUE for label in family.labels} | {"cluster"}
    for label in labels.namespace_labels:
        name = label_name(label)
        if not _LABEL.fullmatch(label):
            yield f"{label!r} is not a valid label name"
        elif labels.namespace_labels.count(label) > 1:
            yield f"{label!r} is listed more than once"
        elif name in taken:
            yield f"{label!r} would overwrite the label {name!r}"
        taken.add(name)


class Plan(NamedTuple):
    """The configuration with the flags that choose what to watch.

    ``namespaces`` is empty for the whole cluster; ``shard`` is (index, number of shards).
    """

    config: ConfigFile
    namespaces: tuple[str, ...] = ()
    shard: tuple[int, int] = (0, 1)

    def scopes(self) -> list[Scope]:
        """Name every scope to follow; a namespaced plan leaves out what a Role cannot permit."""
        wanted: list[Resource] = [*REPORT_RESOURCES]
        if self.config.policies.watch:
            wanted += POLICY_RESOURCES
        if self.config.events.watch:
            wanted.append(EVENTS)
        if self.config.labels.namespace_labels:
            wanted.append(NAMESPACES)
        if self.config.workloads.watch == "metadata":
            wanted += OWNED_RESOURCES
        if not self.namespaces:
            return [Scope(resource) for resource in wanted]
        return [Scope(r, n) for r in wanted if r.namespaced for n in self.namespaces]
