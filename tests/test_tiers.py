"""The tiers: a missing tool skips with a reason, and fails where nothing may be skipped."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import alertmanager, prometheus
from tests.tools import Process, eventually, free_port, tool
from tools import pins

MONITORS = [("prometheus", "alertmanager"), ("prometheus3", "alertmanager31")]
ROOT = Path(__file__).parent.parent

PROBE = """
import pytest

@pytest.mark.tier("chart")
def test_needs_helm():
    pass

def test_skips_itself():
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False
"""


def run_probe(directory: Path, source: str, *, required: bool) -> subprocess.CompletedProcess[str]:
    """Run pytest on ``source`` under the real conftest, on a machine without any tool."""
    (directory / "conftest.py").write_text("from tests.conftest import *\n", encoding="utf-8")
    (directory / "test_probe.py").write_text(source, encoding="utf-8")
    (directory / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT}\nmarkers = tier(name): x\n", encoding="utf-8"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        env={
            "PATH": "",
            "XDG_CACHE_HOME": str(directory),
            "HOME": str(directory),
            "REQUIRE_ALL_TIERS": "1" if required else "",
        },
    )


def test_a_missing_tool_skips_and_says_what_installs_it(tmp_path: Path) -> None:
    done = run_probe(tmp_path, PROBE, required=False)
    assert done.returncode == 0, done.stdout
    assert "the chart tier lacks helm3, helm4" in done.stdout
    assert "make tools ARGS='--tier chart'" in done.stdout
    assert "chart       1 skipped; lacks helm3" in done.stdout
    assert "unit        1 skipped, 1 xfailed" in done.stdout


def test_with_all_tiers_required_every_skip_fails_and_an_xfail_does_not(tmp_path: Path) -> None:
    done = run_probe(tmp_path, PROBE, required=True)
    assert done.returncode == 1
    assert "1 failed, 1 xfailed, 1 error" in done.stdout.splitlines()[-1]
    assert "make tools ARGS='--tier chart' (REQUIRE_ALL_TIERS=1" in done.stdout


def test_a_module_that_skips_itself_fails_too(tmp_path: Path) -> None:
    source = "import pytest\npytest.skip('never', allow_module_level=True)\n"
    assert run_probe(tmp_path, source, required=False).returncode == 5
    done = run_probe(tmp_path, source, required=True)
    assert done.returncode == 2, done.stdout
    assert "never (REQUIRE_ALL_TIERS=1" in done.stdout


def test_an_unknown_tier_is_a_usage_error(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.tier('moon')\ndef test_it(): pass\n"
    done = run_probe(tmp_path, source, required=False)
    assert done.returncode == 4
    assert "tier 'moon', expected one of unit, simulator" in done.stderr + done.stdout


def test_a_pinned_program_goes_before_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    on_path = tmp_path / "kubectl"
    on_path.touch(mode=0o755)
    assert pins.TOOLS["kubectl"].find("kubectl") == on_path
    pinned = pins.TOOLS["kubectl"].cached("kubectl")
    assert pinned is not None
    pinned.parent.mkdir(parents=True)
    pinned.touch(mode=0o755)
    assert tool("kubectl") == pinned


def test_a_tier_does_without_its_extras_but_says_that_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    beside = ("jq", "logrotate", "rsyslogd")
    for program in ("prometheus", "promtool", "prometheus-alertmanager", *beside):
        (tmp_path / program).touch(mode=0o755)
    assert pins.missing("monitoring") == ["amtool"]
    assert {"amtool", "prometheus3"} < set(pins.missing("monitoring", extras=True))


def test_a_tier_upon_another_lacks_what_that_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = pins.missing("kyverno")
    assert {"kyverno", "reports-controller", "background-controller"} < set(lacking)
    assert {"etcd", "kube-apiserver", "kubectl"} < set(lacking)
    assert "kyverno" not in pins.missing("cluster")


def test_controllers_and_manifests_are_of_the_version_that_go_mod_requires() -> None:
    version = pins.required("github.com/kyverno/kyverno", pins.KYVERNO)
    for name in ("kyverno", "reports-controller", "background-controller", "kyverno-cli"):
        cached = pins.TOOLS[name].cached(name)
        assert cached is not None
        assert cached.parent.name == version
    manifests = pins.TOOLS["kyverno-manifests"].cached("kyverno-manifests")
    assert manifests is not None
    assert manifests.parent.name.startswith(f"{version}-")


def test_a_process_is_ready_when_entered_and_gone_afterwards(tmp_path: Path) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with Process(argv, cwd=tmp_path, ready=f"http://127.0.0.1:{port}/") as server:
        assert server.running
        assert "GET / HTTP/1.1" in server.log
    assert not server.running


def test_a_process_that_dies_at_once_is_an_error_that_shows_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    server = Process(argv, cwd=tmp_path, ready="http://127.0.0.1:1/")
    with pytest.raises(AssertionError, match="ended with 1"):
        server.start()
    assert "no such luck" in capsys.readouterr().out


def test_a_failed_test_shows_the_log_of_what_runs_beside_it(tmp_path: Path) -> None:
    source = f"""
import sys
import pytest
from pathlib import Path
from tests.tools import Process

@pytest.fixture(scope="session")
def server():
    script = "import time; print('woe', 6 * 7, flush=True); time.sleep(60)"
    home = Path({str(tmp_path)!r})
    log = home / (Path(sys.executable).name + ".log")
    with Process([sys.executable, "-c", script], cwd=home, ready=log.read_text):
        yield

def test_it(server):
    assert False
"""
    done = run_probe(tmp_path, source, required=False)
    assert "the end of python" in done.stdout, done.stdout
    assert "woe 42" in done.stdout


def test_a_terminated_run_leaves_no_server_behind(tmp_path: Path) -> None:
    source = f"""
import os, signal, sys, time
from pathlib import Path
from tests.tools import Process

def test_it():
    home = Path({str(tmp_path)!r})
    script = "import time; time.sleep(60)"
    with Process([sys.executable, "-c", script], cwd=home, ready=lambda: True) as server:
        (home / "pid").write_text(str(server.pid))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
"""
    assert run_probe(tmp_path, source, required=False).returncode == 143
    assert not Path("/proc", (tmp_path / "pid").read_text(encoding="utf-8")).exists()


def test_what_never_happens_is_waited_for_in_bounded_time() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.1 s: the moon"):
        eventually(lambda: None, within=0.1, what="the moon")


@pytest.mark.tier("monitoring")
@pytest.mark.parametrize("programs", MONITORS, ids="-".join)
def test_a_real_prometheus_scrapes_itself_and_hands_alerts_to_a_real_alertmanager(
    programs: tuple[str, str],
) -> None:
    port = free_port()
    rules = """
groups:
  - name: probe
    rules: [{alert: Up, expr: up == 1, labels: {severity: none}}]
"""
    config = f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
    route = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
    with alertmanager(route, program=programs[1]) as receiver:
        alerting = f"""
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{receiver.url.removeprefix("http://")}"]}}]}}]
"""
        with prometheus(
            config + alerting, files={"rules.yml": rules}, port=port, program=programs[0]
        ) as prom:
            eventually(lambda: prom.value("up{job='self'}") == 1.0, what="up")
            held = eventually(receiver.alerts, what="the alert arrives")
            assert held[0].labels["alertname"] == "Up"
            assert held[0].receivers[0].name == "nobody"
            assert prom.alerts()[0].state == "firing"
            assert prom.targets()[0].health == "up"
            assert prom.rules()[0].rules[0].health == "ok"
            assert len(prom.raw("up", 60)[0].values) >= 1
            now = prom.query("up")[0].value[0]
            assert prom.query_range("up", now - 1, now, 1)[0].metric["job"] == "self"
            prom.reload()
            assert receiver.groups()[0].receiver.name == "nobody"
            assert receiver.metric("alertmanager_alerts_received_total") >= 1
