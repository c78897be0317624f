"""The committed JSON is what the builders make, and what readers bookmarked stays where it was."""

import json

import pytest

from grafana import classic
from grafana.build import HERE, files, optional, releases
from grafana.dashboards.frame import boards, shared
from tests.grafana.boards import BOARDS, FILES, RELEASES

GOLDEN = HERE.parent / "tests" / "grafana" / "panel_ids.json"


@pytest.mark.parametrize("name", [*FILES, *optional()])
def test_committed_json_is_current(name: str) -> None:
    made = (FILES | optional())[name]
    assert (HERE / name).read_text(encoding="utf-8") == made, "run `make dashboards`"


def test_there_is_no_other_json() -> None:
    found = {str(path.relative_to(HERE)) for path in HERE.glob("*.json")}
    found |= {str(path.relative_to(HERE)) for path in HERE.glob("loki/*.json")}
    assert found == {*FILES, *optional()}


def test_building_twice_gives_equal_bytes() -> None:
    assert files() == FILES
    assert releases() == RELEASES


def test_uids_are_those_that_alerts_link_to() -> None:
    names = ("fleet", "overview", "namespace", "policy", "enforcement", "exporter")
    assert [board.uid for board in BOARDS.values()] == [f"policy-{name}" for name in names]


def test_panel_ids_are_unique_within_a_dashboard() -> None:
    for board in BOARDS.values():
        ids = [panel.id for panel in board.all_panels()]
        ids += [panel.id for panel in board.panels if panel.type == "row"]
        assert len(ids) == len(set(ids)), board.uid


def test_panel_ids_do_not_move() -> None:
    """A link to a panel holds its id; panel_ids.json remembers which id each title had."""
    known = json.loads(GOLDEN.read_text(encoding="utf-8"))
    now = {b.uid: {p.title: p.id for p in b.all_panels()} for b in BOARDS.values()}
    assert now == known


def test_every_description_is_that_of_a_panel() -> None:
    every = [*BOARDS.values(), classic.read(json.loads(*optional().values()))]
    titles = {board.uid: {panel.title for panel in board.all_panels()} for board in every}
    stale = {uid: board.panels.keys() - titles[uid] for uid, board in boards().items()}
    assert {uid for uid, names in stale.items() if names} == set()
    assert shared().keys() <= set().union(*titles.values())


@pytest.mark.parametrize("name", [name for name in RELEASES if name.startswith("import/")])
def test_the_import_build_asks_for_the_data_source(name: str) -> None:
    document = json.loads(RELEASES[name])
    assert [asked["name"] for asked in document["__inputs"]] == ["DS_PROMETHEUS"]
    assert document["id"] is None
    text = json.dumps(document)
    assert "${datasource" not in text
    assert "${DS_PROMETHEUS}" in text
    required = {item["id"] for item in document["__requires"] if item["type"] == "panel"}
    assert required == {p.type for p in BOARDS[name.removeprefix("import/")].all_panels()}


@pytest.mark.parametrize("name", BOARDS)
def test_the_provisioned_build_asks_nothing(name: str) -> None:
    assert "__inputs" not in json.loads(FILES[name])


@pytest.mark.parametrize("name", BOARDS)
def test_the_resource_has_the_dashboard_and_its_uid_as_name(name: str) -> None:
    resource = json.loads(RELEASES[f"v1/{name}"])
    assert resource.pop("spec") == json.loads(FILES[name])
    assert resource == {
        "apiVersion": "dashboard.grafana.app/v1beta1",
        "kind": "Dashboard",
        "metadata": {"name": BOARDS[name].uid},
    }
