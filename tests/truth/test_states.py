"""Each surface in each state, by real HTTP and the real command; docs/states.md is this table.

UPDATE_GOLDENS=1 writes the page.
"""

import json
import os
import re
import subprocess
import time
from contextlib import AsyncExitStack
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import urlopen

import pytest

from exporter.model.resource import POLICY_REPORTS
from exporter.simulator import Store
from exporter.snapshot.options import REPORT_FORMS
from tests.apiserver import Simulator
from tests.app.commands import ROOT, Command, words
from tests.app.conftest import Beside
from tests.app.reloads import alertmanager
from tests.app.running import parse
from tests.kube.kubeconfigs import kubeconfig
from tests.scenarios.judge import standing
from tests.tools import eventually, free_port, tool
from tests.truth.states import STATES, State, gone

pytestmark = pytest.mark.tier("monitoring")

PAGE = ROOT / "docs" / "states.md"
TONES = {"live": "good", "partial": "wait", "no report api": "wait"}


class InState(Beside):
    """An API server in a state, and an Alertmanager, in a thread of their own."""

    def __init__(self, directory: Path, state: State) -> None:
        self._state = state
        self._stack = AsyncExitStack()
        super().__init__(directory)

    async def _start(self) -> None:
        store = Store(time.time)
        self._state.fill(store)
        self.api = Simulator(store)
        await self.api.start()
        self._state.prepare(self.api)
        self.alertmanager = await self._stack.enter_async_context(alertmanager())

    def close(self) -> None:
        self.run(self._stack.aclose())
        super().close()


class Seen(NamedTuple):
    """What every surface shows."""

    ready: tuple[int, str]
    page: str
    chip: str
    status: dict[str, Any]
    metrics: str
    log: str
    gate: tuple[int, str, str]
    document: dict[str, Any] | None
    outputs: dict[str, str]
    alerts: set[str]
    pushed: set[str]
    resolved: set[str]


def written(path: Path) -> str:
    """Read an output without what escapes text in its form; nothing if there is none."""
    text = unquote(path.read_text()) if path.exists() else ""
    return unescape(unescape(text)).replace('\\"', '"').replace('""', '"')


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def snapshot(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words("snapshot", *arguments),
        cwd=directory,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def look(directory: Path, state: State) -> Seen:
    """Bring a cluster into a state, look at every surface, and leave."""
    beside = InState(directory, state)
    config = directory / "config.yaml"
    config.write_text(
        f"alerting: {{interval: 1, alertmanagers: [{{url: {beside.alertmanager.url}}}]}}\n"
        f"{state.config}"
    )
    server = f"http://127.0.0.1:{free_port()}" if state.prepare is gone else beside.api.url
    access = f"--kubeconfig={kubeconfig(directory, server, {'token': 't'})}"
    common = (access, f"--config.file={config}", "--cluster=prod")
    command = Command(directory, "serve", *common, *state.flags, ready="/metrics")
    lost = False
    try:
        with command:
            if state.lose:
                eventually(lambda: get(f"{command.url}/-/ready")[0] == 200)
                beside.run(beside.api.stop())
                lost = True
            url = f"{command.url}/api/v1/status"
            wanted = state.connection
            eventually(
                lambda: json.loads(get(url)[1])["overview"]["connection"]["state"] == wanted,
                within=60,
                what=f"connection.state {wanted}",
            )
            time.sleep(1.2)  # the log looks once a second
            page = get(command.url)[1]
            gate = snapshot(directory, *common, "--fail-on=fail", *state.gate_flags)
            outputs = [f"--output={form}={directory / form}" for form in REPORT_FORMS]
            made = snapshot(directory, *common, "--output=json", *outputs, *state.gate_flags)
            metrics = get(f"{command.url}/metrics")[1]
            pushed = beside.alertmanager.told
            return Seen(
                ready=get(f"{command.url}/-/ready"),
                page=unescape(re.sub(r"<[^>]+>", "", page)),
                chip=re.findall(r'id="state" class="chip (\w+)"', page)[0],
                status=json.loads(get(url)[1])["overview"],
                metrics=metrics,
                log=command.log,
                gate=(gate.returncode, gate.stdout, gate.stderr),
                document=json.loads(made.stdout) if made.stdout else None,
                outputs={form: written(directory / form) for form in REPORT_FORMS},
                alerts={each.name for each in standing(parse(metrics), tool("promtool"))},
                pushed={each.labels["alertname"] for each in pushed if each.fires},
                resolved={each.labels["alertname"] for each in pushed if not each.fires},
            )
    finally:
        if lost:
            beside.run(beside.api.start())
        beside.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.number)
def test_every_surface_reports_the_state(state: State, tmp_path: Path) -> None:
    seen = look(tmp_path, state)
    for cell in CELLS:
        cell(state, seen)


def the_page_reports_the_state_and_its_reason(state: State, seen: Seen) -> None:
    for text in state.page:
        assert text in seen.page
    assert seen.chip == TONES.get(state.connection, "bad")
    assert "prod" in seen.page


def nothing_is_counted_that_is_not_known(state: State, seen: Seen) -> None:
    numbers = ("reports", "resources", "results", "compliance", "namespaces", "policies")
    known = [name for name in numbers if seen.status[name] is not None]
    if state.counted:
        assert "results" in known
    else:
        assert known == []
        assert " % " not in seen.page
        assert "failing checks" not in seen.page
        assert "No failing" not in seen.page


def nothing_is_fine_beside_a_lost_connection(state: State, seen: Seen) -> None:
    if state.connection == "lost":
        assert seen.status["connection"]["as_of"] > 0
        assert 'class="chip good"' not in seen.page
    if state.connection != "live":
        assert not re.search(r"No failing checks in \d", seen.page)
        assert seen.status["connection"]["message"]


def readiness_has_its_reason(state: State, seen: Seen) -> None:
    assert seen.ready[0] == state.ready
    assert state.readiness in seen.ready[1]


UP = {"unreachable": 0, "refused": 0, "lost": 0, "live": 1, "partial": 1}


def metrics_have_whether_reports_are_watched(state: State, seen: Seen) -> None:
    series = f'policyreport_exporter_watch_up{{resource="{POLICY_REPORTS.name}"}}'
    lines = [line for line in seen.metrics.splitlines() if line.startswith(series)]
    up = UP.get(state.connection)
    assert lines == ([] if up is None else [f"{series} {up}"])


def metrics_have_what_is_left_out(state: State, seen: Seen) -> None:
    for text in state.metrics:
        assert text in seen.metrics
    if not state.counted:
        assert "\npolicyreport_results{" not in seen.metrics


def the_log_has_one_line_for_it(state: State, seen: Seen) -> None:
    lines = [line for line in seen.log.splitlines() if state.log in line]
    assert len(lines) == 1 if state.log else True, seen.log
    if not state.counted:
        assert "first sync of reports is complete" not in seen.log
    if not (state.log or state.lose):
        assert not re.search("level=(warn|error)", seen.log), seen.log


def the_gate_fails_closed_with_its_reason(state: State, seen: Seen) -> None:
    status, shown, said = seen.gate
    assert status == state.gate, said
    assert not [text for text in state.snapshot if text not in shown], shown
    assert state.reason in said
    assert "Traceback" not in said


def the_table_counts_nothing_that_is_not_known(state: State, seen: Seen) -> None:
    _, shown, _ = seen.gate
    if seen.document is None:
        assert shown == ""
        return
    assert not [text for text in seen.document["problems"] if text not in shown]
    share = re.search(r"(\d+\.\d) % of \d+ checks? compl", shown)
    assert bool(share) == (seen.document["compliance"] is not None)


def every_output_reports_why_it_is_incomplete(state: State, seen: Seen) -> None:
    problems = seen.document["problems"] if seen.document else [state.reason]
    assert bool(problems) == (state.gate in {2, 3})
    for form, text in seen.outputs.items():
        assert not [problem for problem in problems if problem not in text], form


def the_documents_of_page_and_snapshot_agree(state: State, seen: Seen) -> None:
    if (
        seen.document is None
        or seen.document["compliance"] is None
        or state.gate_flags != state.flags
    ):
        return
    assert seen.document["compliance"] == seen.status["compliance"]
    assert seen.document["results"] == seen.status["results"]
    assert seen.document["cluster"] == seen.status["cluster"] == "prod"


def the_rules_fire_for_what_is_wrong(state: State, seen: Seen) -> None:
    assert seen.alerts == set(state.alerts)


def what_is_pushed_is_known_and_never_resolved_by_a_loss(state: State, seen: Seen) -> None:
    assert seen.pushed == set(state.pushed)
    assert seen.resolved == set()


CELLS = (
    the_page_reports_the_state_and_its_reason,
    nothing_is_counted_that_is_not_known,
    nothing_is_fine_beside_a_lost_connection,
    readiness_has_its_reason,
    metrics_have_whether_reports_are_watched,
    metrics_have_what_is_left_out,
    the_log_has_one_line_for_it,
    the_gate_fails_closed_with_its_reason,
    the_table_counts_nothing_that_is_not_known,
    every_output_reports_why_it_is_incomplete,
    the_documents_of_page_and_snapshot_agree,
    the_rules_fire_for_what_is_wrong,
    what_is_pushed_is_known_and_never_resolved_by_a_loss,
)


HEAD = """\
# What is reported in every state

This table shows what the status page, the metrics, the command `snapshot` and the alerts report in
each state of the cluster. A value that is not known is never shown as 0 or as compliant. The tests
create each state and check it over HTTP and with the real command; `UPDATE_GOLDENS=1 pytest
tests/truth` writes this page.

The column "page and `/api/v1`" shows the colour of the page, `connection.state` of the API, and
texts of the page. The column "numbers" shows which numbers both contain.

The column "alerts" lists the alerts of the rules after the state has lasted for two hours, and the
alerts that the exporter pushes. A lost connection resolves no pushed alert.

The column "`--fail-on fail`" shows the exit status and the message of `snapshot`:

- 0: nothing fails.
- 1: something fails.
- 2: nothing was evaluated. `--allow-empty` accepts this if there are no reports, or none of a
  counted source.
- 3: the cluster could not be reached, or not everything could be read.

"""


def table() -> str:
    rows = ["| state | page and `/api/v1` | numbers | `/-/ready` | `--fail-on fail` | alerts |"]
    rows.append("|---|---|---|---|---|---|")
    for each in STATES:
        tone = {"good": "green", "wait": "yellow", "bad": "red"}
        texts = [f"{tone[TONES.get(each.connection, 'bad')]}, `{each.connection}`"]
        texts += [f'"{text.strip()}"' for text in each.page]
        numbers = "those before the loss" if each.lose else "yes" if each.counted else "none"
        gate = f"{each.gate}" + (f': "{each.reason}"' if each.reason else "")
        alerts = ", ".join((*each.alerts, *(f"pushed: {name}" for name in each.pushed)))
        rows.append(
            f"| {each.title} | {'; '.join(texts)} | {numbers} | {each.ready} | {gate} "
            f"| {alerts or 'none'} |"
        )
    return "\n".join(rows) + "\n"


def test_the_page_of_the_docs_is_this_table() -> None:
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(HEAD + table())
    assert PAGE.read_text() == HEAD + table()
