"""Every verdict in the API server's answers: counted, or of a kind that leaves no Event."""

from collections import Counter

import pytest

from tests.kyverno.api import Object
from tests.kyverno.objects import config_map, generated, pod, secret, service, workload
from tests.kyverno.refusals import refusal
from tests.kyverno.series import EVENTS, rule_label
from tests.kyverno.world import Refused, World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

SILENT = [
    ("an error of a mutate rule", config_map("changes", "fragile-1"), "mutate"),
    (
        "an image without signature in a Pod without name",
        generated(pod("images", "keyed", image="127.0.0.1:2/app:1")),
        "verify-images",
    ),
    (
        "a policy that Kyverno hands to the API server",
        workload("Deployment", "native", "pids", hostPID=True),
        "native",
    ),
    (
        "a policy in CEL that Kyverno hands to the API server",
        service("native", "ports", kind="NodePort"),
        "native",
    ),
    ("a policy of the API server's own", secret("native", "bare"), "native"),
]
"""What the API server refuses and Kyverno writes no Event of."""


@pytest.mark.parametrize(
    ("asked", "by"), [each[1:] for each in SILENT], ids=[each[0] for each in SILENT]
)
def test_no_event_is_written_of(world: World, asked: Object, by: str) -> None:
    kind, namespace = asked["kind"], asked["metadata"]["namespace"]
    before = world.shown(EVENTS, kind=kind, namespace=namespace, outcome="blocked")
    answer = world.create(asked)
    assert answer.refused
    assert refusal(answer).by == by
    world.recount(f"refused without an Event: {by}")
    assert world.shown(EVENTS, kind=kind, namespace=namespace, outcome="blocked") == before


def is_silent(each: Refused) -> bool:
    """Say whether Kyverno writes no Event of a refusal; verify-images has no name to write of."""
    return each.refusal.by in ("mutate", "native", "unreachable") or not each.name


def test_every_verdict_of_an_answer_is_counted_as_blocked(world: World) -> None:
    told: Counter[tuple[str, str, str, str]] = Counter()
    for each in world.refused:
        for verdict in () if is_silent(each) else each.refusal.verdicts:
            rule = rule_label(verdict.rule)
            told[each.namespace, each.kind, verdict.policy, rule] += 1
    assert told
    world.until(lambda: blocked(world) == told, f"the exporter counts {told - blocked(world)}")


def blocked(world: World) -> Counter[tuple[str, str, str, str]]:
    """Count what the exporter shows as blocked; policies in CEL have no rules in answers."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for key, count in world.exporter.scrape(EVENTS).get(EVENTS, {}).items():
        series = dict(key)
        if series["outcome"] == "blocked":
            policy = series["policy"].rpartition("/")[2]
            rules = series["policy_kind"] in ("ClusterPolicy", "Policy")
            rule = series.get("rule", "") if rules else ""
            found[series.get("namespace", ""), series["kind"], policy, rule] += int(count)
    return +found
