"""A real Prometheus scrapes the demo, evaluates the rules, and answers every query."""

import math
import re
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from grafana.classic import Dashboard, Panel, Target
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
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["*.rules.yaml"]
scrape_configs:
  - job_name: policy-report-exporter
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
EXPORTER = """
labels: {namespace_labels: [team, env]}
birth_hold: 3
"""

# Where nothing is right, and why. The reference letter is that of the query.
EMPTY = {
    ("policy-enforcement", 501, "A"): "metrics of the API server, which the demo does not have",
    ("policy-enforcement", 502, "A"): "metrics of the API server",
    ("policy-enforcement", 503, "A"): "metrics of the API server",
    ("policy-exporter", 302, "A"): "the demo asked everything before the first scrape",
    ("policy-exporter", 302, "B"): "the demo asked everything before the first scrape",
    ("policy-exporter", 501, "A"): "the demo tells no Alertmanager",
    ("policy-exporter", 501, "B"): "the demo tells no Alertmanager",
    ("policy-exporter", 501, "C"): "the demo tells no Alertmanager",
}
# An enforced policy is enforced, whatever namespace is chosen.
UNSCOPED = {("policy-policy", 201, "C")}
WITHOUT_VALUES = {"cluster": "only where Prometheus or remote write adds the label"}

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


class Monitored(NamedTuple):
    """A demo, and the Prometheus that scrapes it."""

    demo: Process
    server: Prometheus
    began: float

    def ask(self, panel: Panel, target: Target, names: dict[str, str]) -> list[Series]:
        window = Window(time.time(), FIVE_MINUTES, 5.0, 1.0).stepping(panel.interval)
        return Client(self.server.url).ask(target, names, window)


def rules() -> dict[str, str]:
    """Return the rule files, evaluated each second."""
    found = (ROOT / "alerts").glob("*.rules.yaml")
    texts = {path.name: path.read_text(encoding="utf-8") for path in found}
    quick = r"\1: 1s"
    return {n: re.sub(r"\b(interval|for): \w+", quick, text) for n, text in texts.items()}


@pytest.fixture(scope="module")
def monitored() -> Iterator[Monitored]:
    port = free_port()
    address = f"127.0.0.1:{port}"
    argv = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address]
    argv += ["--demo.speed", "60", "--demo.seed", "1"]
    ready = f"http://{address}/-/ready"
    with own_directory({"exporter.yaml": EXPORTER}) as home:
        argv += ["--config.file", str(home / "exporter.yaml"), "--state.dir", str(home)]
        environment = {"PYTHONPATH": str(ROOT)}
        began = time.monotonic()
        with (
            Process(argv, cwd=home, ready=ready, env=environment) as demo,
            prometheus(PROMETHEUS.format(port=port), files=rules()) as server,
        ):
            yield Monitored(demo, server, began)


def names_of(board: Dashboard) -> dict[str, str]:
    return values(list(board.templating.list), {})


def key(board: Dashboard, panel: Panel, target: Target) -> tuple[str, int, str]:
    return board.uid, panel.id, target.ref_id


def empty(monitored: Monitored, board: Dashboard) -> list[tuple[str, int, str]]:
    """Return the queries without an answer that should have one."""
    names = names_of(board)
    every = {key(board, panel, target): (panel, target) for panel, target in targets(board)}
    wanted = {place: query for place, query in every.items() if place not in EMPTY}
    return [place for place, query in wanted.items() if not monitored.ask(*query, names)]


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


def test_what_is_listed_as_empty_is_a_query_and_is_empty(monitored: Monitored) -> None:
    found = {
        key(board, panel, target): monitored.ask(panel, target, names_of(board))
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
    window = Window(time.time(), FIVE_MINUTES, 5.0, 1.0)
    expr = f"group by ({label}) ({filled(selector, names_of(board), window)})"
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
            if key(board, panel, target) in EMPTY or f"${variable.name}" not in target.expr:
                continue
            named = ({**names_of(board), variable.name: value} for value in offered)
            if not any(monitored.ask(panel, target, names) for names in named):
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
                names = {**names_of(board), variable.name: "no-such-thing"}
                assert zero(monitored.ask(panel, target, names)), (panel.title, variable.name)


def zero(answer: list[Series]) -> bool:
    """Say whether there is nothing but zeros; a share of nothing is nothing."""
    return all(value == 0 for series in answer for _, value in series.points)


@boards
def test_no_query_is_expensive(monitored: Monitored, board: Dashboard) -> None:
    for panel, target in targets(board):
        assert len(monitored.ask(panel, target, names_of(board))) <= SERIES_BUDGET, panel.title
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
    parameters = {"query": filled(target.expr, names_of(board), window), "stats": "all"}
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
        (live,) = monitored.ask(panel, panel.targets[0], names_of(board))
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
    assert len(stats) == 40
    eventually(
        lambda: all(answered(monitored, board, panel) for board, panel in stats),
        within=60,
        what="every headline number has a value",
    )
    monitored.demo.stop()
    eventually(
        lambda: monitored.server.value("up") == 0, within=30, what="Prometheus misses the exporter"
    )
    still = [panel.title for board, panel in stats if answered(monitored, board, panel)]
    assert still == []


def answered(monitored: Monitored, board: Dashboard, panel: Panel) -> bool:
    (target,) = panel.targets
    return bool(monitored.ask(panel, target, names_of(board)))
