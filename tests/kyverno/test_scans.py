"""Reports over time: fixes, deletions, changes of policies, and what goes with a namespace."""

from functools import partial
from typing import NamedTuple

import pytest

from tests.kyverno.api import Object, place
from tests.kyverno.objects import config_map, secret
from tests.kyverno.series import CLOSED, EVENTS, FAILING, INFO, NAMESPACES, RESULTS
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

APP = {"app": "a"}
FIXED, GONE, LEFT = (config_map("scans", name) for name in ("fixed", "gone", "left"))
BROKEN = config_map("scans", "broken", labels={**APP, "tier": "one"})
LEAVING = config_map("leaving", "one")
POLICY = "/apis/kyverno.io/v1/clusterpolicies/changes-its-mind"
GOES_AWAY = "/apis/kyverno.io/v1/clusterpolicies/goes-away"
CEL_POLICY = "/apis/policies.kyverno.io/v1/validatingpolicies/changes-its-actions"


class Before(NamedTuple):
    """Counters of the moment before anything changed."""

    closed: float


@pytest.fixture(scope="module")
def changed(world: World) -> Before:
    """Change everything at once, for Kyverno takes its time over each."""
    for each in (FIXED, GONE, LEFT, BROKEN, LEAVING):
        assert not world.create(each).refused
    for each in (FIXED, GONE, LEFT, LEAVING):
        world.until(partial(fails, world, each, "goes-away"), f"{each['metadata']} fails")
    world.recount("before anything changes")
    before = Before(world.shown(CLOSED, policy="changes-its-mind"))
    assert not world.patch(FIXED, {"metadata": {"labels": APP}}).refused
    assert not world.patch(BROKEN, {"metadata": {"labels": {"app": None}}}).refused
    assert not world.delete(GONE).refused
    world.api.must("DELETE", "/api/v1/namespaces/leaving")
    return before


def fails(world: World, each: Object, policy: str = "changes-its-mind") -> float:
    """Say how often the exporter shows that an object fails a policy."""
    meta = each["metadata"]
    return world.shown(FAILING, namespace=meta["namespace"], name=meta["name"], policy=policy)


def test_what_is_fixed_fails_no_more(world: World, changed: Before) -> None:
    world.until(lambda: not fails(world, FIXED), "it is fixed")
    world.recount("a fix")
    assert world.words("ConfigMap", "scans", "fixed")["changes-its-mind/label-app"] == "pass"


def test_what_breaks_fails(world: World, changed: Before) -> None:
    world.until(lambda: fails(world, BROKEN), "it is broken")
    world.recount("a break")


def test_what_is_deleted_is_closed(world: World, changed: Before) -> None:
    world.until(lambda: not fails(world, GONE), "it is gone")
    world.recount("a deletion")
    world.until(
        lambda: world.shown(CLOSED, policy="changes-its-mind") >= changed.closed + 2,
        "a fix and a deletion are two that closed",
    )


def test_what_goes_with_a_namespace_is_gone_from_every_gauge(world: World, changed: Before) -> None:
    world.until(lambda: not world.api.found("/api/v1/namespaces/leaving"), "the namespace is gone")
    world.recount("a namespace ends")
    assert not world.shown(RESULTS, namespace="leaving")
    assert not world.shown(NAMESPACES, namespace="leaving")


def test_a_policy_that_is_deleted_leaves_no_result(world: World, changed: Before) -> None:
    world.api.must("DELETE", GOES_AWAY)
    world.until(lambda: not world.shown(RESULTS, policy="goes-away"), "its results are gone")
    world.recount("a policy is deleted")
    assert not world.shown(INFO, policy="goes-away")


def enforce(world: World, action: str) -> None:
    """Let the ClusterPolicy audit or enforce."""
    policy = world.api.get(POLICY)
    [rule] = policy["spec"]["rules"]
    rule["validate"]["failureAction"] = action
    notes = {"expected-mode": action.lower()}
    change = {"metadata": {"annotations": notes}, "spec": {"rules": [rule]}}
    world.api.must("PATCH", POLICY, change)
    world.until_ready(POLICY)


def act(world: World, action: str, mode: str) -> None:
    """Let the policy in CEL audit or deny."""
    change = {
        "metadata": {"annotations": {"expected-mode": mode}},
        "spec": {"validationActions": [action]},
    }
    world.api.must("PATCH", CEL_POLICY, change)
    world.until_ready(CEL_POLICY)


def until_refused(world: World, make: object, kind: str, *, refused: bool) -> None:
    """Create one object after the other until the new mode is in force, and remove each."""
    assert callable(make)
    numbers = iter(range(1000))

    def attempt() -> bool:
        each = make("scans", f"{kind}-{next(numbers)}")
        answer = world.create(each)
        if not answer.refused:
            world.api.must("DELETE", place(each))
        return answer.refused is refused

    world.until(attempt, "the new mode is in force")


def test_audit_becomes_enforce_and_audit_again(world: World, changed: Before) -> None:
    enforce(world, "Enforce")
    until_refused(world, config_map, "enforced", refused=True)
    world.recount("from audit to enforce")
    assert fails(world, LEFT) == 1
    blocked = world.shown(EVENTS, policy="changes-its-mind", outcome="blocked")
    assert blocked == sum(each.name.startswith("enforced-") for each in world.refused)
    enforce(world, "Audit")
    until_refused(world, config_map, "audited", refused=False)
    world.recount("from enforce to audit")


def test_a_policy_in_cel_audits_and_then_denies(world: World) -> None:
    """The way back is not taken: a request in the moment before Kyverno follows would be refused.

    The exporter knows the policy as Audit by then, and an Event of a policy in CEL does not tell.
    """
    until_refused(world, secret, "cel-audited", refused=False)
    act(world, "Deny", "enforce")
    until_refused(world, secret, "cel-denied", refused=True)
    world.recount("from Audit to Deny")
