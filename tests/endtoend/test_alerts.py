"""From a violation in a cluster to the people who hear of it, with every real part between."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter.simulator.checks import BASELINE, REGISTRIES, SIGNATURES
from tests.app.commands import Command, serving
from tests.endtoend.inbox import ROOT, Inbox, inbox
from tests.endtoend.town import Town, town
from tests.servers import Alert, Alertmanager, alertmanager, prometheus
from tests.tools import eventually

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]

KEEP_SECONDS = 10
DOWN = "PolicyExporterDown"
# Prometheus drops what it would tell before it knows its Alertmanagers, and repeats it then.
RESEND = ("--rules.alert.resend-delay=3s",)
PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["*.rules.yaml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: policy-report-exporter
    honor_labels: true
    static_configs: [{{targets: ["{exporter}"]}}]
"""
EXPORTER = """
labels: {namespace_labels: [team]}
birth_hold: 2
checkpoint_interval: 0.5
"""
PUSHING = """
alerting:
  interval: 5
  resolve_delay: 1
  alertmanagers: [{{url: "{0}"}}, {{url: "{1}"}}]
"""
# The policies of the town are as new as the test: what fails is not for that.
VALUES = "block_window_seconds: 4\nchange_settles_seconds: 0\n"


class Parts(NamedTuple):
    """Everything between a cluster and its people."""

    town: Town
    inbox: Inbox
    exporter: Command
    alertmanager: Alertmanager


def rules(directory: Path) -> dict[str, str]:
    """Build the rules with our own values; a second stands for their minutes."""
    (directory / "values.yaml").write_text(VALUES)
    argv = [sys.executable, "-m", "alerts.build", "--values", str(directory / "values.yaml")]
    subprocess.run([*argv, "--output", str(directory)], cwd=ROOT, check=True)
    names = ("recording.rules.yaml", "alerts.rules.yaml")
    return {name: hurried((directory / name).read_text()) for name in names}


def hurried(text: str) -> str:
    text = re.sub(r"\b(interval|for): \w+", r"\1: 1s", text)
    text = re.sub(r"\bkeep_firing_for: \w+", f"keep_firing_for: {KEEP_SECONDS}s", text)
    text = text.replace("[2d:30m]", "[5m:1s]").replace("offset 30m", "offset 15s")
    # A failure of less than an hour is one of an hour here: it need not stay away for long.
    return text.replace("new_failures:bool[1h]) > 5", "new_failures:bool[1h]) > 100000")


@contextmanager
def exporting(here: Town, directory: Path, config: str) -> Iterator[Command]:
    (directory / "exporter.yaml").write_text(config)
    arguments = ("--config.file=exporter.yaml", "--state.dir=.")
    with serving(directory, here.url, *arguments) as exporter:
        yield exporter


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with ExitStack() as stack:
        here, told = stack.enter_context(town()), stack.enter_context(inbox())
        here.fail("catalog", "old-debt", BASELINE)
        directory = tmp_path_factory.mktemp("exporter")
        manager = stack.enter_context(alertmanager(told.configuration()))
        exporter = stack.enter_context(exporting(here, directory, EXPORTER))
        addresses = {
            "alertmanager": manager.url.removeprefix("http://"),
            "exporter": exporter.url.removeprefix("http://"),
        }
        files = rules(tmp_path_factory.mktemp("rules"))
        config = PROMETHEUS.format(**addresses)
        server = stack.enter_context(prometheus(config, files=files, flags=RESEND))
        # Before the first scrape there is no exporter; that alert has to be over.
        eventually(
            lambda: (
                server.query("policyreport_reports")
                and not any(each.labels["alertname"] == DOWN for each in server.alerts())
                and alert(manager, alertname=DOWN) is None
            ),
            what="all is well",
        )
        told.notes.clear()
        yield Parts(here, told, exporter, manager)


def alert(manager: Alertmanager, **labels: str) -> Alert | None:
    """Find an alert that Alertmanager holds."""
    found = [each for each in manager.alerts() if labels.items() <= each.labels.items()]
    assert len(found) <= 1, found
    return found[0] if found else None


def current(manager: Alertmanager, state: str = "active", **labels: str) -> Alert:
    """Wait until Alertmanager holds an alert in this state."""

    def look() -> Alert | None:
        found = alert(manager, **labels)
        return found if found is not None and found.status.state == state else None

    return eventually(look, what=f"{labels} is {state}")


def test_a_new_violation_pages_its_team_and_resolves_after_the_fix(parts: Parts) -> None:
    mine = {"alertname": "PolicyNewCriticalViolation", "namespace": "payments"}
    parts.town.fail("payments", "api", SIGNATURES)
    told = parts.inbox.hears("firing", "shop-page", **mine)
    assert told.labels["policy"] == SIGNATURES.policy
    assert told.labels["team"] == "shop"
    assert told.labels["severity"] == "critical"
    assert SIGNATURES.policy in told.annotations["summary"]
    assert parts.inbox.hears("firing", "security-chat", **mine).starts_at == told.starts_at
    assert not parts.inbox.told("resolved", **mine)
    parts.town.fail("payments", "api")
    parts.inbox.hears("resolved", "shop-page", **mine)
    assert len(parts.inbox.told("firing", "shop-page", **mine)) == 1
    for name in ("PolicyNewViolation", "PolicyNewCriticalViolation"):
        debt = {"alertname": name, "namespace": "catalog"}
        assert not parts.inbox.told("firing", **debt), "what failed before is no news"


def test_one_block_in_kube_system_is_a_notice_to_the_platform_and_nobody_else(
    parts: Parts,
) -> None:
    mine = {"namespace": "kube-system", "policy": BASELINE.policy}
    blocks = {"alertname": "PolicyRequestBlocked", **mine}
    parts.town.block("kube-system", "node-debugger")
    assert parts.inbox.hears("firing", "platform-chat", **blocks).labels["severity"] == "notice"
    parts.inbox.hears("resolved", "platform-chat", **blocks)
    assert len(parts.inbox.told("firing", "platform-chat", **mine)) == 1
    assert len(parts.inbox.told("firing", **mine)) == 1


def test_a_block_elsewhere_is_a_notice_to_its_team(parts: Parts) -> None:
    mine = {"alertname": "PolicyRequestBlocked", "namespace": "carts"}
    parts.town.block("carts", "nginx", REGISTRIES)
    assert parts.inbox.hears("firing", "shop-chat", **mine).labels["severity"] == "notice"
    assert not parts.inbox.told("firing", "platform-page", namespace="carts")


def test_without_an_exporter_its_end_is_told_and_what_it_said_is_muted(parts: Parts) -> None:
    mine = {"alertname": "PolicyNewViolation", "namespace": "carts"}
    down = {"alertname": DOWN}
    parts.town.fail("carts", "web", BASELINE)
    parts.inbox.hears("firing", "shop-chat", **mine)
    parts.exporter.kill()
    try:
        told = parts.inbox.hears("firing", "platform-page", **down)
        assert told.labels["severity"] == "critical"
        source = current(parts.alertmanager, **down)
        muted = current(parts.alertmanager, "suppressed", **mine)
        assert muted.status.inhibited_by == [source.fingerprint]
    finally:
        parts.exporter.start()
    parts.inbox.hears("resolved", "platform-page", **down)


class Pushed(NamedTuple):
    """An exporter that pushes to two Alertmanagers, each with its own people."""

    town: Town
    exporter: Command
    managers: tuple[Alertmanager, Alertmanager]
    inboxes: tuple[Inbox, Inbox]


@pytest.fixture(scope="module")
def pushed(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    with ExitStack() as stack:
        one, other = stack.enter_context(inbox()), stack.enter_context(inbox())
        first = stack.enter_context(alertmanager(one.configuration()))
        second = stack.enter_context(alertmanager(other.configuration()))
        config = EXPORTER + PUSHING.format(first.url, second.url)
        directory = tmp_path_factory.mktemp("pushing")
        exporter = stack.enter_context(exporting(parts.town, directory, config))
        yield Pushed(parts.town, exporter, (first, second), (one, other))


def test_of_two_alertmanagers_one_may_be_down_for_a_while(pushed: Pushed) -> None:
    up, away = pushed.managers
    mine = {"alertname": "PolicyViolation", "namespace": "catalog"}
    stays, comes = {**mine, "policy": BASELINE.policy}, {**mine, "policy": REGISTRIES.policy}
    for manager in pushed.managers:
        current(manager, **stays)
    away.process.stop()
    pushed.town.fail("catalog", "old-debt", BASELINE, REGISTRIES)
    soon = current(up, **comes)
    assert soon.annotations["resources"] == "Deployment/old-debt"
    assert "Unknown Image registry" in soon.annotations["message"]
    away.process.start()
    late = current(away, **comes)
    assert (late.labels, late.starts_at) == (soon.labels, soon.starts_at)
    for box in pushed.inboxes:
        box.hears("firing", "shop-chat", **comes)
        assert not box.told("resolved", **stays), "nothing ends that stands"
    pushed.town.fail("catalog", "old-debt", BASELINE)
    for box in pushed.inboxes:
        box.hears("resolved", "shop-chat", **comes)


def test_a_restart_of_the_exporter_is_no_new_incident(pushed: Pushed) -> None:
    violation = {"alertname": "PolicyViolation", "namespace": "payments"}
    block = {"alertname": "PolicyBlocked", "namespace": "payments"}
    manager, box = pushed.managers[0], pushed.inboxes[0]
    pushed.town.fail("payments", "ledger", SIGNATURES)
    pushed.town.block("payments", "nginx")
    before = [current(manager, **labels) for labels in (violation, block)]
    for labels in (violation, block):
        box.hears("firing", "shop-page" if labels is violation else "shop-chat", **labels)
    # From now on nothing but the state file knows since when it fails.
    eventually(lambda: time.time() > before[0].starts_at.timestamp() + 1)
    pushed.town.rescan()
    pushed.exporter.stop()
    pushed.exporter.start()
    began = time.time()
    eventually(
        lambda: all(each.updated_at.timestamp() > began for each in manager.alerts()),
        what="all is told again",
    )
    # People are told within a second or not at all: this comes later than what would be news.
    pushed.town.block("carts", "later")
    box.hears("firing", "shop-chat", alertname="PolicyBlocked", namespace="carts")
    for old in before:
        new = alert(manager, **old.labels)
        assert new is not None
        assert abs((new.starts_at - old.starts_at).total_seconds()) < 0.01
        assert {t.starts_at for t in box.told("firing", **old.labels)} == {old.starts_at}
        assert not box.told("resolved", **old.labels)
