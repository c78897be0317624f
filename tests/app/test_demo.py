"""The demo as a command: the workshop's cluster, its numbers, its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from exporter.cli import main
from exporter.model.report import RESULTS
from tests.app.commands import ROOT, Command
from tests.app.conftest import Served
from tests.app.running import EVENTS_TOTAL, Samples, summaries, total
from tests.simulator.test_sample import PAGE
from tests.tools import fetch, free_port

pytestmark = pytest.mark.tier("simulator")

Run = Callable[..., int]
WORKSHOP = ("carts", "catalog", "checkout", "default")
STILL = "--demo.speed=0"


def page_sums() -> Counter[tuple[str, str, str]]:
    """Add up the table of the workshop's page by namespace, kind and result."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for line in PAGE.strip().splitlines():
        namespace, _, kind, _, *counts, _ = line.split()
        for word, count in zip(RESULTS, counts, strict=True):
            if int(count):
                sums[namespace, kind, word] += int(count)
    return sums


def workshop_of(samples: Samples) -> Counter[tuple[str, str, str]]:
    return Counter({k: n for k, n in summaries(samples).items() if k[0] in WORKSHOP})


def test_the_pages_own_sums_are_what_it_says() -> None:
    sums = page_sums()
    assert (sums["carts", "ReplicaSet", "pass"], sums["carts", "ReplicaSet", "fail"]) == (9, 3)
    assert (sums["default", "Pod", "pass"], sums["default", "Pod", "fail"]) == (7, 1)
    assert sums["carts", "Deployment", "skip"] == 1


def test_its_summaries_are_the_pages_sums(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[Samples] = []
    status = run("demo", STILL, drive=lambda served: shown.append(served.scrape()))
    assert workshop_of(shown[0]) == page_sums()
    assert total(shown[0], EVENTS_TOTAL) is None, "the first list is history"
    assert status == 128 + signal.SIGTERM
    said = capsys.readouterr()
    assert "/metrics" in said.out
    assert "kubectl --server=http://127.0.0.1:" in said.out
    assert "Traceback" not in said.err


def test_no_log_line_follows_its_addresses_while_all_is_well(tmp_path: Path) -> None:
    with Command(tmp_path, "demo", STILL) as demo:
        demo.stop()
    assert demo.log.rstrip().endswith("Stop with Ctrl-C.")


INTERRUPTED = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp("make", ["make", "--no-print-directory", *sys.argv[1:]])
"""
ENDLESS = """\
#!/bin/sh
trap 'exit 130' INT
echo started
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize("target", ["demo", "run"])
def test_ctrl_c_in_make_looks_like_no_error(target: str, tmp_path: Path) -> None:
    program = tmp_path / "policy-report-exporter"
    program.write_text(ENDLESS)
    program.chmod(0o755)
    words = [sys.executable, "-c", INTERRUPTED, target, f"V={tmp_path}", "RUNTIME="]
    with subprocess.Popen(
        words,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as make:
        assert make.stdout is not None
        assert make.stdout.readline() == "started\n"
        os.killpg(make.pid, signal.SIGINT)
        assert make.communicate(timeout=30)[0] == ""


def test_it_lives(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("birth_hold: 0\n")

    def blocked(served: Served) -> float:
        return total(served.scrape(), EVENTS_TOTAL, outcome="blocked") or 0

    def drive(served: Served) -> None:
        served.until(lambda: blocked(served) > 3)

    assert run("demo", "--demo.speed=30", f"--config.file={config}", drive=drive) == 143


def test_kubectl_finds_the_same_cluster(run: Run) -> None:
    api = f"127.0.0.1:{free_port()}"
    seen: list[bytes] = []

    def drive(served: Served) -> None:
        seen.append(fetch(f"http://{api}/apis/wgpolicyk8s.io/v1alpha2/policyreports?limit=1"))

    run("demo", STILL, f"--demo.api-address={api}", drive=drive)
    assert b'"kind":"PolicyReportList"' in seen[0]


def test_ctrl_c_ends_it_cleanly(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", STILL, drive=lambda _: None, end=signal.SIGINT) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_hangup_does_not_end_it(run: Run) -> None:
    def drive(served: Served) -> None:
        served.signal(signal.SIGHUP)
        time.sleep(0.2)
        assert served.ready()

    assert run("demo", STILL, drive=drive) == 143


def test_a_hangup_reads_its_configuration_again(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("labels: {namespace_labels: [team]}\n")

    def drive(served: Served) -> None:
        assert total(served.scrape(), "policyreport_results", team="payments") is not None
        config.write_text("filters: {namespaces: {include: [payments]}}\n")
        served.signal(signal.SIGHUP)
        results = "policyreport_results"
        served.until(
            lambda: (
                {s.label("namespace") for s in served.scrape() if s.name == results} == {"payments"}
            )
        )

    assert run("demo", STILL, f"--config.file={config}", drive=drive) == 143


MISTAKES = {
    "--demo.speed=fast": "--demo.speed",
    "--demo.speed=-1": "--demo.speed",
    "--demo.speed=inf": "--demo.speed",
    "--demo.speed=nan": "--demo.speed",
    "--demo.seed=x": "--demo.seed",
    "--demo.api-address=here": "--demo.api-address here: expected HOST:PORT",
    "--alertmanager.url=foo": "--alertmanager.url: url: 'foo' is not http://host or https://host",
    "--demo.api-address=:65536": "--demo.api-address :65536: expected HOST:PORT",
}


@pytest.mark.parametrize(("flag", "said"), MISTAKES.items())
def test_a_mistake_is_named(flag: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--web.listen-address=127.0.0.1:0", flag]) == 2
    assert said in capsys.readouterr().err


def test_an_api_address_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    served = Served()
    with socket.create_server(("127.0.0.1", served.port)):
        arguments = ["demo", "--web.listen-address=127.0.0.1:0"]
        assert main([*arguments, f"--demo.api-address={served.address}"]) == 2
    said = capsys.readouterr().err
    assert f"--demo.api-address {served.address}: " in said
    assert said.endswith(": Address already in use; choose another port\n")


def test_w40_a_process_of_it_is_ready_soon_and_no_scrape_is_cut_off_by_its_end(
    tmp_path: Path,
) -> None:
    with Command(tmp_path, "demo", STILL) as demo:
        whole, stop = [], threading.Event()

        def scrape() -> None:
            while not stop.is_set():
                try:
                    answer = urlopen(demo.url + "/metrics", timeout=10)
                except (URLError, ConnectionError):  # nobody takes requests any more
                    return
                with answer:  # what has begun to be answered is answered to its end
                    whole.append(answer.read().endswith(b"\n"))

        thread = threading.Thread(target=scrape)
        thread.start()
        time.sleep(0.3)
        status = demo.stop()
        stop.set()
        thread.join()
    assert whole
    assert all(whole)
    assert status == 143
    assert "Traceback" not in demo.log
