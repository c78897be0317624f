"""serve as a command: ready, reloaded, stopped, and what it says when it cannot start."""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest

from exporter import __version__
from exporter.app.serve import Stop
from exporter.cli import main
from exporter.simulator.checks import BASELINE
from exporter.simulator.kyverno import ReportTarget
from tests.apiserver.faults import Hang
from tests.app.commands import serving
from tests.app.conftest import WITHIN_SECONDS, Beside, Served
from tests.app.running import EVENTS_TOTAL, Samples, recount, self_metrics, summaries, total
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import eventually, free_port

pytestmark = pytest.mark.tier("simulator")

Run = Callable[..., int]


def test_it_serves_the_cluster_of_the_kubeconfig(run: Run, beside: Beside) -> None:
    shown: list[Samples] = []
    flags = (f"--kubeconfig={beside.kubeconfig}",)
    status = run("serve", *flags, drive=lambda served: shown.append(served.scrape()))
    assert status == 128 + signal.SIGTERM
    assert summaries(shown[0]) == recount(beside.world)


def test_it_is_the_command_where_none_is_named(
    beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--kubeconfig={beside.kubeconfig}", "--web.listen-address=nowhere"]
    assert main(flags) == 2
    assert "--web.listen-address nowhere: expected HOST:PORT" in capsys.readouterr().err


def test_without_a_state_directory_it_says_what_does_not_count(
    run: Run, beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    run("serve", f"--kubeconfig={beside.kubeconfig}", drive=lambda _: None)
    assert (
        "neither --state.configmap nor --state.dir is set: counters start at 0"
        in capsys.readouterr().err
    )


def test_counters_go_on_after_a_stop(run: Run, beside: Beside, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("birth_hold: 0\ncheckpoint_interval: 0.1\n")
    flags = (
        f"--kubeconfig={beside.kubeconfig}",
        f"--state.dir={tmp_path / 'state'}",
        f"--config.file={config}",
    )

    def block() -> None:
        uid = beside.world.store.uid()
        beside.do(lambda: beside.world.block(BASELINE, ReportTarget("Pod", "orders", "x", uid)))

    def first(served: Served) -> None:
        block()
        served.until(lambda: total(served.scrape(), EVENTS_TOTAL) == 1)

    def second(served: Served) -> None:
        served.until(lambda: total(served.scrape(), EVENTS_TOTAL) == 2)

    assert run("serve", *flags, drive=first) == 143
    block()
    assert run("serve", *flags, drive=second) == 143


def test_it_reads_its_configuration_again_and_keeps_the_old_one_where_that_is_bad(
    run: Run, beside: Beside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("max_series: 1000\n")

    def succeeded(served: Served) -> float | None:
        return self_metrics(served.scrape(), "config_last_reload_successful")

    def drive(served: Served) -> None:
        at = self_metrics(served.scrape(), "config_last_reload_success_timestamp_seconds") or 0
        assert succeeded(served) == 1
        config.write_text("max_serie: 5\n")
        answer = served.ask("/-/reload", "POST")
        assert answer.status == 500
        assert f"{config}:1: max_serie: unknown key, did you mean max_series?" in answer.text
        assert succeeded(served) == 0
        assert served.ask("/-/ready").status == 200
        config.write_text("max_series: 2000\n")
        served.signal(signal.SIGHUP)
        served.until(lambda: succeeded(served) == 1)
        success = "config_last_reload_success_timestamp_seconds"
        served.until(lambda: (self_metrics(served.scrape(), success) or 0) > at)
        assert self_metrics(served.scrape(), "series_limit", family="policyreport_results") == 2000
        config.write_text("{")
        served.signal(signal.SIGHUP)
        served.until(lambda: succeeded(served) == 0)

    flags = (f"--kubeconfig={beside.kubeconfig}", f"--config.file={config}")
    assert run("serve", *flags, drive=drive) == 143
    said = capsys.readouterr().err
    assert said.count("configuration not reloaded, the old one stays active") == 2
    assert said.count("the new configuration is in force") == 1


@pytest.mark.usefixtures("run")  # restores the signal handlers
def test_a_reload_by_hangup_is_not_garbage_collected_while_it_waits() -> None:
    ended: list[str] = []

    async def hang_up() -> list[str]:
        started = asyncio.Event()

        async def reload() -> str | None:
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("reload")
            return None

        Stop().on_hangup(reload)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(WITHIN_SECONDS):
            await started.wait()
        gc.collect()
        return ended.copy()

    assert asyncio.run(hang_up()) == []


def test_with_the_api_server_away_the_last_state_is_served_and_nothing_is_listed_again(
    run: Run, beside: Beside
) -> None:
    pods = "policyreports.wgpolicyk8s.io"
    port = int(beside.api.url.rpartition(":")[2])

    def up(served: Served, value: int) -> bool:
        return self_metrics(served.scrape(), "watch_up", resource=pods) == value

    def drive(served: Served) -> None:
        served.until(lambda: up(served, 1))
        before = summaries(served.scrape())
        beside.run(beside.api.stop())
        served.until(lambda: up(served, 0))
        assert summaries(served.scrape()) == before
        assert served.ask("/livez").status == 200
        assert served.ask("/readyz").status == 200
        beside.run(beside.api.start(port=port))
        served.until(lambda: up(served, 1))
        assert (self_metrics(served.scrape(), "relists_total") or 0) == 0
        assert summaries(served.scrape()) == before

    assert run("serve", f"--kubeconfig={beside.kubeconfig}", drive=drive) == 143


def test_healthcheck_asks_whether_it_is_ready(
    run: Run, beside: Beside, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def drive(served: Served) -> None:
        asked.append(main(["healthcheck", f"--url=http://{served.address}/-/ready"]))
        asked.append(main(["healthcheck", f"--url=http://{served.address}/nothing"]))

    run("serve", f"--kubeconfig={beside.kubeconfig}", drive=drive)
    assert asked == [0, 1]
    assert "ready" in capsys.readouterr().out


NO_QUESTION = {
    "--timeout=0": "--timeout 0: expected seconds, more than 0 and at most 3600",
    "--timeout=soon": "--timeout soon: expected seconds, more than 0 and at most 3600",
}


@pytest.mark.parametrize(("flag", "said"), NO_QUESTION.items())
def test_healthcheck_says_what_it_takes(
    flag: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["healthcheck", flag]) == 2
    assert capsys.readouterr().err == f"policy-report-exporter: {said}\n"


VARIABLES = {
    "DEMO_SPEED": (["demo"], "fast", ""),
    "DEMO_SEED": (["demo"], "x", ""),
    "DEMO_API_ADDRESS": (["demo"], "here", "here"),
    "SNAPSHOT_FAIL_ON": (["snapshot", "x"], "bad", "bad"),
    "SNAPSHOT_OUTPUT": (["snapshot", "x"], "csv=a.csv,paper", "paper: expected one of"),
    "SNAPSHOT_SEVERITY": (["snapshot", "x"], "low,bad", "bad"),
    "SNAPSHOT_RESULT": (["snapshot", "x"], "bad", "bad"),
    "HEALTHCHECK_TIMEOUT": (["healthcheck"], "-1", "-1"),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_the_flags_of_one_command_have_variables_too(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, value, said = VARIABLES[name]
    monkeypatch.setenv(f"POLICY_REPORT_EXPORTER_{name}", value)
    assert main(words) == 2
    assert f": $POLICY_REPORT_EXPORTER_{name} {said}" in capsys.readouterr().err


MISSPELLED = {
    "LOG_LEVL": "LOG_LEVEL",
    "FAIL_ON": "SNAPSHOT_FAIL_ON",
    "SNAPSHOT_FAILON": "SNAPSHOT_FAIL_ON",
}


@pytest.mark.parametrize("name", MISSPELLED)
def test_a_variable_that_is_probably_misspelled_is_refused(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"POLICY_REPORT_EXPORTER_{name}", "x")
    assert main(["metrics"]) == 2
    hint = f"unknown variable, did you mean POLICY_REPORT_EXPORTER_{MISSPELLED[name]}?"
    assert f"$POLICY_REPORT_EXPORTER_{name}: {hint}" in capsys.readouterr().err


SERVICES = ("SERVICE_HOST", "PORT", "PORT_10480_TCP_ADDR", "WEB_SERVICE_PORT_HTTP", "IMAGE_TAG")


@pytest.mark.parametrize("name", SERVICES)
def test_a_variable_of_a_service_or_of_another_program_is_none_of_ours(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"POLICY_REPORT_EXPORTER_{name}", "tcp://10.0.0.1:10480")
    assert main(["metrics"]) == 0
    assert capsys.readouterr().err == ""


MISTYPED = {
    "--count=pods": "--count pods: expected one of workloads, objects",
    "--count=object": "--count object, did you mean objects?",
    "--watch=yes": "--watch takes no value, found 'yes'",
    "--team": "--team: a value is missing, expected LABEL=VALUE",
    "-o": "--output: a value is missing, expected FORM[=FILE]",
}


@pytest.mark.parametrize("argument", MISTYPED)
def test_a_flag_without_a_value_that_it_takes_is_named(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["snapshot", "file", argument])
    assert ended.value.code == 2
    assert f"snapshot: {MISTYPED[argument]}\n" in capsys.readouterr().err


def test_healthcheck_says_no_where_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["healthcheck", "--url=http://127.0.0.1:1/", "--timeout=2"]) == 1
    assert capsys.readouterr().out.startswith("http://127.0.0.1:1/: ")


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/"])
def test_healthcheck_of_no_url_is_a_usage_error(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["healthcheck", f"--url={url}"]) == 2
    assert f"--url {url}: expected http://host:port/path" in capsys.readouterr().err


def test_an_address_in_use_is_named(beside: Beside, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = [f"--kubeconfig={beside.kubeconfig}", f"--web.listen-address={address}"]
        assert main(["serve", *flags]) == 2
    said = capsys.readouterr().err
    reason = "Address already in use; choose another port"
    assert f"--web.listen-address {address}: {reason}" in said


def broken_kubeconfigs(directory: Path) -> dict[str, tuple[list[str], str]]:
    malformed = directory / "malformed"
    malformed.write_text("contexts: {]\n")
    missing = directory / "missing"
    fine = kubeconfig(directory, "http://127.0.0.1:1", {"token": "t"})
    return {
        "no cluster": ([], "no cluster found: "),
        "no such file": ([f"--kubeconfig={missing}"], str(missing)),
        "malformed": ([f"--kubeconfig={malformed}"], str(malformed)),
        "wrong context": ([f"--kubeconfig={fine}", "--context=there"], "there"),
        "no such config": (
            [f"--kubeconfig={fine}", f"--config.file={missing}"],
            f"{missing}: cannot be read: No such file or directory",
        ),
    }


CASES = ("no cluster", "no such file", "malformed", "wrong context", "no such config")


@pytest.mark.parametrize("command", ["serve", "snapshot"])
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_begun_names_what_is_wrong(
    command: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, said = broken_kubeconfigs(tmp_path)[case]
    if command == "serve":
        flags = [*flags, "--web.listen-address=127.0.0.1:0"]
    assert main([command, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("policy-report-exporter: ")
    assert "Traceback" not in error


def test_a_state_directory_that_cannot_be_written_is_said_and_survived(
    run: Run, beside: Beside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    failures: list[float | None] = []

    def drive(served: Served) -> None:
        failures.append(self_metrics(served.scrape(), "checkpoint_failures_total"))

    state = tmp_path / "file" / "state"
    flags = (f"--kubeconfig={beside.kubeconfig}", f"--state.dir={state}")
    assert run("serve", *flags, drive=drive) == 143
    assert (failures[0] or 0) >= 1
    assert f"--state.dir {state}: Not a directory; continuing without" in capsys.readouterr().err


def test_logs_can_be_json(run: Run, beside: Beside, capsys: pytest.CaptureFixture[str]) -> None:
    flags = (f"--kubeconfig={beside.kubeconfig}", "--log.format=json", "--log.level=debug")
    assert run("serve", *flags, drive=lambda _: None) == 143
    said = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith('{"ts": "') for line in said)
    assert any('"msg": "stopping on SIGTERM"' in line for line in said)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (
        0,
        f"policy-report-exporter {__version__}\n",
    )


@pytest.mark.parametrize("words", [["serve", "--colour"], ["served"], ["--nothing"]])
def test_what_is_unknown_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert words[-1] in capsys.readouterr().err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "demo", "snapshot", "check-config", "metrics", "healthcheck"):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert f"usage: policy-report-exporter {command}" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["markdown", "json"])
def test_the_catalogue_is_printed(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", f"--output={output}"]) == 0
    assert "policyviolation_events_total" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["metrics"]) == 0


def test_without_an_api_server_it_lives_is_not_ready_and_stops_at_once(tmp_path: Path) -> None:
    state = f"--state.dir={tmp_path / 'state'}"
    nowhere = f"http://127.0.0.1:{free_port()}"
    serve = serving(tmp_path, nowhere, state)
    with serve:
        assert "# TYPE policyreport_results " not in serve.get(), "unknown is not zero"
        with pytest.raises(HTTPError, match="503"):
            serve.get("/-/ready")
        assert serve.stop() == 143
    assert "Traceback" not in serve.log
    assert "the cluster cannot be identified yet" in serve.log


def test_w40_it_stops_at_once_in_the_middle_of_its_first_list(
    beside: Beside, tmp_path: Path
) -> None:
    beside.do(lambda: beside.api.faults.add(Hang(), verb="list", times=None))
    state = f"--state.dir={tmp_path / 'state'}"
    serve = serving(tmp_path, beside.api.url, state)
    with serve:
        eventually(lambda: beside.api.faults.count(verb="list"), what="a list that hangs")
        before = time.monotonic()
        assert serve.stop() == 143
    assert time.monotonic() - before < 10
    assert "Traceback" not in serve.log
