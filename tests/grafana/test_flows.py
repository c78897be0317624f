"""New and blocked over a range are exact over replacement, replicas, two jobs and shards."""

import subprocess
from pathlib import Path

import pytest

from grafana.dashboards.promql import OPENED, VIOLATED
from tests.grafana.boards import ROOT
from tests.tools import tool

HERE = Path(__file__).parent


@pytest.mark.tier("monitoring")
@pytest.mark.parametrize("program", ["promtool", "promtool3"])
def test_what_happened_is_counted_once(program: str, tmp_path: Path) -> None:
    text = (HERE / "flows.yaml").read_text(encoding="utf-8")
    blocked = f'{VIOLATED}{{outcome="blocked"}}'
    text = text.replace("RULES", str(ROOT / "alerts/recording.rules.yaml"))
    cases = tmp_path / "flows.yaml"
    cases.write_text(text.replace("BLOCKED", blocked).replace("OPENED", OPENED), encoding="utf-8")
    argv = [str(tool(program)), "test", "rules", str(cases)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
