"""Requests that Kyverno judges: each answer of the API server against what the exporter counts."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kyverno.api import Object
from tests.kyverno.objects import config_map, generated, pod, secret, service, workload
from tests.kyverno.refusals import refusal
from tests.kyverno.series import EVENTS, FAILING
from tests.kyverno.world import World

pytestmark = [pytest.mark.tier("kyverno"), pytest.mark.xdist_group("kyverno")]

STAGE = {"stage": "test"}
OWNER = {"owner": "me"}
NAMESPACE: Object = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "forbidden-1"},
}
KEYED, UNKEYED = "127.0.0.1:2/app:1", "127.0.0.1:1/app:1"

REFUSED = [
    ("a Pod", pod("strict", "net-1", hostNetwork=True), "no-host-network/host-network"),
    (
        "a workload, by the rule made for it",
        workload("Deployment", "strict", "net-2", hostNetwork=True),
        "no-host-network/autogen-host-network",
    ),
    (
        "a name that the API server completes",
        generated(pod("strict", "net-3", hostNetwork=True)),
        "no-host-network/host-network",
    ),
    (
        "a policy that audits with one rule and enforces with another",
        secret("strict", "tmp-1"),
        "two-minds/no-temporary-names",
    ),
    ("no override here", service("strict", "bare"), "lenient-somewhere/note"),
    (
        "a policy of the namespace",
        config_map("strict", "tmp-1", labels=OWNER),
        "own-rules/no-temporary-names",
    ),
    ("a cluster-wide resource", NAMESPACE, "namespace-names/no-forbidden-names"),
    (
        "an error of a rule that enforces",
        config_map("strict", "look-1", labels=OWNER),
        "broken-and-strict/look-up",
    ),
    (
        "a policy in CEL",
        workload("Deployment", "cel", "many", replicas=6, labels=STAGE),
        "few-replicas/",
    ),
    (
        "a policy in CEL, beside one that audits",
        workload("Deployment", "cel", "many-more", replicas=7),
        "few-replicas/",
    ),
    (
        "an error of a policy in CEL",
        config_map("cel", "deny-1", a="1"),
        "error-denies/",
    ),
    (
        "a policy in CEL of the namespace",
        config_map("cel", "three", a="1", b="2", c="3"),
        "two-keys/",
    ),
    ("an image without signature", pod("images", "keyed", image=KEYED), "signed-by-key/signature"),
    (
        "an image without signature, by a policy in CEL",
        pod("images", "unkeyed", image=UNKEYED),
        "signed-by-cosign/",
    ),
]


@pytest.mark.parametrize(
    ("asked", "verdicts"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_a_refused_request_is_counted_as_blocked(
    world: World, asked: Object, verdicts: str
) -> None:
    answer = world.create(asked)
    assert answer.refused
    found = refusal(answer)
    assert {f"{each.policy}/{each.rule}" for each in found.verdicts} == set(verdicts.split())
    world.recount(f"{asked['kind']} refused by {verdicts}")


def test_a_dry_run_that_is_refused_counts_as_any_other(world: World) -> None:
    before = world.shown(EVENTS, policy="no-host-network", outcome="blocked")
    assert world.create(pod("strict", "dry", hostNetwork=True), dry_run=True).refused
    world.until(
        lambda: world.shown(EVENTS, policy="no-host-network", outcome="blocked") == before + 1,
        "one more is blocked",
    )
    world.recount("a dry run")


def test_a_dry_run_that_is_admitted_leaves_an_allowed_violation_and_no_report(
    world: World,
) -> None:
    assert not world.create(pod("strict", "dry-too"), dry_run=True).refused
    world.recount("an admitted dry run")


def test_an_update_is_judged_as_a_creation_is(world: World) -> None:
    fine = pod("strict", "changing", labels=OWNER)
    assert not world.create(fine).refused
    deployment = workload("Deployment", "cel", "growing", labels=STAGE)
    assert not world.create(deployment).refused
    assert world.patch(deployment, {"spec": {"replicas": 9}}).refused
    assert world.patch(deployment, {"spec": {"replicas": 8}}, dry_run=True).refused
    assert not world.patch(deployment, {"spec": {"replicas": 2}}).refused
    world.recount("updates")


def test_a_delete_is_judged_too(world: World) -> None:
    kept = config_map("strict", "keep-1", labels=OWNER)
    assert not world.create(kept).refused
    assert world.delete(kept).refused
    world.recount("a delete")


def test_a_controllers_retries_are_all_counted(world: World) -> None:
    """Sixty Pods that a ReplicaSet keeps asking for, eight at a time."""
    asked = [generated(pod("strict", "storm", hostNetwork=True)) for _ in range(60)]
    before = world.shown(EVENTS, namespace="strict", kind="Pod", outcome="blocked")
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.refused for answer in pool.map(world.create, asked))
    world.until(
        lambda: (
            world.shown(EVENTS, namespace="strict", kind="Pod", outcome="blocked") == before + 60
        ),
        "sixty more are blocked",
    )
    world.recount("retries")


ADMITTED = [
    ("audit", pod("strict", "no-owner"), "name-an-owner"),
    ("audit of a workload", workload("Deployment", "strict", "no-owner-too"), "name-an-owner"),
    ("a rule without a score", pod("strict", "no-team", labels=OWNER), "suggest-a-team"),
    ("an override", service("lenient", "bare"), "lenient-somewhere"),
    ("the auditing rule of a mixed policy", secret("strict", "plain"), "two-minds"),
    ("an error of a rule that audits", config_map("lenient", "look-1"), "broken-and-lenient"),
    ("a policy of the namespace", config_map("strict", "no-owner"), "strict/own-rules"),
    ("a policy in CEL", workload("Deployment", "cel", "no-stage"), "name-the-stage"),
    ("an error of a policy in CEL", config_map("cel", "audit-1", a="1"), "error-audits"),
    ("a warning", service("cel", "bare", labels=OWNER), "warn-of-latest"),
]


@pytest.mark.parametrize(
    ("asked", "policy"), [each[1:] for each in ADMITTED], ids=[each[0] for each in ADMITTED]
)
def test_a_violation_that_is_admitted_counts_as_allowed(
    world: World, asked: Object, policy: str
) -> None:
    before = world.shown(EVENTS, policy=policy, outcome="allowed", controller="admission")
    assert not world.create(asked).refused
    world.until(
        lambda: (
            world.shown(EVENTS, policy=policy, outcome="allowed", controller="admission") > before
        ),
        f"{policy} allows one more",
    )
    world.recount(f"{policy} allows {asked['kind']}")


def test_what_a_policy_warns_of_is_in_the_answer(world: World) -> None:
    answer = world.create(service("cel", "warned"))
    assert any("warn-of-latest" in warning for warning in answer.warnings), answer.warnings
    assert any("audit-and-warn" in warning for warning in answer.warnings), answer.warnings
    world.recount("warnings")


EXCEPTED = [
    (
        "of a rule",
        pod("strict", "agent-1", hostNetwork=True, labels={**OWNER, "team": "a"}),
        "no-host-network/host-network",
    ),
    (
        "of a policy in CEL",
        workload("Deployment", "cel", "big-1", replicas=9, labels=STAGE),
        "few-replicas/exception",
    ),
]


@pytest.mark.parametrize(
    ("asked", "check"), [each[1:] for each in EXCEPTED], ids=[each[0] for each in EXCEPTED]
)
def test_an_exception_is_a_skip_in_reports_and_no_violation(
    world: World, asked: Object, check: str
) -> None:
    assert not world.create(asked).refused
    meta = asked["metadata"]
    where = (asked["kind"], meta["namespace"], meta["name"])
    world.until(lambda: world.words(*where).get(check) == "skip", f"{where} is excepted")
    world.recount(f"{check} is excepted")
    assert not world.shown(FAILING, namespace=meta["namespace"], name=meta["name"])
