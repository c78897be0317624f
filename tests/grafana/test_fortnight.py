"""The pictures' fortnight: of real families, and every query of every dashboard has data in it."""

import re
from collections.abc import Iterator

import pytest

from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.self_catalogue import OWN
from grafana.classic import Dashboard, Panel, Target
from grafana.render.queries import Client, range_of, values
from tests.grafana.boards import BOARDS, targets
from tests.servers import Prometheus
from tools.fortnight import END, START, clusters, remembered

SCRAPED = {"cluster", "job", "instance", "team", "le"}
FOREIGN = re.compile(r"(kyverno|process)_")
SERIES = [series for cluster in clusters() for series, _ in cluster.series()]


def test_its_families_have_the_labels_of_the_catalogue() -> None:
    known = {f.name: set(f.labels) for f in CATALOGUE} | {f.full_name: set(f.labels) for f in OWN}
    for series in SERIES:
        family = re.sub(r"_bucket$", "", series.partition("{")[0])
        if not FOREIGN.match(family):
            assert set(re.findall(r'(\w+)="', series)) - SCRAPED <= known[family], series


def test_no_series_stands_in_it_twice() -> None:
    assert len(SERIES) == len(set(SERIES))


def test_counters_never_fall() -> None:
    for cluster in clusters():
        for series, samples in cluster.series():
            if series.partition("{")[0].endswith("_total"):
                numbers = [value for _, value in samples]
                assert numbers == sorted(numbers), series


def test_what_fails_was_mended_at_work_and_nothing_critical_fails_at_its_end() -> None:
    for cluster in clusters():
        for failure in cluster.failures:
            assert failure.begins < failure.ends
            assert failure.policy.severity != "critical"
        assert all(START <= moment <= END for moment, *_ in cluster.blocks)


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with remembered(clusters()) as found:
        yield found


def reason(panel: Panel) -> str:
    """Return why the panel may be empty, in its own words."""
    text = str(panel.fields.defaults.get("noValue", ""))
    return "" if text in {"-", "no data"} else text


@pytest.mark.tier("monitoring")
@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_query_has_data_or_its_panel_says_why_not(
    server: Prometheus, board: Dashboard
) -> None:
    window = range_of(board, END, 60)
    names = values(list(board.templating.list), {"cluster": "prod-eu"})
    if board.uid == "policy-fleet":
        names["cluster"] = ".*"

    def lacks(panel: Panel, target: Target) -> bool:
        return not Client(server.url).ask(target, names, window.stepping(panel.interval))

    found = [
        (panel.title, target.ref_id)
        for panel, target in targets(board)
        if not reason(panel) and lacks(panel, target)
    ]
    assert found == []
