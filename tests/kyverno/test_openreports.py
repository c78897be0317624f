"""Kyverno changes from one group of reports to the other, and back."""

from collections.abc import Iterator

import pytest

from tests.kyverno.harness import REPORTS
from tests.kyverno.objects import pod
from tests.kyverno.series import FAILING
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

OPEN = "/apis/openreports.io/v1alpha1"
FAMILY = "policyreport_reports"
FLAKY = pod("strict", "switched", labels={"team": "a"})


@pytest.fixture(scope="module")
def switched(world: World) -> Iterator[World]:
    """Let the reports go to openreports.io, and at the end be only where they were before."""
    assert not world.create(FLAKY).refused
    world.until(lambda: fails(world), "the Pod fails before")
    world.recount("before the switch")
    world.kyverno.restart(REPORTS, openreports=True)
    yield world
    if world.kyverno.openreports:
        world.kyverno.restart(REPORTS)
    for path in ("reports", "clusterreports"):
        for each in world.api.items(f"{OPEN}/{path}"):
            meta = each["metadata"]
            within = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
            world.api.call("DELETE", f"{OPEN}{within}/{path}/{meta['name']}")
    world.recount("after the switch")


def fails(world: World) -> float:
    return world.shown(FAILING, namespace="strict", name="switched", policy="name-an-owner")


def test_a_report_in_both_groups_counts_once(switched: World) -> None:
    switched.until(
        lambda: switched.shown(FAMILY, namespace="strict", group="openreports.io"),
        "there are reports of both groups",
    )
    switched.recount("openreports is on")
    assert fails(switched) == 1


def test_after_the_way_back_what_is_fixed_fails_no_more(switched: World) -> None:
    switched.until(
        lambda: switched.api.items(f"{OPEN}/namespaces/strict/reports"), "the Pod has a twin"
    )
    switched.kyverno.restart(REPORTS)
    assert not switched.patch(FLAKY, {"metadata": {"labels": {"owner": "me"}}}).refused
    switched.until(
        lambda: switched.words("Pod", "strict", "switched").get("name-an-owner/owner") == "pass",
        "Kyverno reports the fix in the group of before",
    )
    switched.recount("openreports is off again")
    assert not fails(switched)
