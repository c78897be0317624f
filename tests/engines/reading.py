"""Objects read as `serve` reads them, from watch lines, and as `snapshot` does, from a file."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.cli import main
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.report import RESULTS
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES
from exporter.state.cluster import ClusterState
from exporter.state.failures import standing
from exporter.state.selection import KYVERNO_SOURCES, Selection
from exporter.wire.codec import codec_for

Object = dict[str, Any]
NOW: Final = 1_800_000_000
_RESOURCES: Final = {
    (resource.group, resource.kind): resource
    for resource in (*REPORT_RESOURCES, *POLICY_RESOURCES, NAMESPACES, EVENTS)
}


class Seen(NamedTuple):
    """What is counted: resources by their worst result, and what fails where."""

    resources: dict[str, int]
    failing: list[tuple[str, str, str, str, str, str]]


def watched(objects: list[Object], sources: tuple[str, ...] = KYVERNO_SOURCES) -> ClusterState:
    """Read objects, as a watch brings them, into a state whose lists were empty."""
    state = ClusterState(Selection(sources=sources), lambda: NOW)
    for resource in _RESOURCES.values():
        state.apply(Init(Scope(resource)))
        state.apply(InitDone(Scope(resource)))
    for each in objects:
        group = each["apiVersion"].rpartition("/")[0]
        resource = _RESOURCES[group, each["kind"]]
        line = codec_for(resource).line(json.dumps({"type": "ADDED", "object": each}).encode())
        assert line.object is not None
        state.apply(Applied(Scope(resource), line.object))
    state.ledger.settle()
    return state


def by_serve(objects: list[Object], sources: tuple[str, ...] = KYVERNO_SOURCES) -> Seen:
    ledger = watched(objects, sources).ledger
    rows = ledger.totals.resources.values()
    words = {word: sum(row[at] for row in rows) for at, word in enumerate(RESULTS)}
    found = [
        (s.namespace, s.kind, s.name, s.failure.outcome.policy, s.failure.outcome.rule,
         s.failure.outcome.source)
        for contribution in ledger.failures.places.values()
        for s in standing(contribution)
    ]  # fmt: skip
    return Seen({word: count for word, count in words.items() if count}, sorted(found))


def by_snapshot(
    body: str, folder: Path, capsys: Any, sources: tuple[str, ...] = KYVERNO_SOURCES
) -> Seen:
    """Run the command on a file and read its JSON."""
    (folder / "config.yaml").write_text(json.dumps({"sources": sources}))
    (folder / "objects").write_text(body)
    given = [f"--config.file={folder / 'config.yaml'}", "--output=json", str(folder / "objects")]
    assert main(["snapshot", *given]) == 0
    found = json.loads(capsys.readouterr().out)
    failing = [
        (f["namespace"], f["kind"], f["name"], f["policy"], f["rule"], f["source"])
        for f in found["failing"]
    ]
    return Seen({w: n for w, n in found["resources"].items() if n}, sorted(failing))
