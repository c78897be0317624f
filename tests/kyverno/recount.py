"""What /metrics must show, worked out from the JSON of the API server's objects alone.

Nothing of the exporter is imported: this is the second opinion.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from tests.kyverno.api import Api, Object

Labels = frozenset[tuple[str, str]]
Family = Mapping[Labels, float]
Denials = frozenset[tuple[str, str, str, str]]
"""Kind, namespace and name of a resource, and the name of a policy that refused it."""

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
COUNTED = ("kyverno-admission", "kyverno-scan")
NOTE = re.compile(r"\S+ \S+: (?:\[(?P<rule>[^\]]*)\] )?(?P<word>fail|error)\b")
RESULTS, SUMMARY = "policyreport_results", "policyreport_summary"
RESOURCES, REPORTS = "policyreport_resources", "policyreport_reports"
NEWEST = "policyreport_newest_result_timestamp_seconds"
FAILING = "policyreport_resource_results"
EVENTS, LIVE = "policyviolation_events_total", "policyviolation_live_events"
LAST = "policyviolation_last_event_timestamp_seconds"
RECENT = "policyviolation_recent_block_timestamp_seconds"
READY = "policyreport_policy_ready"
OPENED, CLOSED = "policyreport_failures_opened_total", "policyreport_failures_closed_total"
INFO, NAMESPACES = "policyreport_policy_info", "policyreport_namespace_info"


class Objects(NamedTuple):
    """Everything that the exporter reads, at one moment."""

    reports: list[Object]
    events: list[Object]
    policies: list[Object]
    namespaces: list[Object]


class Known(NamedTuple):
    """What objects alone do not tell: requests that were refused, policies that are gone."""

    denials: Denials
    annotations: Mapping[str, Mapping[str, str]]
    """By the label of the policy."""


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


def labels(**given: str) -> Labels:
    """Name a series; a label that is empty is none."""
    return frozenset((name, value) for name, value in given.items() if value)


def policy_label(meta: Object) -> str:
    """Return how a policy is called everywhere: namespace/name for a namespaced one."""
    within = meta.get("namespace")
    return f"{within}/{meta['name']}" if within else str(meta["name"])


def rule_label(rule: str) -> str:
    """Return the rule that somebody wrote: autogen rules are those of Pods."""
    return re.sub(r"^autogen-(cronjob-)?", "", rule)


def seconds(time: str) -> float:
    """Return Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(time).timestamp()


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


# Events


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


# Comparison

MADE_OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((RESULTS, SUMMARY, RESOURCES, REPORTS, FAILING), ("reports", "namespaces")),
    NEWEST: ("reports",),
    **dict.fromkeys((EVENTS, LIVE, LAST, RECENT), ("events", "policies", "namespaces")),
    INFO: ("policies",),
    READY: ("policies",),
    NAMESPACES: ("namespaces",),
    OPENED: ("reports",),
}
"""What each family is worked out from; openings stand for closings as well."""


def at_rest(before: Objects, after: Objects) -> set[str]:
    """Name the families whose objects did not change from one moment to another."""
    still = {
        part
        for part in Objects._fields
        if _versions(getattr(before, part)) == _versions(getattr(after, part))
    }
    return {family for family, parts in MADE_OF.items() if still.issuperset(parts)}


def _versions(objects: Iterable[Object]) -> set[tuple[str, str]]:
    return {(each["metadata"]["uid"], each["metadata"]["resourceVersion"]) for each in objects}


def differences(
    shown: Mapping[str, Family], wanted: Mapping[str, Family]
) -> Mapping[str, list[str]]:
    """Name for each family every series that differs; 0 and absent are the same here."""
    found = {family: _different(shown.get(family, {}), right) for family, right in wanted.items()}
    found[RESULTS] = found[RESULTS] + _unpaired(shown.get(RESULTS, {}))
    return {**found, OPENED: _unbalanced(shown)}


def _different(seen: Family, right: Family) -> list[str]:
    found = []
    for key in sorted({*seen, *right}, key=sorted):
        a, b = seen.get(key, 0.0), right.get(key, 0.0)
        if abs(a - b) > 1e-3:
            named = ", ".join(f"{name}={value}" for name, value in sorted(key))
            found.append(f"{{{named}}} shows {a:g}, right is {b:g}")
    return found


def _unpaired(rows: Family) -> list[str]:
    """Name what shows only one of pass and fail: where one is, the other is at least 0."""
    rests = [frozenset(pair for pair in key if pair[0] != "result") for key in rows]
    return [
        f"no {word} of {sorted(rest)}"
        for rest in rests
        for word in ("pass", "fail")
        if rest | labels(result=word) not in rows
    ]


def _unbalanced(shown: Mapping[str, Family]) -> list[str]:
    """Name failures whose openings and closings do not add up to what is failing."""
    failures = {key: n for key, n in shown.get(FAILING, {}).items() if ("result", "fail") in key}
    opened, closed, failing_now = map(
        _by_policy, (shown.get(OPENED, {}), shown.get(CLOSED, {}), failures)
    )
    opened.subtract(closed)
    opened.subtract(failing_now)
    return [f"opened - closed - failing is {n} of {sorted(key)}" for key, n in opened.items() if n]


def _by_policy(rows: Family) -> Counter[Labels]:
    names = ("namespace", "policy", "severity", "source")
    found: Counter[Labels] = Counter()
    for key, n in rows.items():
        found[frozenset(pair for pair in key if pair[0] in names)] += int(n)
    return found
