"""The configuration file: YAML, strict."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from exporter.alerting.settings import AlertingSettings
from exporter.checkpoint.filters import CountingFilters
from exporter.errors import ConfigError
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.exposition import BIRTH_HOLD_SECONDS, DROPPABLE, ExposureSettings
from exporter.model.report import RESULTS
from exporter.state.selection import KYVERNO_SOURCES, Filters, Selection
from exporter.state.violation_events import CONTROLLERS
from exporter.yamlfile import decode

Word = Literal["pass", "fail", "warn", "error", "skip"]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
FROM_RESULTS: Final = frozenset(
    {
        "policyreport_results",
        "policyreport_resource_results",
        "policyreport_failures_opened_total",
        "policyreport_failures_closed_total",
        "policyreport_oldest_failure_timestamp_seconds",
        "policyreport_newest_result_timestamp_seconds",
    }
)
"""The families that summaries cannot fill; unknown is not zero, so they are left out."""
_LABEL: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?")


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of each report is read: all of it, or its summary as kubectl prints it."""

    detail: Literal["full", "summary"] = "full"


class StatusPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page at /."""

    enabled: bool = True
    grafana_url: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.grafana_url)
        if self.grafana_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(
                f"grafana_url: {self.grafana_url!r} is not http://host or https://host"
            )


class ConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the configuration file may say."""

    sources: tuple[str, ...] = KYVERNO_SOURCES
    filters: Filters = Filters()
    results: tuple[Word, ...] = RESULTS
    labels: Labels = Labels()
    families: dict[str, FamilySettings] = {}
    max_series: Positive = 200_000
    birth_hold: Seconds = BIRTH_HOLD_SECONDS
    checkpoint_interval: Annotated[float, msgspec.Meta(ge=0.1)] = 10.0
    reports: ReportSettings = ReportSettings()
    policies: PolicySettings = PolicySettings()
    events: EventSettings = EventSettings()
    status_page: StatusPage = StatusPage()
    alerting: AlertingSettings = AlertingSettings()

    def selection(self, shard: tuple[int, int] = (0, 1)) -> Selection:
        """Compile what counts, in the namespaces of a shard."""
        return Selection(self.filters, self.sources, self.results, shard)

    def choice(self, shard: tuple[int, int] = (0, 1)) -> CountingFilters:
        """Say what counts, as a checkpoint remembers it."""
        failures = self.reports.detail == "full" and "fail" in self.results
        return CountingFilters(self.sources, self.filters, self.events.controllers, failures, shard)

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
    config = decode(text, ConfigFile, str(path))
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
    """Say what msgspec cannot know to be wrong: the key, and what is wrong with it."""
    names = sorted(family.name for family in CATALOGUE)
    for name, family in config.families.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            known = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
            yield f"families.{name}", f"unknown family, {known}"
        elif family.results is not None and name != "policyreport_resource_results":
            yield f"families.{name}.results", "only policyreport_resource_results has it"
    for label in config.labels.drop:
        if label not in DROPPABLE:
            known = ", ".join(sorted(DROPPABLE))
            yield "labels.drop", f"{label!r} cannot be dropped, expected some of {known}"
    for complaint in _label_complaints(config.labels):
        yield "labels.namespace_labels", complaint


def _label_complaints(labels: Labels) -> Iterator[str]:
    taken = {label for family in CATALOGUE for label in family.labels} | {"cluster"}
    for label in labels.namespace_labels:
        name = label_name(label)
        if not _LABEL.fullmatch(label):
            yield f"{label!r} is not a label of a namespace"
        elif name in taken:
            yield f"{label!r} would hide the label {name!r}"
        taken.add(name)
