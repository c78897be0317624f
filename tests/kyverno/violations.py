"""Violations, from the JSON of Events and the answers to the requests that they are about."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.kyverno.api import Object
from tests.kyverno.series import Family, Labels, labels, policy_label, rule_label, seconds

Denials = frozenset[tuple[str, str, str, str]]
"""Kind, namespace and name of a resource, and the name of a policy that refused it."""

COUNTED = ("kyverno-admission", "kyverno-scan")
NOTE = re.compile(r"\S+ \S+: (?:\[(?P<rule>[^\]]*)\] )?(?P<word>fail|error)\b")


class Known(NamedTuple):
    """What objects alone do not tell: requests that were refused, policies that are gone."""

    denials: Denials
    annotations: Mapping[str, Mapping[str, str]]
    """By the label of the policy."""


class Violation(NamedTuple):
    """One Event that counts."""

    namespace: str
    kind: str
    name: str
    policy: str
    policy_kind: str
    rule: str
    outcome: str
    controller: str
    seconds: float


def violations(events: Iterable[Object], denials: Denials) -> list[Violation]:
    """Read the Events that regard a policy and tell of a failure or an error.

    Blocked is what the Event calls so and the API server's answer to the request, too: for policies
    in CEL the Event alone may claim it of an object that was admitted, or refused by another one.
    """
    found = []
    for event in events:
        about, who = event.get("regarding", {}), event.get("related", {})
        note = NOTE.match(event.get("note", ""))
        if event["reason"] != "PolicyViolation" or not about["kind"].endswith("Policy") or not note:
            continue
        if event["reportingController"] not in COUNTED:
            continue
        denial = (who["kind"], who.get("namespace", ""), who["name"], about["name"])
        blocked = event["action"] == "Resource Blocked" and denial in denials
        found.append(
            Violation(
                namespace=who.get("namespace", ""),
                kind=who["kind"],
                name=who["name"],
                policy=policy_label(about),
                policy_kind=about["kind"],
                rule=rule_label(note["rule"] or ""),
                outcome="blocked" if blocked else "allowed",
                controller=event["reportingController"].removeprefix("kyverno-"),
                seconds=seconds(event["eventTime"]),
            )
        )
    return found


def occurrences(found: Iterable[Violation], known: Known) -> Family:
    """Count violations with what their policies say of themselves."""
    return Counter(
        labels(
            **{k: v for k, v in each._asdict().items() if k not in ("name", "seconds")},
            severity=_said(known, each.policy, "severity"),
            category=_said(known, each.policy, "category"),
        )
        for each in found
    )


def _said(known: Known, policy: str, what: str) -> str:
    return known.annotations.get(policy, {}).get(f"policies.kyverno.io/{what}") or "none"


def _by(found: Iterable[Violation], *names: str) -> dict[Labels, list[Violation]]:
    grouped: dict[Labels, list[Violation]] = defaultdict(list)
    for each in found:
        grouped[labels(**{name: getattr(each, name) for name in names})].append(each)
    return grouped


def live(found: Iterable[Violation]) -> Family:
    """Count Events that are still there."""
    return {key: len(each) for key, each in _by(found, "namespace", "policy", "outcome").items()}


def last(found: Iterable[Violation]) -> Family:
    """Find the newest Event of each policy and namespace."""
    grouped = _by(found, "namespace", "policy", "outcome")
    return {key: max(v.seconds for v in each) for key, each in grouped.items()}


def recent(found: Iterable[Violation], most: int = 100) -> Family:
    """Find the newest blocked requests."""
    blocked = sorted((v for v in found if v.outcome == "blocked"), key=lambda v: v.seconds)
    grouped = _by(blocked[-most:], "namespace", "kind", "name", "policy", "rule")
    return {key: max(v.seconds for v in each) for key, each in grouped.items()}
