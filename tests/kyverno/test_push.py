"""Alerts of a real Kyverno's failures in a real Alertmanager, until each is over."""

from typing import NamedTuple

import pytest

from tests.kyverno import recount
from tests.kyverno.exposed import Exporter
from tests.kyverno.objects import pod
from tests.kyverno.series import rule_label
from tests.kyverno.world import World
from tests.servers import Alertmanager, alertmanager
from tests.tools import eventually

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

ROUTE = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
# Alerts that nobody ends would stay four intervals, four minutes; these are ended at once.
ALERTING = {"interval": 60, "resolve_delay": 1, "blocks": {"hold": 15}}
WITHIN_SECONDS = 60.0


class Check(NamedTuple):
    """What an alert is about."""

    namespace: str
    policy: str
    rule: str


def named(receiver: Alertmanager, name: str) -> set[Check]:
    """Return namespace, policy and rule of the alerts of this name that are active."""
    return {
        Check(*(each.labels.get(label, "") for label in Check._fields))
        for each in receiver.alerts()
        if each.labels["alertname"] == name
    }


def failing(world: World) -> set[Check]:
    """Return namespace, policy and rule of every failure in the reports."""
    return {
        Check(
            each["scope"].get("namespace", ""),
            result["policy"],
            rule_label(result.get("rule", "")),
        )
        for each in recount.counted(recount.read(world.api).reports)
        for result in each["results"]
        if result["result"] == "fail"
    }


def test_alerts_are_those_of_what_fails_and_resolve_when_it_is_over(world: World) -> None:
    wrong = pod("lenient", "alerted", hostNetwork=True)
    check = Check("lenient", "alerted-about", "network")
    assert not world.create(wrong).refused
    with alertmanager(ROUTE) as receiver:
        flag = f"--alertmanager.url={receiver.url}"
        home = world.plane.directory / "pushing"
        with Exporter(home, world.plane.kubeconfig, flag, alerting=ALERTING):
            fires(receiver, "PolicyViolation", check)
            eventually(
                lambda: named(receiver, "PolicyViolation") == failing(world),
                within=WITHIN_SECONDS,
                what="every failure has its alert, and nothing else has",
            )
            assert not world.delete(wrong).refused
            ends(receiver, "PolicyViolation", check)


def test_a_block_is_an_alert_for_a_while(world: World) -> None:
    check = Check("strict", "no-host-network", "host-network")
    with alertmanager(ROUTE) as receiver:
        flag = f"--alertmanager.url={receiver.url}"
        home = world.plane.directory / "pushing-blocks"
        with Exporter(home, world.plane.kubeconfig, flag, alerting=ALERTING):
            assert world.create(pod("strict", "alerted", hostNetwork=True)).refused
            fires(receiver, "PolicyBlocked", check)
            ends(receiver, "PolicyBlocked", check)


def fires(receiver: Alertmanager, name: str, check: Check) -> None:
    """Wait until Alertmanager holds an alert."""
    eventually(lambda: check in named(receiver, name), within=WITHIN_SECONDS, what=f"{check} fires")


def ends(receiver: Alertmanager, name: str, check: Check) -> None:
    """Wait until Alertmanager holds it no more."""
    eventually(
        lambda: check not in named(receiver, name), within=WITHIN_SECONDS, what=f"{check} ends"
    )
