"""Objects of the shape that a real Kyverno 1.19 wrote, each with its right reading."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from tests.engines.reading import Object, watched

FOLDER = Path(__file__).parents[1] / "fixtures" / "kyverno-1.19"
READINGS = json.loads((FOLDER.parent / "kyverno-1.19-readings.json").read_text())

BLOCKED = (
    "event-blocked",
    "event-blocked-dryrun",
    "event-blocked-generatename",
    "event-blocked-autogen",
    "event-blocked-cluster-scoped",
    "event-blocked-delete",
    "event-blocked-policy",
    "event-blocked-core-v1",
    "event-cel-blocked",
    "event-cel-error-blocked",
    "event-error-blocked",
    "event-ivpol-blocked",
    "event-verifyimages-blocked",
)
ALLOWED = (
    "event-audit-policy",
    "event-audit",
    "event-scan",
    "event-cel-false-block",
    "event-cel-error-audit",
    "event-mutating-scan",
    "event-vap-scan",
)
NOTHING = (
    "event-audit-resource",
    "event-pass-resource",
    "event-exception-policy",
    "event-exception-exception",
)


def read(name: str) -> Object:
    found: Object = json.loads((FOLDER / f"{name.removesuffix('.json')}.json").read_text())
    return found


def policies() -> list[Object]:
    """Policies as they were when the Events were written.

    The files show two of them after a later change: one that denied then only audits now, and the
    other was patched, and audited all the time.
    """
    names = [name for name in READINGS["policies"] if "admissionpolicy" not in name]
    found = [read(name) for name in names if "imagevalidating" not in name]
    for each in found:
        writes = each["metadata"].get("managedFields", [])
        writes[:] = [write for write in writes if write["manager"] != "kubectl-patch"]
    return found


def from_events_api(event: Object) -> Object:
    """Spell a core/v1 Event as events.k8s.io does: that is what is watched."""
    if event["apiVersion"] != "v1":
        return event
    names = {"involvedObject": "regarding", "message": "note"}
    names["reportingComponent"] = "reportingController"
    return {names.get(k, k): v for k, v in event.items()} | {"apiVersion": "events.k8s.io/v1"}


def outcomes(state: ClusterState) -> list[str]:
    return [outcome for _, _, outcome in state.violation_events.live.rows]


@pytest.mark.parametrize("name", READINGS["reports"])
def test_each_result_of_a_report_counts_as_kyverno_meant_it(name: str) -> None:
    ledger = watched([read(name)]).ledger
    wanted = Counter[tuple[Any, ...]]()
    for word, policy, rule, severity, category, source in READINGS["reports"][name]["results"]:
        folded = rule.removeprefix("autogen-")
        wanted[policy, folded, severity or "none", category or "none", source, word] += 1
    found = Counter[tuple[Any, ...]]()
    for labels, row in ledger.totals.results.items():
        for word, count in zip(RESULTS, row, strict=True):
            found[*labels[3:], word] += count
    assert +found == wanted
    summary = READINGS["reports"][name]["summary"]
    (row,) = ledger.totals.summary.values()
    assert {w: n for w, n in zip(RESULTS, row, strict=True) if n} == summary
    assert not ledger.totals.not_itemised


@pytest.mark.parametrize("name", READINGS["reports"])
def test_each_report_is_of_one_resource_as_bad_as_its_worst_result(name: str) -> None:
    words = {result[0] for result in READINGS["reports"][name]["results"]}
    worst = next(word for word in ("fail", "error", "warn", "pass", "skip") if word in words)
    ((labels, row),) = watched([read(name)]).ledger.totals.resources.items()
    scope = read(name)["scope"]
    assert labels == (scope.get("namespace", ""), scope["kind"], "false")
    assert [RESULTS[at] for at, count in enumerate(row) if count] == [worst]


def test_a_report_in_both_groups_is_one_report() -> None:
    twins = [read("openreports-report"), read("openreports-report-wg-twin")]
    ledger = watched(twins).ledger
    alone = watched(twins[:1]).ledger
    assert dict(ledger.totals.results) == dict(alone.totals.results)
    assert (ledger.count(), alone.count()) == (1, 1)


@pytest.mark.parametrize("name", BLOCKED)
def test_a_blocked_request_counts_once_as_blocked(name: str) -> None:
    state = watched([*policies(), from_events_api(read(name))])
    assert outcomes(state) == ["blocked"]


@pytest.mark.parametrize("name", ALLOWED)
def test_what_was_only_reported_counts_as_allowed(name: str) -> None:
    state = watched([*policies(), from_events_api(read(name))])
    assert outcomes(state) == ["allowed"]


@pytest.mark.parametrize("name", NOTHING)
def test_what_regards_no_policys_violation_counts_for_nothing(name: str) -> None:
    assert outcomes(watched([*policies(), read(name)])) == []


def test_every_event_has_its_reading() -> None:
    events = {path.stem for path in FOLDER.glob("event-*.json")}
    assert events == {*BLOCKED, *ALLOWED, *NOTHING}


def test_autogenerated_rules_and_namespaced_policies_have_their_labels() -> None:
    names = ("event-blocked-autogen", "event-blocked-policy", "event-blocked-cluster-scoped")
    state = watched([*policies(), *map(read, names)])
    rows = {(row[0], row[2], row[4]) for row in state.violation_events.total.rows}
    assert rows == {
        ("team-a", "no-privileges", "without-privileges"),
        ("team-a", "team-a/need-team", "has-name"),
        ("", "namespace-labels", "no-reserved-names"),
    }


@pytest.mark.parametrize("name", [n for n in READINGS["policies"] if "admissionpolicy" not in n])
def test_a_policys_mode_and_readiness_are_read(name: str) -> None:
    wanted = READINGS["policies"][name]
    (info,) = watched([read(name)]).register.policy_infos.values()
    assert (info.mode, info.ready) == (wanted["mode"], wanted["ready"])
    assert info.policy == (wanted["label"] or read(name)["metadata"]["name"])
