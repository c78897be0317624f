"""Attacks of which the end is only seen after minutes, against the real command."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.errors import MAX_RETRY_AFTER_SECONDS
from exporter.kube.exec_plugin import EXEC_SECONDS
from exporter.model.resource import POLICY_REPORTS
from exporter.simulator.checks import BASELINE
from tests.apiserver.faults import Answer
from tests.app.commands import Command, serving
from tests.endtoend.town import town
from tests.hostile.tenants import (
    MB,
    MOST_BYTES,
    OTHER,
    Alertmanager,
    Liveness,
    Target,
    alertmanager,
    peak_bytes,
)
from tests.hostile.test_outside import HANGING, groups, plugged
from tests.hostile.test_tenants import CONFIG
from tests.tools import eventually, is_alive

pytestmark = [pytest.mark.tier("simulator"), pytest.mark.slow]

FOR_EVER = {"Retry-After": "99999999"}
DEMO_SECONDS = 30
"""Five hours of its life."""


def test_a_server_that_asks_to_be_left_alone_for_three_years_is_asked_again_after_five_minutes(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        here, manager = stack.enter_context(town()), stack.enter_context(alertmanager())
        here.api.faults.add(Answer(429, headers=FOR_EVER), POLICY_REPORTS.name, "list", times=1)
        manager.status, manager.headers = 429, FOR_EVER
        (tmp_path / "config.yaml").write_text(CONFIG.format(manager.url))
        command = stack.enter_context(serving(tmp_path, here.url, "--config.file=config.yaml"))
        target = Target(here, command, manager)
        here.fail(OTHER, "web", BASELINE)
        here.block(OTHER, "api")
        eventually(lambda: manager.refused, within=60, what="a refused delivery")
        manager.status, manager.headers = 200, {}
        stack.enter_context(Liveness(command))
        patience = MAX_RETRY_AFTER_SECONDS * 1.1 + 60
        eventually(lambda: _heard(manager), within=patience, every=1, what="both alerts")
        assert manager.refused < 3
        target.until("policyreport_results", 1, namespace=OTHER, result="fail")


def _heard(manager: Alertmanager) -> bool:
    wanted = {("PolicyViolation", OTHER), ("PolicyBlocked", OTHER)}
    return wanted <= {key[:2] for key in manager.fired}


def test_a_plugin_that_hangs_is_killed_with_its_children_after_a_minute(tmp_path: Path) -> None:
    with town() as here, plugged(here, tmp_path, HANGING) as command:
        group = eventually(lambda: groups(tmp_path), within=60, what="the plugin")[0]
        assert is_alive(group)
        with Liveness(command) as liveness:
            within = EXEC_SECONDS + 30
            eventually(lambda: not is_alive(group), within=within, every=1, what="its end")
        assert liveness.worst < 0.5
        complaint = f"ran longer than {EXEC_SECONDS:.0f} seconds"
        eventually(lambda: complaint in command.log, within=60, what=complaint)


def test_the_demo_at_600_times_the_speed_of_life_stays_small(tmp_path: Path) -> None:
    with Command(tmp_path, "demo", "--demo.speed=600") as demo:
        marks = list[int]()
        for _ in range(3):
            time.sleep(DEMO_SECONDS)
            assert demo.scrape()
            marks.append(peak_bytes(demo))
    assert marks[-1] - marks[-2] < 10 * MB, marks
    assert marks[-1] < MOST_BYTES / 2, marks
