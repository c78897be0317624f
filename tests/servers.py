"""A real Prometheus and a real Alertmanager for tests, and what they answer, typed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from tests.tools import Process, decode, fetch, free_port, own_directory, tool

Labels = dict[str, str]


class Sample(msgspec.Struct, frozen=True):
    """One series at one moment; ``value`` is (unix seconds, number)."""

    metric: Labels
    value: tuple[float, float]


class Series(msgspec.Struct, frozen=True):
    """One series over time; ``values`` are (unix seconds, number)."""

    metric: Labels
    values: list[tuple[float, float]]


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """A scrape target; ``health`` is up, down or unknown."""

    labels: Labels
    health: str
    last_error: str
    scrape_url: str


class RuleAlert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as Prometheus derives it; ``state`` is pending or firing."""

    labels: Labels
    annotations: Labels
    state: str
    active_at: datetime


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule of a loaded group; ``health`` is ok, err or unknown."""

    name: str
    query: str
    health: str
    type: str
    last_error: str = ""


class Group(msgspec.Struct, frozen=True):
    """A rule group as Prometheus loaded it."""

    name: str
    rules: list[Rule]


class _Samples(msgspec.Struct, frozen=True):
    result: list[Sample]


class _Matrix(msgspec.Struct, frozen=True):
    result: list[Series]


class _Targets(msgspec.Struct, frozen=True, rename="camel"):
    active_targets: list[Target]


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[RuleAlert]


class _Groups(msgspec.Struct, frozen=True):
    groups: list[Group]


class _Answer(msgspec.Struct, frozen=True):
    data: msgspec.Raw


class Prometheus:
    """A running Prometheus; ``url`` has no trailing slash."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self.process = process

    def _data(self, path: str, **query: str | float) -> bytes:
        url = f"{self.url}/api/v1/{path}?{urlencode(query)}"
        return bytes(decode(fetch(url), _Answer).data)

    def query(self, promql: str, *, at: float | None = None) -> list[Sample]:
        """Evaluate an expression that gives a vector, now or at a unix time."""
        when = {} if at is None else {"time": at}
        return decode(self._data("query", query=promql, **when), _Samples).result

    def value(self, promql: str, *, at: float | None = None) -> float | None:
        """Evaluate an expression that gives one sample at most."""
        samples = self.query(promql, at=at)
        assert len(samples) <= 1, samples
        return samples[0].value[1] if samples else None

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression at each step from start to end, in unix seconds."""
        data = self._data("query_range", query=promql, start=start, end=end, step=step)
        return decode(data, _Matrix).result

    def raw(self, selector: str, seconds: int, *, at: float | None = None) -> list[Series]:
        """Return the samples as scraped, of the last ``seconds``, staleness markers left out."""
        when = {} if at is None else {"time": at}
        data = self._data("query", query=f"{selector}[{seconds}s]", **when)
        return decode(data, _Matrix).result

    def targets(self) -> list[Target]:
        return decode(self._data("targets"), _Targets).active_targets

    def alerts(self) -> list[RuleAlert]:
        return decode(self._data("alerts"), _Alerts).alerts

    def rules(self) -> list[Group]:
        return decode(self._data("rules"), _Groups).groups

    def reload(self) -> None:
        """Make it read its configuration and rule files again."""
        fetch(f"{self.url}/-/reload", post=b"")


@contextmanager
def prometheus(
    config: str,
    *,
    files: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    port: int = 0,
    program: str = "prometheus",
    data: Path = Path("data"),
) -> Iterator[Prometheus]:
    """Run Prometheus with ``config``, ``files`` beside it (rule files, for instance).

    ``data`` is its storage, of a relative path in a directory that goes with it.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with own_directory({"prometheus.yml": config, **(files or {})}) as home:
        argv: list[str | Path] = [
            tool(program),
            "--config.file=prometheus.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={data}",
            "--web.enable-lifecycle",
            *flags,
        ]
        with Process(argv, cwd=home, ready=f"{url}/-/ready") as process:
            yield Prometheus(url, process)


class AlertStatus(msgspec.Struct, frozen=True, rename="camel"):
    """``state`` is active, suppressed or unprocessed."""

    state: str
    silenced_by: list[str]
    inhibited_by: list[str]


class Receiver(msgspec.Struct, frozen=True):
    name: str


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert that Alertmanager holds (API v2)."""

    labels: Labels
    annotations: Labels
    fingerprint: str
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    status: AlertStatus
    receivers: list[Receiver]
    generator_url: str = msgspec.field(name="generatorURL", default="")


class AlertGroup(msgspec.Struct, frozen=True):
    """Alerts that Alertmanager notifies about together."""

    labels: Labels
    receiver: Receiver
    alerts: list[Alert]


class Alertmanager:
    """A running Alertmanager; ``url`` has no trailing slash."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self.process = process

    def alerts(self, **query: str) -> list[Alert]:
        """Return the alerts that have not ended; ``query`` goes to the API as it is."""
        return decode(fetch(f"{self.url}/api/v2/alerts?{urlencode(query)}"), list[Alert])

    def groups(self) -> list[AlertGroup]:
        return decode(fetch(f"{self.url}/api/v2/alerts/groups"), list[AlertGroup])

    def metric(self, name: str) -> float:
        """Return the sum over the series of one of its own metrics."""
        text = fetch(f"{self.url}/metrics").decode()
        rows = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        assert rows, f"Alertmanager has no metric {name}"
        return sum(map(float, rows))


@contextmanager
def alertmanager(
    config: str,
    *,
    files: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    port: int = 0,
    program: str = "alertmanager",
) -> Iterator[Alertmanager]:
    """Run Alertmanager, alone in its cluster, with ``config`` and ``files`` (templates) beside it.

    ``process.stop()`` and ``process.start()`` restart it on the same port and the same data.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with own_directory({"alertmanager.yml": config, **(files or {})}) as home:
        argv: list[str | Path] = [
            tool(program),
            "--config.file=alertmanager.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--storage.path=data",
            *flags,
        ]
        with Process(argv, cwd=home, ready=f"{url}/-/ready") as process:
            yield Alertmanager(url, process)
