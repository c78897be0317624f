"""A real Prometheus scrapes the demo, evaluates the rules, and answers every query."""

import math
import re
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import msgspec
import pytest

from alerts.build import read_values, rule_files
from grafana.classic import Dashboard, Panel, Target
from grafana.dashboards.variables import COUNTS
from grafana.render.queries import Client, Series, Window, filled, values
from tests.grafana.boards import BOARDS, ROOT, label_values, targets
from tests.servers import Prometheus, prometheus
from tests.tools import Process, decode, eventually, fetch, free_port, own_directory

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]

FIVE_MINUTES = 300.0
SERIES_BUDGET = 2_000
SAMPLES_BUDGET = 400_000

# A few seconds stand for minutes: scrapes, rules and the hold of new counters are faster here.
PROMETHEUS = """
global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: ["*.rules.yaml"]
scrape_configs:
  - job_name: policy-report-exporter
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: demo
clusters: [{{name: demo, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: demo, user: {{}}}}]
contexts: [{{name: demo, context: {{cluster: demo, user: demo}}}}]
"""
# Where nothing is right, and why. The reference letter is that of the query.
FOREIGN = ("kyverno_admission_", "kyverno_controller_", "apiserver_admission_")
EMPTY = {
    ("policy-exporter", 501, "A"): "the demo sends to no Alertmanager",
    ("policy-exporter", 501, "B"): "the demo sends to no Alertmanager",
    ("policy-exporter", 501, "C"): "the demo sends to no Alertmanager",
}
# What a demo of a few minutes may lack: a history, alerts, requests after the first scrape.
LATER = ("api_request_duration_seconds_bucket", "offset 1w", "offset $__range)", "ALERTS{")
# An enforced policy is enforced, whatever namespace is chosen.
UNSCOPED = {("policy-policy", 201, "C")}
WITHOUT_VALUES = {"cluster": "only where Prometheus or remote write adds the label"}

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


class Mode(NamedTuple):
    """A way to run the exporter: its configuration, the owner label, and what it cannot know."""

    config: str
    owner: str = "team"
    lacking: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    namespace: str = ""


RESULTS = (
    "policyreport_results",
    "policyreport_failures_",
    "policyreport_oldest_failure_",
    "policyreport_newest_result_",
    "policyreport_resource_results",
    "policyreport_failing_workloads",
)
OWNED = "labels: {namespace_labels: [team, env]}\nbirth_hold: 3\n"
MODES = {
    "default values": Mode("birth_hold: 3\n", unused=("team",)),
    "another owner label": Mode("labels: {namespace_labels: [env]}\nbirth_hold: 3\n", "env"),
    "policies not watched": Mode(
        OWNED + "policies: {watch: false}\n", lacking=("policyreport_policy_",)
    ),
    # Policies and the Events about them are outside of the namespace.
    "one namespace": Mode(
        "birth_hold: 3\n",
        lacking=("policyreport_policy_", "policyviolation_"),
        unused=("team",),
        namespace="payments",
    ),
    "summaries": Mode(
        OWNED + "reports: {detail: summary}\n",
        lacking=RESULTS,
        unused=("severity", "source"),
    ),
}


class Monitored(NamedTuple):
    """A demo, and the Prometheus that scrapes it."""

    demo: Process
    server: Prometheus
    began: float
    mode: Mode

    def ask(self, target: Target, names: dict[str, str]) -> list[Series]:
        # Not in the panel's own steps, which may be longer than the demo has run.
        window = Window(time.time(), FIVE_MINUTES, 5.0, 2.0)
        return Client(self.server.url).ask(target, names, window)

    def names(self, board: Dashboard) -> dict[str, str]:
        """Return the variables as they are on opening; the chart sets the owner label."""
        names = values(list(board.templating.list), {})
        return names | ({"owner": self.mode.owner} if "owner" in names else {})


def rules(owner: str) -> dict[str, str]:
    """Return the rule files with an owner label, evaluated every two seconds."""
    texts = rule_files(read_values(ROOT / "alerts/values.yaml") | {"ownership_labels": owner})
    quick = r"\1: 2s"
    return {
        name: re.sub(r"\b(interval|for): \w+", quick, text).replace("offset 1m", "offset 2s")
        for name, text in texts.items()
    }


@pytest.fixture(scope="module")
def monitored() -> Iterator[Monitored]:
    with monitoring(Mode(OWNED)) as found:
        yield found


@contextmanager
def monitoring(mode: Mode) -> Iterator[Monitored]:
    """Run the demo in a mode, and a Prometheus whose rules know its owner label."""
    port, api = free_port(), free_port()
    argv = [sys.executable, "-m", "exporter"]
    demo = [*argv, "demo", "--demo.api-address", f"127.0.0.1:{api}", "--demo.speed", "60"]
    files = {"exporter.yaml": mode.config, "kubeconfig": KUBECONFIG.format(port=api)}
    with ExitStack() as stack:
        home = stack.enter_context(own_directory(files))

        def run(argv: list[str], port: int) -> Process:
            common = ["--web.listen-address", f"127.0.0.1:{port}", "--config.file"]
            ready = f"http://127.0.0.1:{port}/-/ready"
            argv = [*argv, *common, str(home / "exporter.yaml"), "--state.dir", f"{home}/{port}"]
            started = Process(argv, cwd=home, ready=ready, env={"PYTHONPATH": str(ROOT)})
            return stack.enter_context(started)

        began = time.monotonic()
        exporter = run([*demo, "--demo.seed", "1"], free_port() if mode.namespace else port)
        if mode.namespace:
            serve = ["serve", "--kubeconfig", f"{home}/kubeconfig", "--namespace", mode.namespace]
            exporter = run([*argv, *serve], port)
        config = PROMETHEUS.format(port=port)
        server = stack.enter_context(prometheus(config, files=rules(mode.owner)))
        yield Monitored(exporter, server, began, mode)


def key(board: Dashboard, panel: Panel, target: Target) -> tuple[str, int, str]:
    return board.uid, panel.id, target.ref_id


def empty(monitored: Monitored, board: Dashboard) -> list[tuple[str, int, str]]:
    """Return the queries without an answer that should have one."""
    names = monitored.names(board)
    return [
        key(board, panel, target)
        for panel, target in targets(board)
        if not excused(monitored.mode, board, panel, target) and not monitored.ask(target, names)
    ]


def excused(mode: Mode, board: Dashboard, panel: Panel, target: Target) -> bool:
    """Say whether a query may be empty: what it asks of is not there, or not yet."""
    wanting = (*FOREIGN, *mode.lacking, *LATER)
    asked = target.expr.replace("$count", COUNTS["Workloads"])
    return key(board, panel, target) in EMPTY or any(word in asked for word in wanting)


@boards
def test_every_query_returns_data_within_five_minutes(
    monitored: Monitored, board: Dashboard
) -> None:
    left = FIVE_MINUTES - (time.monotonic() - monitored.began)
    eventually(
        lambda: not empty(monitored, board),
        within=max(left, 1.0),
        what=f"{board.uid} has an answer to every query: {empty(monitored, board)}",
    )


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_dashboards_show_data_however_the_exporter_runs(mode: Mode) -> None:
    with monitoring(mode) as monitored:
        deadline = monitored.began + FIVE_MINUTES
        while left := [place for board in BOARDS.values() for place in empty(monitored, board)]:
            assert time.monotonic() < deadline, left
        unused = {*WITHOUT_VALUES, *mode.unused}
        for board in BOARDS.values():
            for variable in board.templating.list:
                if variable.type == "query":
                    offered = choices(monitored, board, variable.name)
                    assert bool(offered) != (variable.name in unused), variable.name


def test_what_is_listed_as_empty_is_a_query_and_is_empty(monitored: Monitored) -> None:
    found = {
        key(board, panel, target): monitored.ask(target, monitored.names(board))
        for board in BOARDS.values()
        for panel, target in targets(board)
    }
    assert EMPTY.keys() <= found.keys()
    assert [place for place in EMPTY if found[place]] == []


@boards
def test_every_variable_offers_values(monitored: Monitored, board: Dashboard) -> None:
    for variable in board.templating.list:
        if variable.type == "query":
            offered = choices(monitored, board, variable.name)
            assert bool(offered) != (variable.name in WITHOUT_VALUES), variable.name


def choices(monitored: Monitored, board: Dashboard, name: str) -> list[str]:
    """Return what a variable offers."""
    (variable,) = [v for v in board.templating.list if v.name == name]
    selector, label = label_values(variable)
    label = monitored.mode.owner if variable.name == "team" else label
    window = Window(time.time(), FIVE_MINUTES, 5.0, 2.0)
    expr = f"group by ({label}) ({filled(selector, monitored.names(board), window)})"
    found = {sample.metric.get(label, "") for sample in monitored.server.query(expr)}
    return sorted(found - {""})


@boards
def test_every_query_returns_data_for_some_single_value_of_each_variable(
    monitored: Monitored, board: Dashboard
) -> None:
    silent = []
    for variable in board.templating.list:
        if variable.type != "query" or variable.name in WITHOUT_VALUES:
            continue
        offered = choices(monitored, board, variable.name)
        for panel, target in targets(board):
            unsure = excused(monitored.mode, board, panel, target)
            if unsure or f"${variable.name}" not in target.expr:
                continue
            named = ({**monitored.names(board), variable.name: value} for value in offered)
            if not any(monitored.ask(target, names) for names in named):
                silent.append((panel.title, target.ref_id, variable.name))
    assert silent == []


@boards
def test_a_single_value_narrows_the_answer(monitored: Monitored, board: Dashboard) -> None:
    """A variable that a query names and ignores would be a lie."""
    for variable in board.templating.list:
        for panel, target in targets(board):
            if key(board, panel, target) in UNSCOPED:
                continue
            if variable.type == "query" and f"${variable.name}" in target.expr:
                names = {**monitored.names(board), variable.name: "no-such-thing"}
                assert zero(monitored.ask(target, names)), (panel.title, variable.name)


def zero(answer: list[Series]) -> bool:
    """Say whether there is nothing but zeros; a share of nothing is nothing."""
    return all(value == 0 for series in answer for _, value in series.points)


@boards
def test_no_query_is_expensive(monitored: Monitored, board: Dashboard) -> None:
    for panel, target in targets(board):
        assert len(monitored.ask(target, monitored.names(board))) <= SERIES_BUDGET, panel.title
        assert samples(monitored, board, target) <= SAMPLES_BUDGET, panel.title


class _Samples(msgspec.Struct, rename="camel"):
    total_queryable_samples: int


class _Statistics(msgspec.Struct):
    samples: _Samples


class _Data(msgspec.Struct):
    stats: _Statistics


class _Answer(msgspec.Struct):
    data: _Data


def samples(monitored: Monitored, board: Dashboard, target: Target) -> int:
    """Return how many samples Prometheus read, for an hour in 240 steps where it is a trend."""
    window = Window(time.time(), 3600.0, 15.0, 1.0)
    parameters = {"query": filled(target.expr, monitored.names(board), window), "stats": "all"}
    path = "query"
    if not target.instant:
        path = "query_range"
        start = window.end - window.seconds
        parameters |= {"start": f"{start}", "end": f"{window.end}", "step": f"{window.step}"}
    url = f"{monitored.server.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    return decode(fetch(url), _Answer).data.stats.samples.total_queryable_samples


def test_compliance_equals_the_recorded_ratio(monitored: Monitored) -> None:
    """The dashboards and the alerts mean the same by compliance."""
    (panel,) = [p for p in BOARDS["policy-overview.json"].all_panels() if p.title == "Compliance"]
    board = BOARDS["policy-overview.json"]

    def agree() -> bool:
        (live,) = monitored.ask(panel.targets[0], monitored.names(board))
        recorded = monitored.server.value("cluster:policyreport_compliance:ratio")
        return recorded is not None and math.isclose(live.points[0][1], recorded)

    eventually(agree, within=30, what="the live ratio equals the recorded one")


def test_headline_numbers_say_no_data_once_the_exporter_is_gone(monitored: Monitored) -> None:
    """Runs last: it stops the demo. Range functions outlive their target, the numbers must not."""
    stats = [
        (board, panel)
        for board in BOARDS.values()
        for panel in board.all_panels()
        if panel.type == "stat"
    ]
    assert len(stats) == 48
    eventually(
        lambda: all(answered(monitored, board, panel) for board, panel in stats),
        within=60,
        what="every headline number has a value",
    )
    monitored.demo.stop()
    eventually(
        lambda: monitored.server.value("up") == 0, within=30, what="Prometheus misses the exporter"
    )

    def still() -> list[str]:
        return [panel.title for board, panel in stats if answered(monitored, board, panel)]

    # The one that has to notice; rules take one more evaluation.
    eventually(lambda: still() == ["Clusters silent"], within=30, what=f"no data but in {still()}")


def answered(monitored: Monitored, board: Dashboard, panel: Panel) -> bool:
    (target,) = panel.targets
    return bool(monitored.ask(target, monitored.names(board)))
