"""What /metrics must show, worked out from the JSON of the API server's objects alone.

Nothing of the exporter is imported: this is the second opinion.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.kyverno.api import Api, Object
from tests.kyverno.series import (
    EVENTS,
    FAILING,
    INFO,
    LAST,
    LIVE,
    NAMESPACES,
    NEWEST,
    READY,
    RECENT,
    REPORTS,
    RESOURCES,
    RESULTS,
    SUMMARY,
    Family,
    Labels,
    labels,
    policy_label,
    rule_label,
)
from tests.kyverno.violations import Known, last, live, occurrences, recent, violations

OPENREPORTS = "openreports.io"
REPORT_PATHS = (
    "/apis/wgpolicyk8s.io/v1alpha2/policyreports",
    "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports",
    f"/apis/{OPENREPORTS}/v1alpha1/reports",
    f"/apis/{OPENREPORTS}/v1alpha1/clusterreports",
)
POLICY_PATHS = (
    "/apis/kyverno.io/v1/clusterpolicies",
    "/apis/kyverno.io/v1/policies",
    *(
        f"/apis/policies.kyverno.io/v1/{scope}{verb}policies"
        for scope in ("", "namespaced")
        for verb in ("validating", "imagevalidating", "mutating", "generating", "deleting")
    ),
)
WORST_FIRST = ("fail", "error", "warn", "pass", "skip")


class Objects(NamedTuple):
    """Everything that the exporter reads, at one moment."""

    reports: list[Object]
    events: list[Object]
    policies: list[Object]
    namespaces: list[Object]


def read(api: Api) -> Objects:
    """Read everything that the exporter reads."""
    policies: list[Object] = []
    for path in POLICY_PATHS:
        listed = api.found(path)
        if listed is not None:
            kind = listed["kind"].removesuffix("List")
            policies += [{**each, "kind": kind} for each in listed["items"]]
    return Objects(
        [each for path in REPORT_PATHS for each in _with_group(api, path)],
        api.items("/apis/events.k8s.io/v1/events"),
        policies,
        api.items("/api/v1/namespaces"),
    )


def _with_group(api: Api, path: str) -> list[Object]:
    return [{**each, "group": path.split("/")[2]} for each in api.items(path)]


# Reports


def newest(report: Object) -> int:
    """Return when the newest result of a report was found, in Unix seconds."""
    return max((result["timestamp"]["seconds"] for result in report.get("results", [])), default=0)


def counted(reports: Iterable[Object]) -> list[Object]:
    """Of twins in both groups take the newer one, in a tie the one of openreports."""
    twins: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for report in reports:
        meta = report["metadata"]
        twins[meta.get("namespace", ""), meta["name"]].append(report)
    return [max(pair, key=_precedence) for pair in twins.values()]


def _precedence(report: Object) -> tuple[int, bool]:
    return newest(report), report["group"] == OPENREPORTS


def results(reports: Iterable[Object]) -> Family:
    """Count the results themselves."""
    found: Counter[Labels] = Counter()
    for report in reports:
        for result in report.get("results", []):
            found[_series(report, result, category=result.get("category") or "none")] += 1
    return found


def failing(reports: Iterable[Object]) -> Family:
    """Count what each single resource fails."""
    found: Counter[Labels] = Counter()
    for report in reports:
        for result in report.get("results", []):
            if result["result"] in ("fail", "error"):
                found[_series(report, result, name=report["scope"]["name"])] += 1
    return found


def _series(report: Object, result: Object, **more: str) -> Labels:
    return labels(
        namespace=report["scope"].get("namespace", ""),
        kind=report["scope"]["kind"],
        policy=result["policy"],
        rule=rule_label(result.get("rule", "")),
        result=result["result"],
        severity=result.get("severity") or "none",
        source=result["source"],
        **more,
    )


def summaries(reports: Iterable[Object]) -> Family:
    """Add up what `kubectl get policyreports` prints."""
    found: Counter[Labels] = Counter()
    for report in reports:
        where = report["scope"]
        for word, count in report["summary"].items():
            key = labels(namespace=where.get("namespace", ""), kind=where["kind"], result=word)
            found[key] += count
    return found


def resources(reports: Iterable[Object]) -> Family:
    """Count resources by their worst result."""
    found: Counter[Labels] = Counter()
    for report in reports:
        words = {result["result"] for result in report.get("results", [])}
        worst = next((word for word in WORST_FIRST if word in words), None)
        if worst:
            where = report["scope"]
            key = labels(namespace=where.get("namespace", ""), kind=where["kind"], status=worst)
            found[key] += 1
    return found


def groups(reports: Iterable[Object]) -> Family:
    """Count report objects."""
    return Counter(
        labels(namespace=each["metadata"].get("namespace", ""), group=each["group"])
        for each in reports
    )


def freshness(reports: Iterable[Object]) -> Family:
    """Find the newest result of each source."""
    found: dict[Labels, float] = {}
    for report in reports:
        for result in report.get("results", []):
            key = labels(source=result["source"])
            found[key] = max(found.get(key, 0), result["timestamp"]["seconds"])
    return found


# Policies and namespaces


def policy_source(kind: str) -> str:
    """Return what a policy's results call their source."""
    kyverno = kind in ("ClusterPolicy", "Policy")
    return "kyverno" if kyverno else f"Kyverno{kind.removeprefix('Namespaced')}"


def infos(policies: Iterable[Object]) -> Family:
    """Describe each policy; its mode is what its author expects, in an annotation."""
    found: dict[Labels, float] = {}
    for policy in policies:
        notes = policy["metadata"].get("annotations", {})
        spec = policy["spec"]
        scanned = spec.get("evaluation", {}).get("background", {}).get("enabled")
        background = spec.get("background", True) if scanned is None else scanned
        key = labels(
            policy=policy_label(policy["metadata"]),
            policy_kind=policy["kind"],
            source=policy_source(policy["kind"]),
            mode=notes["expected-mode"],
            background=str(background).lower(),
            severity=notes.get("policies.kyverno.io/severity", "none"),
            category=notes.get("policies.kyverno.io/category", "none"),
            title=notes.get("policies.kyverno.io/title", ""),
        )
        found[key] = 1
    return found


def readiness(policies: Iterable[Object]) -> Family:
    """Say whether each policy is ready."""
    found: dict[Labels, float] = {}
    for policy in policies:
        status = policy.get("status", {})
        ready = status.get("conditionStatus", {}).get("ready")
        for condition in status.get("conditions", []):
            if condition["type"] == "Ready":
                ready = condition["status"] == "True"
        if ready is not None:
            key = labels(
                policy=policy_label(policy["metadata"]),
                policy_kind=policy["kind"],
                source=policy_source(policy["kind"]),
            )
            found[key] = float(ready)
    return found


def is_ready(policy: Object) -> bool:
    """Say whether one policy is ready."""
    return set(readiness([{"kind": "", **policy}]).values()) == {1.0}


def expected(objects: Objects, known: Known) -> Mapping[str, Family]:
    """Work out every family that objects alone determine."""
    reports = counted(objects.reports)
    found = violations(objects.events, known.denials)
    team = teams(objects.namespaces)
    with_team = {
        RESULTS: results(reports),
        SUMMARY: summaries(reports),
        RESOURCES: resources(reports),
        REPORTS: groups(objects.reports),
        FAILING: failing(reports),
        EVENTS: occurrences(found, known),
        LIVE: live(found),
        LAST: last(found),
        RECENT: recent(found),
        NAMESPACES: {labels(namespace=name): 1 for name in team},
    }
    return {
        NEWEST: freshness(reports),
        INFO: infos(objects.policies),
        READY: readiness(objects.policies),
        **{family: _joined(rows, team) for family, rows in with_team.items()},
    }


def teams(namespaces: Iterable[Object]) -> Mapping[str, str]:
    """Return the label that the exporter is told to join, for every namespace."""
    metas = (each["metadata"] for each in namespaces)
    return {meta["name"]: meta.get("labels", {}).get("team", "") for meta in metas}


def _joined(rows: Family, team: Mapping[str, str]) -> Family:
    return {
        key | labels(team=team.get(dict(key).get("namespace", ""), "")): value
        for key, value in rows.items()
    }
