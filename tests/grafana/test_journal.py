"""The dashboard for Loki asks what docs/journal.md asks, and no other dashboard needs Loki."""

import json
import re

import pytest

from grafana import classic
from grafana.build import optional
from grafana.classic import Panel
from tests.grafana.boards import FILES, ROOT

(TEXT,) = optional().values()
BOARD = classic.read(json.loads(TEXT))
PAGE = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"```logql\n(.*?)```", PAGE, re.DOTALL)
# What a reader chose, and what a query of the page chooses as an example.
CHOICE = re.compile(
    r', cluster=~"\$cluster"| \| (?:namespace|policy|namespace_labels_\$owner)=~"[^"]+"'
)
EXAMPLE = re.compile(r' \| (?:namespace|resource_name|mode|former_mode)!?="[^"]+"')
panels = pytest.mark.parametrize("panel", [*BOARD.all_panels()], ids=lambda panel: panel.title)


def bare(query: str) -> str:
    """Return a query's selector and parser, without line breaks and choices."""
    joined = re.sub(r"\s+", " ", query).replace("( ", "(").strip()
    joined = re.sub(r"\[[^]]+\]", "[WINDOW]", joined)
    return EXAMPLE.sub("", CHOICE.sub("", joined)).partition(" | line_format")[0]


@panels
def test_each_query_is_one_that_the_page_documents(panel: Panel) -> None:
    known = {bare(query) for query in DOCUMENTED}
    assert {bare(target.expr) for target in panel.targets} <= known


@panels
def test_each_panel_asks_the_chosen_loki_and_keeps_the_choices(panel: Panel) -> None:
    sources = [panel.datasource, *(target.datasource for target in panel.targets)]
    assert {(s["type"], s["uid"]) for s in sources} == {("loki", "${loki}")}
    for target in panel.targets:
        assert 'cluster=~"$cluster"' in target.expr
        of_a_resource = "request_" in target.expr or "failure_" in target.expr
        assert ('| namespace=~"$namespace"' in target.expr) == of_a_resource


def test_it_can_be_chosen_which_loki_is_asked() -> None:
    found = {v.name: (v.type, v.query) for v in BOARD.templating.list}
    assert found["loki"] == ("datasource", "loki")
    assert {"cluster", "team", "namespace", "policy"} <= found.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_default_dashboard_has_no_panel_and_no_data_source_of_loki(name: str) -> None:
    assert "loki" not in FILES[name].lower()
