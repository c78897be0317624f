"""Which Events count as violations, and what they say."""

from typing import Any

import msgspec
import pytest

from exporter.model.event import Event, Violation, violation

Object = dict[str, Any]


def event(**changes: Any) -> Event:
    wire: Object = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": "p.18a1c2d3e4f50617",
            "namespace": "default",
            "uid": "0f0e7c1e",
            "resourceVersion": "91234",
            "creationTimestamp": "2026-08-20T08:01:46Z",
            "managedFields": [{"manager": "kyverno"}],
        },
        "eventTime": "2026-08-20T08:01:46.804523Z",
        "reportingController": "kyverno-admission",
        "reportingInstance": "kyverno-admission-x",
        "action": "Resource Blocked",
        "reason": "PolicyViolation",
        "regarding": {"kind": "ClusterPolicy", "name": "p", "apiVersion": "kyverno.io/v1"},
        "related": {"kind": "Pod", "namespace": "team-a", "name": "web", "apiVersion": "v1"},
        "note": "Pod team-a/web: [r] fail (blocked); not allowed",
        "type": "Warning",
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    }
    return msgspec.convert(wire | changes, Event)


def test_a_blocked_request() -> None:
    assert violation(event()) == Violation(
        "team-a", "Pod", "web", "p", "ClusterPolicy", "r", True, "kyverno-admission", "not allowed"
    )


def test_the_namespace_is_that_of_the_resource() -> None:
    found = violation(event())
    assert found is not None
    assert found.namespace == "team-a"


NOT_COUNTED = {
    "another reason": {"reason": "PolicyApplied"},
    "it regards a resource": {"regarding": {"kind": "Pod", "name": "web", "namespace": "default"}},
    "a passing rule of a failed response, issue 15759": {"note": "Pod team-a/web: [r] pass"},
    "empty status, issue 17174": {"note": "Pod team-a/web: "},
    "no note": {"note": ""},
    "no policy name": {"regarding": {"kind": "ClusterPolicy"}},
    "a cluster policy's Event outside default": {
        "metadata": {"name": "x", "namespace": "team-a"},
    },
    "a policy of another namespace": {
        "regarding": {"kind": "Policy", "name": "p", "namespace": "team-b"},
    },
    "a policy about a resource elsewhere": {
        "metadata": {"name": "x", "namespace": "team-b"},
        "regarding": {"kind": "Policy", "name": "p", "namespace": "team-b"},
    },
}


@pytest.mark.parametrize("changes", NOT_COUNTED.values(), ids=NOT_COUNTED.keys())
def test_not_counted(changes: Object) -> None:
    assert violation(event(**changes)) is None


def test_a_namespaced_policy_is_called_by_its_namespace() -> None:
    found = violation(
        event(
            metadata={"name": "x", "namespace": "team-a"},
            regarding={"kind": "Policy", "name": "p", "namespace": "team-a"},
        )
    )
    assert found is not None
    assert found.policy == "team-a/p"


def test_an_old_event_names_its_resource_in_the_note_only() -> None:
    found = violation(
        event(related=None, action="", note="Pod team-a/web: [r] fail (blocked); m", count=3)
    )
    assert found is not None
    assert (found.namespace, found.kind, found.name, found.claims_blocked) == (
        "team-a",
        "Pod",
        "web",
        True,
    )


def test_the_view_of_core_v1_says_the_same() -> None:
    core = event(
        regarding=None,
        involvedObject={"kind": "ClusterPolicy", "name": "p"},
        note="",
        message="Pod team-a/web: [r] fail (blocked); not allowed",
        reportingController="",
        reportingComponent="kyverno-admission",
        source={},
        firstTimestamp=None,
        lastTimestamp=None,
    )
    assert violation(core) == violation(event())


@pytest.mark.parametrize(
    ("changes", "violations"),
    [
        ({}, 1),
        ({"deprecatedCount": 5}, 5),
        ({"count": 155}, 155),
        ({"series": {"count": 7, "lastObservedTime": "2026-08-20T08:01:46.804523Z"}}, 7),
        ({"deprecatedCount": -3}, 1),
        ({"deprecatedCount": 10**30}, 2**31),
    ],
)
def test_how_many_violations_an_event_is_of(changes: Object, violations: int) -> None:
    assert event(**changes).violations == violations


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 1787212906.804523),
        ({"deprecatedLastTimestamp": "2026-08-20T09:00:00Z"}, 1787216400.0),
        ({"eventTime": None}, 1787212906.0),
        ({"eventTime": "yesterday"}, 0.0),
    ],
)
def test_seconds(changes: Object, seconds: float) -> None:
    assert event(**changes).seconds == seconds
