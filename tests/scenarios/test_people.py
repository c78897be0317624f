"""The simulated Alertmanager does what a real one does with the same alerts."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from alerts.build import HERE as ALERTS
from tests.scenarios import rows
from tests.scenarios.judge import Fired
from tests.scenarios.lived import EXAMPLE, STACK, about, town
from tests.scenarios.people import Configuration, mutes, routes
from tests.servers import alertmanager
from tests.tools import eventually, fetch, tool

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]

MOMENTS = [rows.AT - 60, rows.AT + 3, rows.AT + 8, rows.AT + 40, rows.AT + 300]
NOT_ROUTED = {"cluster", "instance", "namespace", "policy"}
FILES = {
    "example": (EXAMPLE, ALERTS / "alertmanager.example.yml"),
    "stack": (STACK, rows.HERE / "kube-prometheus-stack.yml"),
}


def fired() -> list[Fired]:
    """Return the alerts of every row."""
    return [
        *town("plain").fired,
        *(each for row in rows.ABOUT_EXPORTERS for each in about("plain", row).fired),
    ]


def firing(minute: int) -> list[Fired]:
    return [each for each in fired() if each.start <= minute < each.end]


def bare(path: Path) -> str:
    """Return a configuration without integrations and templates: nothing is sent."""
    config = yaml.safe_load(path.read_text())
    config.pop("templates", None)
    config["receivers"] = [{"name": each["name"]} for each in config["receivers"]]
    return yaml.safe_dump(config)


@pytest.mark.parametrize("name", [*FILES])
def test_alerts_go_where_amtool_sends_them(name: str) -> None:
    config, path = FILES[name]
    kinds = {
        tuple(sorted((k, v) for k, v in each.labels.items() if k not in NOT_ROUTED)): each
        for each in fired()
    }
    for alert in kinds.values():
        wanted = ",".join(route.receiver for route in routes(config, alert.labels))
        command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={path}"]
        labels = [f"{key}={value}" for key, value in alert.labels.items()]
        done = subprocess.run(
            [*command, f"--verify.receivers={wanted}", *labels],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("minute", MOMENTS)
@pytest.mark.parametrize("name", [*FILES])
def test_alerts_are_muted_where_a_real_alertmanager_mutes_them(name: str, minute: int) -> None:
    config, path = FILES[name]
    now = firing(minute)
    wanted = muted(config, now)
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    posted = [{"labels": each.labels, "endsAt": end} for each in now]
    with alertmanager(bare(path)) as manager:
        fetch(f"{manager.url}/api/v2/alerts", post=msgspec.json.encode(posted))
        eventually(
            lambda: (
                len(held := manager.alerts()) == len(now)
                and {_key(each.labels) for each in held if each.status.state == "suppressed"}
                == wanted
            ),
            what=f"Alertmanager mutes {wanted}",
        )


def muted(config: Configuration, now: list[Fired]) -> set[tuple[tuple[str, str], ...]]:
    return {_key(target.labels) for target, _ in mutes(config, now)}


def _key(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
