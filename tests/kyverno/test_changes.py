"""Policies that change and make objects: what their reports say is what the exporter shows."""

import pytest

from tests.kyverno.api import Object, place
from tests.kyverno.objects import config_map, secret, service
from tests.kyverno.series import RESULTS
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

MADE: Object = config_map("changes", "for-wants-1")
MORE: Object = config_map("changes", "more")

CHANGED = [
    ("a mutate rule", config_map("changes", "one"), "touched", "yes", "touch", "kyverno"),
    (
        "a policy in CEL",
        service("changes", "one"),
        "zone",
        "eu",
        "add-zone",
        "KyvernoMutatingPolicy",
    ),
]


@pytest.mark.parametrize(
    ("asked", "label", "value", "policy", "source"),
    [each[1:] for each in CHANGED],
    ids=[each[0] for each in CHANGED],
)
def test_a_mutation_is_a_pass_of_its_policy(
    world: World, asked: Object, label: str, value: str, policy: str, source: str
) -> None:
    assert not world.create(asked).refused
    assert world.api.get(place(asked))["metadata"]["labels"][label] == value
    wanted = {"namespace": "changes", "policy": policy, "source": source, "result": "pass"}
    world.until(lambda: world.shown(RESULTS, **wanted), f"{policy} passes")
    world.recount(f"{policy} changes a {asked['kind']}")


GENERATED = [
    ("a generate rule", secret("changes", "wants-1"), MADE, "make-settings", "kyverno"),
    ("a policy in CEL", secret("changes", "any"), MORE, "make-more", "KyvernoGeneratingPolicy"),
]


@pytest.mark.parametrize(
    ("asked", "made", "policy", "source"),
    [each[1:] for each in GENERATED],
    ids=[each[0] for each in GENERATED],
)
def test_what_a_policy_makes_is_a_pass_of_it(
    world: World, asked: Object, made: Object, policy: str, source: str
) -> None:
    assert not world.create(asked).refused
    world.until(lambda: world.api.found(place(made)), f"{policy} makes {made['metadata']['name']}")
    wanted = {"namespace": "changes", "policy": policy, "source": source, "result": "pass"}
    world.until(lambda: world.shown(RESULTS, **wanted), f"{policy} passes")
    world.recount(f"{policy} makes a {made['kind']}")
