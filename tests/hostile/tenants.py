"""A cluster with tenants, the real command that watches it, and what others notice of an attack."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator.checks import BASELINE
from tests.app.commands import Command
from tests.app.running import Samples, parse
from tests.endtoend.town import Town
from tests.hostile.objects import EVIL
from tests.tools import eventually

OTHER: Final = "payments"
MB: Final = 1_000_000
MOST_BYTES: Final = 300 * MB
_TICK: Final = os.sysconf("SC_CLK_TCK")


def peak_bytes(command: Command) -> int:
    """VmHWM: the most memory that the process ever had."""
    status = Path(f"/proc/{command.pid}/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds(command: Command) -> float:
    fields = Path(f"/proc/{command.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Posted(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    ends_at: datetime


Alerts = set[tuple[str, str, str]]
"""Name, namespace and policy of each."""


class Alertmanager:
    """Takes alerts at ``url``, or answers with ``status`` and counts that in ``refused``.

    Each answer has ``headers``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.refused = 0
        self.fired: Alerts = set()
        self.resolved: Alerts = set()

    def take(self, body: bytes) -> int:
        if self.status != 200:
            self.refused += 1
            return self.status
        for each in msgspec.json.decode(body, type=list[Posted]):
            labels = each.labels
            key = (labels["alertname"], labels.get("namespace", ""), labels.get("policy", ""))
            (self.fired if each.ends_at > datetime.now(UTC) else self.resolved).add(key)
        return 200

    def hears(self, namespace: str, name: str = "PolicyViolation") -> None:
        """Wait for an alert of a namespace."""
        wanted = (name, namespace)
        eventually(lambda: wanted in {key[:2] for key in self.fired}, within=120, what=str(wanted))


@contextmanager
def alertmanager() -> Iterator[Alertmanager]:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(here.take(self.rfile.read(int(self.headers["Content-Length"]))))
            for header in here.headers.items():
                self.send_header(*header)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        here = Alertmanager(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="Alertmanager")
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


class Liveness:
    """Asks for /livez until it is ended; ``worst`` is the CPU of the process during one answer."""

    def __init__(self, command: Command) -> None:
        self.worst = 0.0
        self.asked = 0
        self._command = command
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="kubelet")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.05):
            before = cpu_seconds(self._command)
            assert self._command.get("/livez", within=120) == "ok\n"
            self.worst = max(self.worst, cpu_seconds(self._command) - before)
            self.asked += 1


def of(exposition: str, namespace: str) -> list[str]:
    """The lines of a namespace; to parse those of the attacker, too, would take seconds."""
    return [line for line in exposition.splitlines() if f'namespace="{namespace}"' in line]


def report(name: str, results: Iterable[Any] | bytes, namespace: str = EVIL) -> dict[str, Any]:
    """A report as a tenant writes it; results as bytes are JSON."""
    found: object = msgspec.Raw(results) if isinstance(results, bytes) else list(results)
    about = {"kind": "Pod", "name": f"pod-{name}", "namespace": namespace, "uid": name}
    metadata = {"name": name, "namespace": namespace}
    head = {"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport", "metadata": metadata}
    return head | {"scope": about, "results": found}


def blocked(number: int) -> dict[str, Any]:
    """A forged Event about a policy of the tenant's own."""
    resource = {"kind": "Pod", "namespace": EVIL, "name": f"pod-{number}"}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"forged.{number}", "namespace": EVIL},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "kyverno-admission",
        "reason": "PolicyViolation",
        "action": "Resource Blocked",
        "regarding": {"kind": "Policy", "name": f"p{number}", "namespace": EVIL},
        "related": resource,
        "note": f"Pod {EVIL}/pod-{number}: [rule-{number}] fail (blocked); no",
    }


class Target:
    """What is attacked."""

    def __init__(self, town: Town, command: Command, manager: Alertmanager) -> None:
        self.town = town
        self.command = command
        self.manager = manager
        self._rounds = 0

    def begin(self) -> None:
        """Give others a failure and a blocked request, and wait for their alerts."""
        self.town.fail(OTHER, "web", BASELINE)
        self.town.block(OTHER, "api")
        self.manager.hears(OTHER)
        self.manager.hears(OTHER, "PolicyBlocked")

    def write(self, *reports: dict[str, Any]) -> None:
        """Create reports, or replace those of their names."""
        self._write(POLICY_REPORTS.name, reports)

    def emit(self, *events: dict[str, Any]) -> None:
        """Create Events."""
        self._write(EVENTS.name, events)

    def _write(self, storage: str, objects: Iterable[dict[str, Any]]) -> None:
        store = self.town.store

        async def writing() -> None:
            for each in objects:
                metadata = each["metadata"]
                known = store.get(storage, metadata["namespace"], metadata["name"])
                (store.replace if known else store.create)(storage, each)

        self.town.wait(writing())

    def scrape(self, name: str) -> Samples:
        """Scrape one family, however long that takes on this machine."""
        return parse(self.command.get(f"/metrics?name[]={name}", within=120))

    def until(self, name: str, least: float, **labels: str) -> Samples:
        """Scrape until the series of a name and labels add up to at least so much."""
        wanted = labels.items()

        def look() -> Samples | None:
            samples = self.scrape(name)
            found = sum(v for s, v in samples.items() if s.name == name and wanted <= set(s.labels))
            return samples if found >= least else None

        return eventually(look, within=120, every=0.2, what=f"{name} {labels} >= {least}")

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Run an attack; assert what others notice of it: nothing.

        Their series and alerts are the same, a new failure and a new blocked request of theirs are
        sent, liveness is answered within 0.5 s of the process's CPU, and its memory is bounded.
        """
        before, fired = of(self.command.get(within=120), OTHER), set(self.manager.fired)
        with Liveness(self.command) as liveness:
            yield
            self._rounds += 1
            team = f"team-{self._rounds}"
            self.town.fail(team, "web", BASELINE)
            self.town.block(team, "api")
            self.manager.hears(team)
            self.manager.hears(team, "PolicyBlocked")
        assert of(self.command.get(within=120), OTHER) == before != []
        gone = {key for key in self.manager.resolved & fired if key[1] != EVIL}
        assert gone == set()
        assert liveness.asked
        assert liveness.worst < 0.5
        assert peak_bytes(self.command) < MOST_BYTES
        assert self.command.running
        assert "Traceback" not in self.command.log
