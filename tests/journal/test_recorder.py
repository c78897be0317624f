"""Each occurrence that is counted has a line, with what is known of it and nothing else."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from exporter.journal.queue import Entry, Journal
from exporter.journal.recorder import MOST_REPEATS, JournalSettings, Place, Recorder
from exporter.model.changes import Applied, Deleted, Init, InitDone, Object, Scope
from exporter.model.metadata import (
    LabelledMetadata,
    Metadata,
    Namespace,
    OwnedMetadata,
    OwnedObject,
    OwnerReference,
)
from exporter.model.policy import Policy
from exporter.model.report import Instant, Reference, Report, Result
from exporter.model.resource import CEL_POLICIES, CLUSTER_POLICIES, NAMESPACES, PODS, POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.memory import FailureMemory
from exporter.state.selection import Globs, Selection
from tests.journal.counts import Counts
from tests.state.violations import NOW, SCOPE, Clock, cel_policy, cluster_policy, event, old_event

pytestmark = pytest.mark.tier("unit")

REPORTS = Scope(POLICY_REPORTS)
POLICIES = Scope(CLUSTER_POLICIES)


class Kept(Journal):
    """A journal that keeps its lines in memory."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.lines: list[dict[str, Any]] = []
        super().__init__(self.counts)

    def send(self, entries: Iterable[Entry]) -> None:
        self.lines += [json.loads(entry.line) for entry in entries]


class Recorded:
    """A state with a journal, whose first lists were empty."""

    def __init__(self, cluster: str = "prod", *, metadata: bool = False, **settings: Any) -> None:
        self.clock = Clock()
        self.journal = Kept()
        self.state = ClusterState(
            Selection(), self.clock, namespace_labels=("team", "env"), metadata=metadata
        )
        place = Place(cluster, ("team", "env"))
        self.recorder = Recorder(
            JournalSettings(**settings), self.state, self.journal, place, self.clock
        )
        for scope in (REPORTS, SCOPE, POLICIES, Scope(NAMESPACES)):
            self.lists(scope)

    def lists(self, scope: Scope, *objects: Object) -> None:
        self.state.apply(Init(scope))
        for each in objects:
            self.state.apply(Applied(scope, each))
        self.state.apply(InitDone(scope))

    def sees(self, scope: Scope, *objects: Object) -> None:
        for each in objects:
            self.state.apply(Applied(scope, each))

    def loses(self, scope: Scope, each: Object) -> None:
        self.state.apply(Deleted(scope, each))

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines so far, which are then taken."""
        lines, self.journal.lines = self.journal.lines, []
        return lines

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line


def report(word: str = "fail", version: str = "7", *, rule: str = "r", name: str = "u1") -> Report:
    at = Instant(int(NOW) - 60)
    result = Result("p", rule, word, "high", "Pods", "kyverno", "no such label", at)
    about = Reference("Pod", "web", uid="u1")
    return Report.of(Metadata(name, "team-a", version), about, None, [result])


def test_a_failure_that_opens_has_a_line() -> None:
    recorded = Recorded()
    labels = LabelledMetadata("team-a", labels={"team": "payments", "tier": "1"})
    recorded.sees(Scope(NAMESPACES), Namespace(labels))
    recorded.sees(REPORTS, report())
    line = recorded.line
    assert len(line.pop("id")) == 32
    assert line == {
        "timestamp": "2027-01-15T07:59:00.000Z",
        "observed_timestamp": "2027-01-15T08:00:00.000Z",
        "event_name": "failure_opened",
        "severity_text": "WARN",
        "body": "no such label",
        "cluster": "prod",
        "namespace": "team-a",
        "namespace_labels": {"team": "payments"},
        "workload_kind": "Pod",
        "workload": "web",
        "resource_kind": "Pod",
        "resource_name": "web",
        "resource_uid": "u1",
        "policy": "p",
        "rule": "r",
        "severity": "high",
        "category": "Pods",
        "source": "kyverno",
        "since": "2027-01-15T07:59:00.000Z",
    }


def test_a_failure_that_closes_has_a_line_with_its_message_and_duration() -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, report())
    opened = recorded.line
    recorded.clock.now += 30
    recorded.sees(REPORTS, report("pass", "8"))
    closed = recorded.line
    assert (closed["event_name"], closed["severity_text"]) == ("failure_closed", "INFO")
    assert (closed["reason"], closed["duration_seconds"]) == ("pass", 90)
    assert closed["timestamp"] == "2027-01-15T08:00:30.000Z"
    same = ("since", "body", "resource_uid", "resource_name", "category", "policy", "rule")
    assert [closed[name] for name in same] == [opened[name] for name in same]


@pytest.mark.parametrize("name", ["u1", "of-itself"])
@pytest.mark.parametrize(
    ("word", "reason"), [("pass", "pass"), ("skip", "skip"), ("error", "error"), ("warn", "warn")]
)
def test_a_failure_closes_with_what_the_report_has_now(word: str, reason: str, name: str) -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, report(name=name), report(word, "8", name=name))
    assert recorded.lines[-1]["reason"] == reason


def namespace_report(version: str, **words: str) -> Report:
    """Make a report of a whole namespace, with what each Pod has."""
    results = [
        Result("p", "r", word, source="kyverno", resources=[Reference("Pod", name, "team-a")])
        for name, word in words.items()
    ]
    return Report.of(Metadata("all", "team-a", version), None, None, results)


def test_failures_of_one_report_close_each_for_its_own_reason() -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, namespace_report("7", fixed="fail", gone="fail", skipped="fail"))
    assert len(recorded.lines) == 3
    recorded.sees(REPORTS, namespace_report("8", fixed="pass", skipped="skip", other="fail"))
    found = {line["resource_name"]: line.get("reason") for line in recorded.lines}
    assert found == {"fixed": "pass", "skipped": "skip", "gone": "not_reported", "other": None}


def test_a_failure_closes_when_its_report_is_deleted_or_no_longer_has_the_rule() -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, report(), report("pass", "8", rule="other"))
    assert recorded.lines[-1]["reason"] == "not_reported"
    recorded.sees(REPORTS, report(version="9"))
    recorded.loses(REPORTS, report(version="10"))
    assert recorded.lines[-1]["reason"] == "report_deleted"
    recorded.sees(REPORTS, report(version="11"))
    recorded.lists(REPORTS)
    assert recorded.lines[-1]["reason"] == "report_deleted"


def test_what_the_first_list_has_is_old_and_a_rescan_is_no_news() -> None:
    recorded = Recorded()
    recorded.state.ledger.counting.clear()
    recorded.lists(REPORTS, report())
    recorded.sees(REPORTS, report(version="8"))
    assert recorded.lines == []


def test_a_failure_that_opens_again_has_another_id() -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, report(), report("pass", "8"), report(version="9"))
    recorded.lists(REPORTS)
    recorded.lists(REPORTS, report(version="9"))
    recorded.lists(REPORTS)
    recorded.lists(REPORTS, report(version="9"))
    ids = [line["id"] for line in recorded.lines]
    assert len(set(ids)) == len(ids) == 7


def test_whoever_watches_the_same_change_gives_it_the_same_id() -> None:
    one, other = Recorded(), Recorded()
    other.clock.now += 5
    for each in (one, other):
        each.sees(REPORTS, report(), report("pass", "8"))
        each.sees(SCOPE, event())
        each.sees(POLICIES, versioned(cluster_policy("p"), "9"))
    ids = [line["id"] for line in one.lines]
    assert ids == [line["id"] for line in other.lines]
    elsewhere = Recorded("staging")
    elsewhere.sees(REPORTS, report())
    assert elsewhere.line["id"] not in ids


def test_a_blocked_request_has_a_line() -> None:
    recorded = Recorded()
    related = {"kind": "Pod", "namespace": "team-a", "name": "web", "uid": "u7"}
    recorded.sees(POLICIES, cluster_policy("p", severity="high", category="Pods"))
    recorded.journal.lines.clear()
    recorded.sees(SCOPE, event(related=related))
    line = recorded.line
    assert len(line.pop("id")) == 32
    assert line == {
        "timestamp": "2027-01-15T07:59:00.000Z",
        "observed_timestamp": "2027-01-15T08:00:00.000Z",
        "event_name": "request_blocked",
        "severity_text": "WARN",
        "body": "no",
        "cluster": "prod",
        "namespace": "team-a",
        "workload_kind": "Pod",
        "workload": "web",
        "resource_kind": "Pod",
        "resource_name": "web",
        "resource_uid": "u7",
        "policy": "p",
        "policy_kind": "ClusterPolicy",
        "rule": "r",
        "severity": "high",
        "category": "Pods",
        "source": "kyverno",
        "controller": "admission",
        "ordinal": 1,
    }


def test_an_allowed_violation_has_a_line_of_its_kind() -> None:
    recorded = Recorded()
    recorded.sees(SCOPE, event(blocked=False, kind="ValidatingPolicy"))
    line = recorded.line
    assert (line["event_name"], line["source"]) == ("violation_allowed", "KyvernoValidatingPolicy")


def test_each_violation_of_an_event_that_is_counted_up_has_a_line() -> None:
    recorded = Recorded()
    recorded.sees(SCOPE, old_event(2), old_event(2), old_event(5, version=11))
    lines = recorded.lines
    assert [line["ordinal"] for line in lines] == [1, 2, 3, 4, 5]
    assert len({line["id"] for line in lines}) == 5


def test_an_event_that_claims_two_billion_violations_has_a_hundred_lines() -> None:
    recorded = Recorded()
    recorded.sees(SCOPE, old_event(2**31))
    lines = recorded.lines
    assert [line["ordinal"] for line in lines] == [*range(2**31 - MOST_REPEATS + 1, 2**31 + 1)]
    assert recorded.journal.counts.left_out == {"repeats": 2**31 - MOST_REPEATS}


def versioned(policy: Policy, version: str, generation: int = 1) -> Policy:
    replace = msgspec.structs.replace
    metadata = replace(policy.metadata, resource_version=version, generation=generation)
    return replace(policy, metadata=metadata)


def test_a_policy_that_is_created_changed_and_deleted_has_lines() -> None:
    recorded, scope = Recorded(), Scope(CEL_POLICIES[0])
    recorded.lists(scope)
    recorded.sees(scope, versioned(cel_policy("p", "Audit"), "1"))
    created = recorded.line
    assert (created["reason"], created["mode"], created["policy"]) == ("created", "audit", "p")
    assert not created.keys() & {"former_mode", "changed", "ready"}
    recorded.sees(scope, versioned(cel_policy("p", "Deny"), "2", 2))
    changed = recorded.line
    assert (changed["reason"], changed["changed"]) == ("changed", ["mode", "spec"])
    assert (changed["former_mode"], changed["mode"]) == ("audit", "enforce")
    recorded.loses(scope, versioned(cel_policy("p", "Deny"), "3", 2))
    deleted = recorded.line
    assert (deleted["reason"], deleted["former_mode"]) == ("deleted", "enforce")
    assert "mode" not in deleted


def test_a_policy_that_becomes_ready_has_a_line() -> None:
    recorded = Recorded()
    wire = {"metadata": {"name": "p"}, "kind": "ClusterPolicy"}
    ready = msgspec.convert(wire | {"status": {"ready": True}}, Policy)
    recorded.sees(POLICIES, msgspec.convert(wire | {"status": {"ready": False}}, Policy))
    recorded.journal.lines.clear()
    recorded.sees(POLICIES, ready, ready)
    line = recorded.line
    assert (line["changed"], line["former_ready"], line["ready"]) == (["ready"], False, True)


def test_policies_of_the_first_list_have_no_line() -> None:
    recorded = Recorded()
    recorded.lists(Scope(CEL_POLICIES[0]), cel_policy("p", "Deny"))
    assert recorded.lines == []


CHOICES: list[Any] = [
    ({"occurrences": ("failure_closed",)}, ["failure_closed"]),
    ({"severities": ("low",)}, []),
    ({"namespaces": Globs(exclude=("team-*",))}, []),
    ({"namespaces": Globs(include=("team-*",))}, ["failure_opened", "failure_closed"]),
    ({"sources": Globs(exclude=("kyverno",))}, []),
    ({"sources": Globs(include=("ky*",))}, ["failure_opened", "failure_closed"]),
]


@pytest.mark.parametrize(("settings", "names"), CHOICES)
def test_settings_choose_lines(settings: dict[str, Any], names: list[str]) -> None:
    recorded = Recorded(**settings)
    recorded.sees(REPORTS, report(), report("pass", "8"))
    assert [line["event_name"] for line in recorded.lines] == names


def test_the_start_and_gaps_have_lines() -> None:
    recorded = Recorded()
    recorded.recorder.started("1.2.3", continues=True)
    recorded.recorder.gap("events_expired", seconds=12.4)
    recorded.recorder.gap("journal_full", lines=3)
    start, expired, full = recorded.lines
    assert (start["event_name"], start["version"]) == ("exporter_started", "1.2.3")
    assert start["reason"] == "checkpoint"
    assert (expired["reason"], expired["seconds"]) == ("events_expired", 12)
    assert (full["event_name"], full["lines"]) == ("gap", 3)


def test_a_failure_that_ended_while_the_exporter_was_down_has_a_line_without_the_resource() -> None:
    recorded = Recorded()
    group = ("team-a", "p", "high", "kyverno")
    recorded.state.ledger.restore.memory = FailureMemory({7: (int(NOW) - 90, group)})
    recorded.state.ledger.restore.finish()
    line = recorded.line
    assert (line["event_name"], line["duration_seconds"]) == ("failure_closed", 90)
    assert (line["namespace"], line["policy"], line["severity"]) == ("team-a", "p", "high")
    assert not line.keys() & {"resource_kind", "resource_name", "rule", "reason", "body"}


def test_a_failure_that_began_while_the_exporter_was_down_has_a_whole_line() -> None:
    recorded = Recorded()
    recorded.state.ledger.restore.memory = FailureMemory()
    recorded.sees(REPORTS, report())
    assert recorded.lines == []
    recorded.state.ledger.restore.finish()
    line = recorded.line
    assert (line["event_name"], line["body"]) == ("failure_opened", "no such label")


def named(kind: str, name: str, word: str = "fail") -> Report:
    about = Reference(kind, name, uid=f"u-{name}")
    results = [Result("p", "r", word, source="kyverno", timestamp=Instant(int(NOW)))]
    return Report.of(Metadata(f"u-{name}", "team-a", "7"), about, None, results)


def test_the_workload_of_a_pod_is_its_deployment_where_that_is_known() -> None:
    recorded = Recorded()
    recorded.sees(REPORTS, named("Deployment", "web", "pass"))
    recorded.sees(REPORTS, named("ReplicaSet", "web-7d4b9c6f5d", "pass"))
    recorded.sees(REPORTS, named("Pod", "web-7d4b9c6f5d-x2x4z"))
    assert (recorded.line["workload_kind"], recorded.lines) == ("Deployment", [])
    recorded.sees(SCOPE, event(pod="web-7d4b9c6f5d-bbbbb"), event("p.2", pod="other"))
    of_web, of_other = recorded.lines
    assert (of_web["workload_kind"], of_web["workload"]) == ("Deployment", "web")
    assert (of_other["workload_kind"], of_other["workload"]) == ("Pod", "other")


def test_metadata_name_the_workload_of_a_failure_until_it_is_closed() -> None:
    recorded = Recorded(metadata=True)
    workflow = OwnerReference("Workflow", "nightly", "u-nightly", controller=True)
    step = OwnedObject(OwnedMetadata("step", "team-a", "7", "u-step", [workflow]))
    bare = OwnedObject(
        OwnedMetadata("web-7d4b9c6f5d-x2x4z", "team-a", "7", "u-web-7d4b9c6f5d-x2x4z")
    )
    recorded.sees(Scope(PODS), step, bare)
    recorded.sees(REPORTS, named("Deployment", "web", "pass"))
    recorded.sees(REPORTS, named("Pod", "step"), named("Pod", bare.name))
    of_step, of_bare = recorded.lines
    assert (of_step["workload_kind"], of_step["workload"]) == ("Workflow", "nightly")
    assert (of_bare["workload_kind"], of_bare["workload"]) == ("Pod", bare.name)
    recorded.state.ledger.settle()
    recorded.loses(Scope(PODS), step)
    recorded.loses(REPORTS, named("Pod", "step"))
    line = recorded.line
    assert line["event_name"] == "failure_closed"
    assert (line["workload_kind"], line["workload"]) == ("Workflow", "nightly")
