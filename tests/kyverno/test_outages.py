"""kill -9 of whoever takes part: afterwards everything is counted, and nothing twice."""

import pytest

from tests.kyverno.objects import pod
from tests.kyverno.refusals import refusal
from tests.kyverno.series import EVENTS, FAILING
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

BLOCKED = {"policy": "no-host-network", "outcome": "blocked"}


def until_judged(world: World, name: str) -> None:
    """Ask until Kyverno is the one who refuses."""
    numbers = iter(range(1000))

    def ask() -> bool:
        answer = world.create(pod("strict", f"{name}-{next(numbers)}", hostNetwork=True))
        assert answer.refused
        return refusal(answer).by == "validate"

    world.until(ask, "Kyverno judges again")


def test_an_exporter_that_is_killed_counts_what_happened_meanwhile(world: World) -> None:
    before = world.shown(EVENTS, **BLOCKED)
    world.exporter.kill()
    assert world.create(pod("strict", "unseen", hostNetwork=True)).refused
    world.exporter.start()
    world.until(lambda: world.shown(EVENTS, **BLOCKED) == before + 1, "it is counted")
    world.recount("kill -9 of the exporter")


def test_without_kyverno_nothing_is_admitted_and_nothing_is_counted(world: World) -> None:
    before = world.shown(EVENTS, **BLOCKED)
    world.kyverno.kill()
    answer = world.create(pod("strict", "unjudged", hostNetwork=True))
    assert refusal(answer).by == "unreachable"
    world.recount("kill -9 of Kyverno")
    assert world.shown(EVENTS, **BLOCKED) == before
    world.kyverno.start()
    until_judged(world, "judged")
    world.recount("Kyverno is back")


def test_after_the_api_server_was_killed_reports_and_events_go_on(world: World) -> None:
    failing = world.exporter.scrape()[FAILING]
    world.plane.apiserver.kill()
    world.kyverno.wait_until_over()
    world.start_api_server()
    world.recount("kill -9 of the API server")
    assert world.exporter.scrape()[FAILING] == failing
    world.kyverno.start()
    until_judged(world, "after")
    assert not world.create(pod("strict", "afterwards", labels={"team": "a"})).refused
    world.until(lambda: world.shown(FAILING, name="afterwards"), "new reports are written")
    world.recount("the API server is back, and Kyverno")


def test_all_of_them_at_once(world: World) -> None:
    world.exporter.kill()
    world.kyverno.kill()
    world.plane.apiserver.kill()
    world.start_api_server()
    world.kyverno.start()
    until_judged(world, "reborn")
    world.exporter.start()
    world.recount("kill -9 of everything")
