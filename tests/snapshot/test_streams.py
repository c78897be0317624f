"""Files that are longer than what of them is in memory."""

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.model.report import Report
from exporter.model.resource import CLUSTER_POLICIES, POLICY_REPORTS
from exporter.snapshot.files import FileObject, read_files
from exporter.wire.slices import CHUNK_BYTES, StreamWindow
from tests.snapshot.inputs import Object, listed, report, result

pytestmark = pytest.mark.tier("unit")

MESSAGE = 'a message with "quotes", ]}, \\ and \u00e9 ' * 40
COUNT = 3 * CHUNK_BYTES // 2_000


def reports() -> list[Object]:
    return [report(f"w{n}", result("p", "fail", message=MESSAGE)) for n in range(COUNT)]


def bare(items: list[Object]) -> list[Object]:
    return [{k: v for k, v in each.items() if k not in ("kind", "apiVersion")} for each in items]


HEAD = {"apiVersion": POLICY_REPORTS.api_version, "kind": "PolicyReportList"}
FORMS: dict[str, Callable[[list[Object]], str]] = {
    "as kubectl prints it": lambda items: json.dumps(
        {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}}, indent=4
    ),
    "a List on one line": lambda items: json.dumps(listed(items)),
    "a typed list": lambda items: json.dumps({**HEAD, "items": bare(items)}),
    "a typed list whose kind comes last": lambda items: json.dumps({"items": bare(items), **HEAD}),
    "an array": json.dumps,
    "two lists": lambda items: json.dumps(listed(items[:9])) + "\n" + json.dumps(listed(items[9:])),
    "one by line": lambda items: "\n".join(map(json.dumps, items)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_report_of_a_long_file_is_read(
    form: Callable[[list[Object]], str], tmp_path: Path
) -> None:
    path = tmp_path / "long.json"
    path.write_text(form(reports()))
    assert path.stat().st_size > 2 * CHUNK_BYTES
    found = list(read_files([str(path)]))
    assert [each.complaint for each in found if each.complaint] == []
    names = [
        each.object.scope.name
        for each in found
        if isinstance(each.object, Report) and each.object.scope
    ]
    assert names == [f"w{n}" for n in range(COUNT)]


def test_a_long_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text(FORMS["as kubectl prints it"](reports() * 4))
    size = path.stat().st_size
    assert size > 12 * CHUNK_BYTES
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_files([str(path)])) == 4 * COUNT
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 7 * CHUNK_BYTES


BETWEEN = {"apiVersion": CLUSTER_POLICIES.api_version, "kind": CLUSTER_POLICIES.kind}


def test_objects_of_other_kinds_between_reports_are_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    items = reports()
    items[9] = {**BETWEEN, "metadata": {"name": "p"}, "spec": {}}
    items[COUNT // 2] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    items[-9] = listed(items[-10:-8])
    path.write_text(FORMS["as kubectl prints it"](items))
    found = [each.resource for each in read_files([str(path)])]
    assert len(found) == COUNT + 1
    assert found[9] == CLUSTER_POLICIES
    assert found[COUNT // 2] is None
    assert found.count(POLICY_REPORTS) == COUNT - 1


@pytest.mark.parametrize(
    "value", ["NaN", "7", "[" * 5_000 + "]" * 5_000], ids=["NaN", "a number", "nested deeply"]
)
def test_one_item_that_is_broken_is_the_only_one_that_is_lost(value: str, tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    text = FORMS["as kubectl prints it"](reports())
    path.write_text(text.replace('"name": "w7"', f'"name": {value}'))
    found = list(read_files([str(path)]))
    [complaint] = [each.complaint for each in found if each.complaint]
    assert complaint.startswith(f"{path}: ")
    assert "shop/r-w7: " in complaint
    assert len(found) == COUNT


BROKEN = {
    "cut": (lambda text: text[:-100], "the list is not closed"),
    "cut within an item": (lambda text: text[: len(text) // 2], "the list is not closed"),
    "an array of numbers": (lambda _: f"[{'1, ' * CHUNK_BYTES}1]", "an item of the list is not an"),
    "text behind it": (lambda text: f"{text}\nError: x", ":2: expected a JSON object or list"),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_long_file_that_is_broken_is_an_error(
    change: Callable[[str], str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "long.json"
    path.write_text(change(FORMS["a List on one line"](reports())))
    with pytest.raises(ConfigError, match=r"^/") as raised:
        list(read_files([str(path)]))
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)


def test_a_place_counts_the_lines_of_what_is_forgotten() -> None:
    lines = b"{}\n" * 10
    window = StreamWindow(io.BytesIO(lines), lambda _: None)
    window.grow()
    window.at = 6
    window.put_back(b"")
    window.at = 3
    assert window.lines() == 3


def test_bytes_are_reported_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(listed([report("web", result("p", "pass"))])))
    seen: list[int] = []
    found: list[FileObject] = list(read_files([str(path)], seen.append))
    assert len(found) == 1
    assert sum(seen) == path.stat().st_size
