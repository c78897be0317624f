"""What people get in each row of the table: who, when, how often, until when."""

from collections.abc import Iterator

import pytest

from tests.scenarios.lived import NEWS, STACK, Lived, about, town
from tests.scenarios.people import mutes
from tests.scenarios.rows import AT, FLEET, HOUR, SMALL, VARIANTS, asked

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]
each_variant = pytest.mark.parametrize("variant", [*VARIANTS])


def in_variants(row: str) -> pytest.MarkDecorator:
    """Ask about a row in each variant that may change what becomes of it."""
    variants = [variant for variant in VARIANTS if row in asked(variant)]
    return pytest.mark.parametrize("variant", variants)


TEAMS = {"shop-page", "shop-chat"}
PROMPT = 10
"""Minutes within which a person should hear."""


def whole(lived: Lived, **labels: str | set[str]) -> tuple[int, int]:
    """Return the start and end of the only alert, in minutes after what was described."""
    (alert,) = lived.alerts(**labels)
    return alert.start - AT, alert.end - AT


@each_variant
def test_a_new_critical_violation_pages_within_minutes_and_ends_with_the_fix(variant: str) -> None:
    start, end = whole(town(variant), policy="new")
    assert 5 <= start <= PROMPT
    assert 2 * HOUR <= end <= 2 * HOUR + 15


@each_variant
def test_a_violation_that_stands_is_never_resolved(variant: str) -> None:
    lived = town(variant)
    start, end = whole(lived, policy="stands", name=NEWS)
    assert start <= PROMPT
    assert end > lived.until - AT
    assert not any(message.resolved for message in lived.messages(policy="stands"))


@each_variant
@pytest.mark.parametrize("policy", ["medium", "unrated"])
def test_a_new_violation_of_lesser_severity_is_a_notice_within_minutes(
    variant: str, policy: str
) -> None:
    lived = town(variant)
    (alert,) = lived.alerts(policy=policy)
    assert alert.labels["severity"] == "notice"
    assert alert.start - AT < PROMPT
    for config in (None, STACK):
        first = (
            lived.messages(policy=policy)
            if config is None
            else lived.messages(config, policy=policy)
        )[0]
        assert first.minute - AT <= PROMPT


@each_variant
def test_a_failure_that_flaps_is_told_twice_at_most(variant: str) -> None:
    start, end = whole(town(variant), policy="flaps")
    assert start <= PROMPT
    assert end > 7 * HOUR + 20
    pages = [m for m in town(variant).messages(policy="flaps") if m.minute <= AT + 8 * HOUR]
    for receiver in {page.receiver for page in pages}:
        assert sum(page.receiver == receiver for page in pages) <= 2


@each_variant
@pytest.mark.parametrize(("policy", "namespaces"), [("fleet", FLEET), ("small", SMALL)])
def test_a_changed_policy_is_told_to_its_owner_and_pages_no_team(
    variant: str, policy: str, namespaces: list[str]
) -> None:
    lived = town(variant)
    (alert,) = lived.alerts(policy=policy)
    assert (alert.name, alert.labels["owner"]) == ("PolicyFailingAfterChange", "policy")
    assert alert.labels["severity"] == "notice"
    assert alert.start - AT <= PROMPT
    heard = lived.messages(policy=policy)
    assert len([message for message in heard if message.receiver == "policy-chat"]) == 1
    assert len([message for message in heard if message.receiver in TEAMS]) <= 1


@each_variant
def test_a_changed_label_of_a_namespace_is_no_news(variant: str) -> None:
    """What fires already is handed over to the new team; nothing else fires."""
    found = town(variant).alerts(namespace={"relabelled", "late-label"})
    after = [alert for alert in found if alert.start >= AT - HOUR]
    assert {(alert.name, alert.labels["severity"]) for alert in after} <= {
        ("PolicyViolationOverdue", "notice")
    }
    assert town(variant).alerts(policy="relabelled", name="PolicyBlockSpike") == []


@each_variant
@pytest.mark.parametrize("namespace", ["kube-system", "monitoring", "person"])
def test_a_person_who_is_blocked_once_is_a_notice(variant: str, namespace: str) -> None:
    (alert,) = town(variant).alerts(policy=f"once-{namespace}")
    assert (alert.name, alert.labels["severity"]) == ("PolicyRequestBlocked", "notice")
    owner = "team" if namespace == "person" else "platform"
    assert alert.labels["owner"] == owner
    assert alert.start - AT <= 2
    assert alert.end - AT < HOUR


@each_variant
def test_a_replicaset_that_is_refused_again_and_again_is_a_warning_until_it_ends(
    variant: str,
) -> None:
    lived = town(variant)
    start, end = whole(lived, namespace="retries", name="PolicyBlocksWorkload")
    assert start <= 25
    assert end >= 72
    assert lived.alerts(namespace="retries", severity="critical") == []


@each_variant
def test_in_a_system_namespace_it_pages_the_platform_within_ten_minutes(variant: str) -> None:
    lived = town(variant)
    (alert,) = lived.alerts(namespace="cattle-system", severity="critical")
    assert alert.labels["owner"] == "platform"
    assert alert.start - AT <= PROMPT
    assert alert.end - AT >= 72
    assert lived.alerts(namespace="cattle-system", name="PolicyBlocksWorkload") == []


@each_variant
def test_a_deployment_that_gitops_cannot_apply_is_a_warning_to_its_team(variant: str) -> None:
    (alert,) = town(variant).alerts(namespace="gitops", severity="warning")
    assert alert.labels["owner"] == "team"
    assert alert.start - AT <= HOUR
    assert alert.end - AT >= 3 * HOUR


@each_variant
def test_rollouts_nightly_jobs_and_ci_are_silent(variant: str) -> None:
    found = town(variant).alerts(policy={"debt", "builds", "old-name"})
    assert {alert.name for alert in found} <= {"PolicyViolationOverdue"}


@each_variant
def test_a_renamed_policy_is_told_once_to_its_owner(variant: str) -> None:
    names = [alert.name for alert in town(variant).alerts(policy={"old-name", "new-name"})]
    assert names == ["PolicyFailingAfterChange"]


@in_variants("fresh")
def test_the_first_hours_know_no_spike_and_no_news_of_old_failures(variant: str) -> None:
    names = {alert.name for alert in about(variant, "fresh").alerts()}
    assert names <= {"PolicyRequestBlocked", "PolicyBlocksWorkload"}


@in_variants("upgrade")
def test_an_upgrade_of_the_api_server_pages_nobody(variant: str) -> None:
    found = about(variant, "upgrade").alerts()
    assert [
        alert for alert in found if alert.start >= AT and alert.name != "PolicyViolationOverdue"
    ] == []


@in_variants("stuck")
def test_a_watch_that_stays_broken_pages_after_a_quarter_of_an_hour(variant: str) -> None:
    found = about(variant, "stuck").alerts(name="PolicyExporterWatchBroken", severity="critical")
    assert {alert.start - AT for alert in found} == {15}
    assert all(alert.end > AT + 4 * HOUR for alert in found)


@in_variants("scaled")
def test_shards_that_are_scaled_down_on_purpose_are_no_loss(variant: str) -> None:
    assert since(about(variant, "scaled")) == set()


@in_variants("lost")
def test_a_lost_shard_is_a_warning_until_it_is_back(variant: str) -> None:
    (alert,) = about(variant, "lost").alerts(name="PolicyExporterShardMissing")
    assert 20 <= alert.start - AT <= 25
    assert alert.end > AT + 4 * HOUR
    assert since(about(variant, "lost")) == {"PolicyExporterShardMissing"}


def since(lived: Lived) -> set[str]:
    """Return the names of alerts that began, or ended, after what was described."""
    edges = [a for a in lived.alerts() if a.start >= AT or a.end <= lived.until]
    return {alert.name for alert in edges}


@pytest.mark.parametrize(
    ("variant", "pod"),
    [
        (variant, pod)
        for pod in ("replaced", "replaced_with_state")
        for variant in VARIANTS
        if pod in asked(variant)
    ],
)
def test_the_ages_of_failures_survive_a_new_pod(variant: str, pod: str) -> None:
    lived = about(variant, pod)
    overdue = lived.alerts(policy="old", name="PolicyViolationOverdue")
    assert len(overdue) == 4
    assert all(alert.start < AT and alert.end > lived.until for alert in overdue)
    assert since(lived) == set()


@in_variants("crashes")
def test_a_crash_loop_is_a_warning_within_a_quarter_of_an_hour(variant: str) -> None:
    found = about(variant, "crashes").alerts(name="PolicyExporterRestarting")
    assert found[0].start - AT <= 15
    assert found[0].labels["severity"] == "warning"


@in_variants("kyverno")
def test_kyverno_that_is_down_is_told_within_ten_minutes(variant: str) -> None:
    found = about(variant, "kyverno").alerts(name="KyvernoDown")
    assert {alert.labels["severity"] for alert in found} == {"critical", "notice"}
    assert all(alert.start - AT <= PROMPT for alert in found)


@in_variants("weakened")
def test_what_was_weakened_while_the_exporter_was_away_is_told_when_it_is_back(
    variant: str,
) -> None:
    (alert,) = about(variant, "weakened").alerts(name="PolicyEnforcementWeakened")
    assert alert.labels["policy"] == "weakened"
    assert 3 * HOUR <= alert.start - AT <= 3 * HOUR + PROMPT


@in_variants("down")
def test_without_an_exporter_one_alert_fires_and_no_other_is_resolved(variant: str) -> None:
    lived = about(variant, "down")
    assert since(lived) == {"PolicyExporterDown"}
    start, end = whole(lived, name="PolicyExporterDown")
    assert start <= 11
    assert end > lived.until - AT


@in_variants("burst")
def test_forty_blocks_in_ten_minutes_are_told_once(variant: str) -> None:
    found = about(variant, "burst").alerts(policy="burst", name="PolicyBlockSpike")
    assert len(found) == 1
    assert found[0].start - AT <= 20


def every(variant: str) -> Iterator[Lived]:
    """Yield what became of each row that is judged in a variant."""
    yield town(variant)
    for row in asked(variant):
        yield about(variant, row)


@each_variant
def test_kube_prometheus_stack_hides_no_notice(variant: str) -> None:
    """What its configuration mutes is of severity info, or InfoInhibitor itself."""
    muted = [target for lived in every(variant) for target, _ in mutes(STACK, lived.fired)]
    assert {target.labels["severity"] for target in muted} <= {"info", "none"}


@each_variant
def test_each_notice_reaches_people_through_kube_prometheus_stack_within_minutes(
    variant: str,
) -> None:
    for lived in every(variant):
        heard = lived.told(STACK)
        for alert in lived.alerts():
            if alert.end - alert.start > PROMPT:
                times = [message.minute for message in heard if alert in message.firing]
                assert times, alert
                assert times[0] - alert.start <= 6, alert
