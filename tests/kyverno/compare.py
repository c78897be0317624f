"""What is shown against what is right, family by family."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.kyverno.api import Object
from tests.kyverno.recount import Objects
from tests.kyverno.series import (
    CLOSED,
    EVENTS,
    FAILING,
    INFO,
    LAST,
    LIVE,
    NAMESPACES,
    NEWEST,
    OPENED,
    READY,
    RECENT,
    REPORTS,
    RESOURCES,
    RESULTS,
    SUMMARY,
    Family,
    Labels,
    labels,
)

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

OWNERSHIP = frozenset({"controlled", "workload_kind", "workload"})
"""Labels of who owns a resource: tests/kyverno/test_seed.py compares them with the references."""


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
    found = {
        family: _different(_whoever_owns(shown.get(family, {})), right)
        for family, right in wanted.items()
    }
    found[RESULTS] = found[RESULTS] + _unpaired(shown.get(RESULTS, {}))
    return {**found, OPENED: _unbalanced(shown)}


def _whoever_owns(rows: Family) -> Family:
    """Add up what differs only in the owner: the objects of a recount say nothing about that."""
    found: dict[Labels, float] = {}
    for key, n in rows.items():
        rest = frozenset(pair for pair in key if pair[0] not in OWNERSHIP)
        found[rest] = found.get(rest, 0.0) + n
    return found


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
