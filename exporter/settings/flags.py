"""Flags and their environment variables."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from exporter.errors import ConfigError
from exporter.view.values import COUNT_CHOICES, DEFAULT_COUNT

ENVIRONMENT_PREFIX: Final = "POLICY_REPORT_EXPORTER_"
LISTEN: Final = ":10480"
_OBJECT: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Flags(NamedTuple):
    """The values of flags and environment; docs/cli.md describes each."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    grafana_url: str = ""
    namespaces: tuple[str, ...] = ()
    config_file: Path | None = None
    listen: tuple[str, ...] = (LISTEN,)
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    state_dir: Path | None = None
    state_configmap: str = ""
    alertmanagers: tuple[str, ...] = ()
    shard: tuple[int, int] = (0, 1)
    journal: str = ""
    log_level: str = "info"
    log_format: str = "logfmt"


class Flag(NamedTuple):
    """One flag: its name without dashes, what it takes, and what it is for.

    *scope* is put before the name of its variable where flags of several commands share a name.
    *short* is one letter that means the same.
    """

    name: str
    value: str
    help: str
    default: str = ""
    repeats: bool = False
    choices: tuple[str, ...] = ()
    scope: str = ""
    short: str = ""

    @property
    def variable(self) -> str:
        """The environment variable with the same meaning."""
        return ENVIRONMENT_PREFIX + (self.scope + self.name).upper().replace(".", "_").replace(
            "-", "_"
        )


CLUSTER: Final = (
    Flag(
        "kubeconfig",
        "FILE",
        "kubeconfig file; default: in-cluster, else $KUBECONFIG, else ~/.kube/config",
    ),
    Flag("context", "NAME", "context of the kubeconfig"),
    Flag("namespace", "NS", "limit to this namespace; needs a Role in it", repeats=True),
)
CLUSTER_NAME: Final = (
    Flag(
        "cluster",
        "NAME",
        "cluster name on the page and in JSON; default: the context, else the API server's host",
    ),
)
CONFIG: Final = (Flag("config.file", "FILE", "configuration file, YAML"),)
LOG: Final = (
    Flag(
        "log.level",
        "LEVEL",
        "minimum level of log lines",
        "info",
        choices=("debug", "info", "warn", "error"),
    ),
    Flag("log.format", "FORMAT", "format of log lines", "logfmt", choices=("logfmt", "json")),
)
WEB: Final = (
    Flag("grafana-url", "URL", "address of Grafana, for links to the dashboards"),
    Flag("web.listen-address", "ADDR", "address to listen on", LISTEN, repeats=True),
    Flag("web.telemetry-path", "PATH", "path of the metrics", "/metrics"),
    Flag("web.config.file", "FILE", "file with TLS and basic auth, in exporter-toolkit's format"),
)
STATE: Final = (Flag("state.dir", "DIR", "directory that stores counters and first-seen times"),)
STATE_OBJECT: Final = (
    Flag(
        "state.configmap",
        "[NS/]NAME",
        "existing ConfigMap that stores the state; NS defaults to the Pod's namespace",
    ),
)
PUSH: Final = (Flag("alertmanager.url", "URL", "push alerts to this Alertmanager", repeats=True),)
JOURNAL: Final = (
    Flag(
        "journal",
        "FILE",
        "file for a JSON line about each violation, opened and closed failure, and policy change; "
        "- is standard output",
    ),
)
SHARD: Final = (Flag("shard", "I/N", "process only the namespaces of shard I of N", "0/1"),)
SERVE: Final = (
    *CLUSTER,
    *CLUSTER_NAME,
    *CONFIG,
    *WEB,
    *STATE,
    *STATE_OBJECT,
    *JOURNAL,
    *PUSH,
    *SHARD,
    *LOG,
)

SNAPSHOT: Final = tuple(
    flag._replace(scope="snapshot.")
    for flag in (
        Flag(
            "output",
            "FORM[=FILE]",
            "table, json, junit, sarif, markdown, github, csv, html, prometheus or openmetrics; "
            "junit=report.xml writes a file",
            "table",
            repeats=True,
            short="o",
        ),
        Flag(
            "fail-on",
            "RESULT[:SEVERITY]",
            "exit with status 1 if a result is at or above this level, such as fail:high, or "
            "new:high for results that are not in the baseline; 2 if nothing was evaluated; 3 if "
            "not everything could be read",
        ),
        Flag(
            "baseline",
            "FILE",
            "an earlier snapshot (written by --output json): show which failures are new, fixed "
            "and still open",
        ),
        Flag("policy", "GLOB", "only policies that match this pattern", repeats=True),
        Flag("severity", "WORD", "only results of this severity", repeats=True),
        Flag("result", "WORD", "only this result: pass, fail, warn, error or skip", repeats=True),
        Flag(
            "count",
            "CHOICE",
            "objects to count: workloads (without objects whose owner is also reported, such as "
            "the Pods of a Deployment) or objects (all)",
            DEFAULT_COUNT,
            choices=tuple(COUNT_CHOICES),
        ),
        Flag(
            "if-enforced",
            "GLOB",
            "show what breaks if matching policies are enforced; exit with status 1 if an object "
            "would be refused",
            repeats=True,
        ),
        Flag("kind", "GLOB", "only objects of kinds that match this pattern", repeats=True),
        Flag(
            "team",
            "LABEL=VALUE",
            "only namespaces with this label, such as team=payments; needs permission to list "
            "namespaces",
        ),
        Flag(
            "group-by",
            "CHOICE",
            "how to group the list of failures: workload shows one row for a workload and all of "
            "its objects, none shows one row for each object; default: workload in a terminal, in "
            "markdown and in html, otherwise none",
            choices=("workload", "none"),
        ),
        Flag("limit", "N", "maximum rows of each list in table, markdown and html", "25"),
    )
)
SNAPSHOT_SWITCHES: Final = (
    ("all", "", "show every row of each list"),
    ("all-namespaces", "A", "all namespaces (the default); like kubectl's -A"),
    ("watch", "w", "read and print again every 5 seconds"),
    (
        "allow-empty",
        "",
        "let --fail-on succeed if there are no policy reports, or none of a counted source",
    ),
)
"""The switches of snapshot: name, short name, what each does."""


def add_flags(parser: argparse.ArgumentParser, flags: Sequence[Flag]) -> None:
    """Add flags to a command's parser."""
    for flag in flags:
        default = f" (default {flag.default})" if flag.default else ""
        names = [f"-{flag.short}"] if flag.short else []
        parser.add_argument(
            *names,
            f"--{flag.name}",
            dest=flag.name,
            metavar=flag.value,
            action="append" if flag.repeats else "store",
            choices=flag.choices or None,
            help=f"{flag.help}{default} [${flag.variable}]",
        )


def chosen(given: Mapping[str, object], environment: Mapping[str, str], flag: Flag) -> list[str]:
    """Return the values of a flag: from the command line, else environment, else the default."""
    value = given.get(flag.name)
    if isinstance(value, list):
        return [str(one) for one in value]
    if value is not None:
        return [str(value)]
    text = environment.get(flag.variable, "")
    if text:
        values = text.split(",") if flag.repeats else [text]
        _check(flag, values)
        return values
    return [flag.default] if flag.default else []


def resolved(
    given: Mapping[str, object], environment: Mapping[str, str], flags: Sequence[Flag]
) -> dict[str, object]:
    """Fill in what the command line leaves out: a list for a flag that repeats, else a text.

    Raises:
        ConfigError: a variable has a value that its flag does not take.
    """
    values = {flag: chosen(given, environment, flag) for flag in flags}
    said = {flag.name: v if flag.repeats else v[0] for flag, v in values.items() if v}
    return {**given, **said}


def _check(flag: Flag, values: list[str]) -> None:
    for value in values:
        if flag.choices and value not in flag.choices:
            expected = ", ".join(flag.choices)
            raise ConfigError(f"${flag.variable}: {value!r}: expected one of {expected}")


def read_flags(given: Mapping[str, object], environment: Mapping[str, str]) -> Flags:
    """Put flags and environment together.

    Raises:
        ConfigError: a value is not what its flag takes.
    """
    values = {flag.name: chosen(given, environment, flag) for flag in SERVE}

    def one(name: str) -> str:
        return values[name][0] if values[name] else ""

    return Flags(
        kubeconfig=one("kubeconfig"),
        context=one("context"),
        cluster=one("cluster"),
        grafana_url=_url(one("grafana-url")),
        namespaces=_namespaces(values["namespace"]),
        config_file=_path(one("config.file")),
        listen=tuple(values["web.listen-address"]),
        telemetry_path=one("web.telemetry-path"),
        web_config_file=_path(one("web.config.file")),
        state_dir=_path(one("state.dir")),
        state_configmap=_object_name(one("state.configmap")),
        alertmanagers=tuple(values["alertmanager.url"]),
        shard=_shard(one("shard")),
        journal=one("journal"),
        log_level=one("log.level"),
        log_format=one("log.format"),
    )


def _namespaces(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ConfigError(
                f"--namespace {name!r}: expected the name of one namespace: lower case letters, "
                "digits and -; repeat the flag for several"
            )
    return tuple(dict.fromkeys(names))


def _object_name(text: str) -> str:
    namespace, slash, name = text.rpartition("/")
    if text and not (_OBJECT.fullmatch(name) and (not slash or _NAMESPACE.fullmatch(namespace))):
        expected = "expected NAME or NAMESPACE/NAME of a ConfigMap, in lower case"
        raise ConfigError(f"--state.configmap {text!r}: {expected}")
    return text


def _url(text: str) -> str:
    if text and not is_url(text):
        raise ConfigError(f"--grafana-url {text}: expected http://host or https://host")
    return text


def is_url(text: str) -> bool:
    """Whether this is the http or https address of a host."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _shard(text: str) -> tuple[int, int]:
    index, slash, total = text.partition("/")
    if not (slash and index.isdecimal() and total.isdecimal() and int(index) < int(total)):
        raise ConfigError(f"--shard {text}: expected I/N with I from 0 to N-1, for instance 0/3")
    return int(index), int(total)
