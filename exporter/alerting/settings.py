"""The section ``alerting:`` of the configuration file."""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from exporter.errors import ConfigError
from exporter.state.selection import Globs

Severity = Literal["critical", "high", "medium", "low", "info", "none"]
Mode = Literal["enforce", "audit", "mixed", "warn", "none"]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]

SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low", "info", "none")
"""The worst first."""

RESERVED: Final = frozenset(
    {"alertname", "severity", "policy_severity", "namespace", "policy", "rule", "kind", "source"}
)
RUNBOOKS: Final = (
    "https://github.com/policy-report-exporter/policy-report-exporter"
    "/blob/main/docs/push.md#{alertname}"
)
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_API: Final = "/api/v2/alerts"


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user name, and the file that holds the password."""

    username: str
    password_file: str


class ClientTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CA, certificate and key; "" for the system's authorities and no certificate."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("set both cert_file and key_file, or neither")


class AlertmanagerTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Alertmanager; ``url`` is its address, with its path prefix where it has one."""

    url: str
    basic_auth: BasicAuth | None = None
    bearer_token_file: str = ""
    tls: ClientTls = ClientTls()
    timeout: Seconds = 10.0
    batch: Count = 256

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: {self.url!r} is not http://host or https://host")
        if problem := _problem_of_host(parts):
            raise ValueError(f"url: {problem}")
        if parts.username is not None:
            raise ValueError("url: contains credentials; use basic_auth instead")
        if parts.query or parts.fragment:
            raise ValueError("url: expected an address without ? and #")
        if self.basic_auth is not None and self.bearer_token_file:
            raise ValueError("set either basic_auth or bearer_token_file, not both")

    @property
    def name(self) -> str:
        """The value of the label ``alertmanager``: the address as configured, tidied."""
        return self.url.rstrip("/").removesuffix(_API).rstrip("/")

    @property
    def endpoint(self) -> str:
        """Where alerts are posted to."""
        return self.name + _API


def _problem_of_host(parts: SplitResult) -> str:
    """Name what no resolver would accept in a host and port (RFC 1035: labels of 1 to 63)."""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        return f"port of {parts.netloc!r}: expected a number from 1 to 65535"
    host = (parts.hostname or "").removesuffix(".")
    labels = host.split(".")
    if ":" not in host and (len(host) > 253 or not all(0 < len(each) < 64 for each in labels)):
        return f"host {host[:80]!r}: expected parts of 1 to 63 characters, separated by dots"
    return ""


def _map(critical: str, high: str, rest: str) -> dict[Severity, str]:
    return {**dict.fromkeys(SEVERITIES, rest), "critical": critical, "high": high}


class ViolationAlerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts about current failures; ``severities`` maps the policy's severity to the label."""

    enabled: bool = True
    group_by: tuple[Literal["namespace", "policy", "rule", "kind", "source"], ...] = (
        "namespace",
        "policy",
        "rule",
    )
    severities: dict[Severity, str] = msgspec.field(
        default_factory=lambda: _map("critical", "warning", "info")
    )

    def __post_init__(self) -> None:
        _check_group_by(self.group_by)


class BlockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts about blocked requests; each fires for ``hold`` seconds after the last one."""

    enabled: bool = True
    hold: Seconds = 900.0
    group_by: tuple[Literal["namespace", "policy", "rule", "kind"], ...] = (
        "namespace",
        "kind",
        "policy",
        "rule",
    )
    severities: dict[Severity, str] = msgspec.field(
        default_factory=lambda: _map("warning", "info", "info")
    )

    def __post_init__(self) -> None:
        _check_group_by(self.group_by)


def _check_group_by(names: tuple[str, ...]) -> None:
    if "policy" not in names:
        raise ValueError("group_by: policy is missing, but required")
    if len(set(names)) < len(names):
        raise ValueError("group_by: a name is listed twice")


class AlertFilters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What alerts are derived from; ``modes`` applies to violations: blocks are enforced anyway."""

    severities: tuple[Severity, ...] = SEVERITIES
    namespaces: Globs = Globs()
    policies: Globs = Globs()
    modes: tuple[Mode, ...] | None = None


class AlertingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The push to Alertmanager, off without ``alertmanagers``. Times in seconds."""

    alertmanagers: tuple[AlertmanagerTarget, ...] = ()
    interval: Annotated[float, msgspec.Meta(ge=1, le=300)] = 60.0
    resolve_delay: Annotated[float, msgspec.Meta(ge=0, le=60)] = 60.0
    max_alerts: Annotated[int, msgspec.Meta(ge=2)] = 1000
    filters: AlertFilters = AlertFilters()
    violations: ViolationAlerts = msgspec.field(default_factory=ViolationAlerts)
    blocks: BlockSettings = msgspec.field(default_factory=BlockSettings)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    grafana_url: str = ""
    external_url: str = ""
    runbook_url: str = RUNBOOKS

    def __post_init__(self) -> None:
        for name in (*self.labels, *self.annotations):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid name of a label or annotation")
        for name in sorted(RESERVED.intersection(self.labels)):
            raise ValueError(f"labels: {name} cannot be changed, because the exporter sets it")
        names = [target.name for target in self.alertmanagers]
        if len(set(names)) < len(names):
            raise ValueError("alertmanagers: one url is listed twice")

    def plus(self, urls: Iterable[str]) -> "AlertingSettings":
        """Add Alertmanagers that need nothing but an address: those of ``--alertmanager.url``.

        Raises:
            ConfigError: an address is invalid, or is there twice.
        """
        try:
            targets = (*self.alertmanagers, *map(AlertmanagerTarget, urls))
            return msgspec.structs.replace(self, alertmanagers=targets)
        except ValueError as error:
            raise ConfigError(f"--alertmanager.url: {error}") from error
