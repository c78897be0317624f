"""What is new, fixed and still failing between two snapshots."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.resource import CLUSTER_POLICY_REPORTS, POLICY_REPORTS
from exporter.simulator.scenario import living
from exporter.snapshot.diff import compared
from exporter.snapshot.document import SnapshotDocument, SnapshotScope
from exporter.snapshot.files import read_files
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.view.values import Counts, FailingResult
from tests.snapshot.inputs import Object, Text, json_of, report, result, saved, taken

pytestmark = pytest.mark.tier("unit")


def row(name: str, word: str = "fail", severity: str = "high") -> FailingResult:
    return FailingResult("shop", "Pod", name, "p", "r", word, severity, "kyverno", 1.0, "m")


def document(*rows: FailingResult, **more: Any) -> SnapshotDocument:
    given: dict[str, Any] = {
        "cluster": "prod",
        "cluster_uid": "",
        "time": 100.0,
        "scope": SnapshotScope(),
        "problems": [],
        "count": "objects",
        "reports": 1,
        "compliance": 0.5,
        "resources": Counts(),
        "results": Counts(),
        "not_itemised": Counts(),
        "left_out": [],
        "skipped": [],
        "unreadable": {},
        "failing_by_severity": {},
        "summary": [],
        "namespaces": [],
        "policies": [],
        "failing": list(rows),
        "blocked": [],
        "claimed": [],
    }
    return SnapshotDocument(**(given | more))


CHANGES = {
    "nothing changed": (("a fail",), ("a fail",), (0, 0, 1)),
    "one is new": (("a fail",), ("a fail", "b fail"), (1, 0, 1)),
    "one is fixed": (("a fail", "b fail"), ("b fail",), (0, 1, 1)),
    "a failure after an error is new": (("a error",), ("a fail",), (1, 0, 0)),
    "an error after a failure fixes nothing": (("a fail",), ("a error",), (0, 0, 1)),
    "an error in both": (("a error",), ("a error",), (0, 0, 1)),
    "one of two that are alike is fixed": (("a fail", "a fail"), ("a fail",), (0, 1, 1)),
    "one more that is alike is new": (("a fail",), ("a fail", "a fail"), (1, 0, 1)),
    "both that are alike": (("a fail", "a error"), ("a error", "a fail"), (0, 0, 2)),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "counts"), CHANGES.values(), ids=CHANGES.keys())
def test_changes(before: tuple[str, ...], after: tuple[str, ...], counts: tuple[int, ...]) -> None:
    rows = [[row(*each.split()) for each in side] for side in (before, after)]
    made = compared("x", document(*rows[0]), document(*rows[1])).comparison
    assert made
    assert (len(made.new), len(made.fixed), made.still) == counts


def counted(state: ClusterState, path: str) -> tuple[Counter[Any], Counter[Any]]:
    """List reports into a state as a relist does; give the opened and closed counters."""
    scopes = [Scope(POLICY_REPORTS), Scope(CLUSTER_POLICY_REPORTS)]
    for scope in scopes:
        state.apply(Init(scope))
    for one in read_files([path]):
        assert one.resource
        assert one.object
        state.apply(Applied(Scope(one.resource), one.object))
    for scope in scopes:
        state.apply(InitDone(scope))
    failures = state.ledger.failures
    return Counter(dict(failures.opened.rows)), Counter(dict(failures.closed.rows))


@pytest.mark.parametrize("seed", range(3))
def test_the_difference_of_the_demo_over_a_minute_is_that_of_the_counters(
    seed: int, tmp_path: Path
) -> None:
    scenario = living(seed)
    store = scenario.world.store

    def reports(name: str) -> str:
        kinds = (POLICY_REPORTS.name, CLUSTER_POLICY_REPORTS.name)
        items = [each.data for kind in kinds for each in store.all(kind)]
        return saved(tmp_path / name, *items)

    scenario.advance(30.0)
    first, state = reports("first"), ClusterState(Selection(), time.time)
    opened, closed = counted(state, first)
    scenario.advance(60.0)
    second = reports("second")
    later = counted(state, second)
    opened, closed = later[0] - opened, later[1] - closed
    count = "--count=objects"
    json_of(tmp_path / "a.json", first, count)
    json_of(tmp_path / "b.json", second, count)
    arguments = ["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    change = json_of(tmp_path / "diff", *arguments)["comparison"]
    assert opened + closed, "nothing changed: another seed is needed"
    assert grouped(change["new"]) == opened
    assert grouped(change["fixed"]) == closed


def grouped(rows: list[Object]) -> Counter[Any]:
    """Count failures by the labels of the counters."""
    names = ("namespace", "policy", "severity", "source")
    return Counter(tuple(each[n] for n in names) for each in rows if each["result"] == "fail")


REFUSED = {
    "another cluster": ({"cluster": "test"}, "it is from cluster 'test', not from 'prod'"),
    "another uid": (
        {"cluster_uid": "1"},
        "the uids of kube-system are 1 and 2",
    ),
    "another scope": (
        {"scope": SnapshotScope(namespaces=("shop",))},
        "it was written with other namespaces: shop, not all",
    ),
    "other sources": (
        {"scope": SnapshotScope(sources=("falco",))},
        "it was written with other sources: falco, not all",
    ),
    "only summaries": ({"failing": None}, "only summaries were read"),
}


@pytest.mark.parametrize(("fields", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_two_snapshots_that_are_not_of_the_same_are_not_compared(
    fields: dict[str, Any], said: str
) -> None:
    made = document(cluster_uid="2" if "cluster_uid" in fields else "")
    with pytest.raises(Exception, match=r"^old\.json: cannot be compared: ") as raised:
        compared("old.json", document(**fields), made)
    assert said in str(raised.value)


def test_a_renamed_context_is_the_same_cluster_by_its_uid() -> None:
    made = compared("x", document(cluster="a", cluster_uid="1"), document(cluster_uid="1"))
    assert made.comparison


@pytest.fixture
def baseline(tmp_path: Path, capsys: Text) -> Path:
    items = [report("web", result("p", "fail")), report("api", result("p", "fail", "low"))]
    path = tmp_path / "baseline.json"
    json_of(path, saved(tmp_path / "before", *items))
    return path


GATES = {
    "nothing new": ((("web", "fail", "high"),), 0, ""),
    "something new": ((("db", "fail", "high"),), 1, "failed: 1 new failing result (1 high)"),
    "new, and less severe": ((("db", "fail", "low"),), 0, ""),
    "new and not evaluated": ((("db", "error", "high"),), 1, "high error shop/Deployment/db p: r"),
}


@pytest.mark.parametrize(("rows", "status", "said"), GATES.values(), ids=GATES.keys())
def test_a_gate_fails_on_what_is_new(
    rows: tuple[tuple[str, str, str], ...],
    status: int,
    said: str,
    baseline: Path,
    tmp_path: Path,
    capsys: Text,
) -> None:
    items = [report(name, result("p", word, severity)) for name, word, severity in rows]
    path = saved(tmp_path / "now", *items)
    assert taken(path, f"--baseline={baseline}", "--fail-on=new:high") == status
    shown = capsys.readouterr()
    assert said in shown.err
    assert "1 fixed" in shown.out or "2 fixed" in shown.out
    json_of(tmp_path / "now.json", path)
    arguments = ["diff", str(baseline), str(tmp_path / "now.json"), "--fail-on=new:high"]
    assert taken(*arguments) == status


ROLLED_OUT = {
    "a Pod with another name": (("b4zql",), (0, 0)),
    "one Pod more": (("x7k2p", "b4zql"), (0, 0)),
    "no Pod any more": ((), (0, 1)),
}


@pytest.mark.parametrize(("suffixes", "changes"), ROLLED_OUT.values(), ids=ROLLED_OUT.keys())
def test_a_roll_out_is_no_change(
    suffixes: tuple[str, ...], changes: tuple[int, int], tmp_path: Path, capsys: Text
) -> None:
    def pod(suffix: str) -> Object:
        made = report(f"web-6d4b75cb6d-{suffix}", result("pods-only", "fail"))
        made["scope"]["kind"] = "Pod"
        return made

    web = report("web", result("p", "pass"))
    json_of(tmp_path / "old.json", saved(tmp_path / "old", web, pod("x7k2p")))
    path = saved(tmp_path / "now", web, *map(pod, suffixes))
    made = json_of(tmp_path / "json", path, f"--baseline={tmp_path / 'old.json'}")["comparison"]
    assert (len(made["new"]), len(made["fixed"])) == changes
    capsys.readouterr()
    items = [web, pod("x7k2p"), pod("b4zql")]
    json_of(tmp_path / "none.json", saved(tmp_path / "none", web))
    arguments = [f"--baseline={tmp_path / 'none.json'}", "--fail-on=new"]
    assert taken(saved(tmp_path / "now", *items), *arguments) == 1
    assert "1 new failing result" in capsys.readouterr().err


UNKNOWN: dict[str, tuple[list[Object], int, str]] = {
    "results that are not itemised": (
        [report("web", result("p", "fail"), summary={"fail": 4})],
        3,
        "not itemised, so it is not known whether they are new: 3 failing results",
    ),
    "a report that is malformed": (
        [report("web", result("p", "fail")), report("bad", {"policy": 7})],
        3,
        "1 report was skipped",
    ),
    "no report at all": ([], 2, "No policy reports found"),
}


@pytest.mark.parametrize(("items", "status", "said"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_known_to_be_old_does_not_pass(
    items: list[Object], status: int, said: str, baseline: Path, tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "now", *items)
    assert taken(path, f"--baseline={baseline}", "--fail-on=new") == status
    assert said in capsys.readouterr().err
    json_of(tmp_path / "now.json", path)
    assert taken("diff", str(baseline), str(tmp_path / "now.json"), "--fail-on=new") == 3


def test_with_a_baseline_every_output_separates_what_is_new(
    baseline: Path, tmp_path: Path, capsys: Text
) -> None:
    items = [report("web", result("p", "fail")), report("db", result("p", "fail"))]
    forms = ("table", "junit", "sarif", "markdown", "github", "csv", "html")
    outputs = [f"--output={form}={tmp_path / form}" for form in forms]
    assert taken(saved(tmp_path / "now", *items), f"--baseline={baseline}", *outputs) == 0
    made = {form: (tmp_path / form).read_text() for form in forms}
    for form in ("table", "markdown", "github", "html"):
        assert "1 fixed" in made[form] or ">Fixed<" in made[form], form
    assert made["junit"].count("<failure ") == 1
    assert "failed before: p is violated" in made["junit"]
    results = json.loads(made["sarif"])["runs"][0]["results"]
    assert [each["baselineState"] for each in results] == ["new", "unchanged", "absent"]
    assert made["github"].count("::error ") == 1
    changes = [line.split(",")[0] for line in made["csv"].splitlines()]
    assert changes == ["change", "new", "known", "fixed"]


BROKEN = {
    "nothing": ("", "input data was truncated"),
    "a list": ("[]", "json prints: expected an object, got a list"),
    "a schema in words": ('{"schema": "x"}', "schema: expected a whole number, got a string"),
    "not UTF-8": ('{"version": "\udcff"}', "it is not JSON"),
    "no snapshot": ("{}", "with schema 1, found no schema"),
    "a later schema": ('{"schema": 2}', "with schema 1, found schema 2"),
    "half of one": ('{"schema": 1}', "missing required field"),
    "not JSON": ("hello", "malformed"),
}


@pytest.mark.parametrize(("body", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_no_snapshot_is_named(
    body: str, said: str, tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(body.encode(errors="surrogateescape"))
    assert taken("diff", str(path), str(path)) == 2
    error = capsys.readouterr().err
    assert f"{path}: expected what snapshot --output json prints" in error
    assert said in error


USAGE = {
    "one file": (["diff", "a"], "expected two files"),
    "a filter": (["diff", "a", "b", "--policy=x"], "--policy cannot be combined with diff"),
    "metrics": (["diff", "a", "b", "-o", "prometheus"], "cannot be combined with diff"),
    "another gate": (
        ["diff", "a", "b", "--fail-on=fail"],
        "--fail-on fail cannot be combined with diff",
    ),
    "no baseline": (
        ["a", "--fail-on=new"],
        "--fail-on new needs --baseline FILE",
    ),
    "a baseline of metrics": (
        ["a", "--baseline=b", "-o", "prometheus"],
        "--baseline cannot be combined",
    ),
}


@pytest.mark.parametrize(("arguments", "said"), USAGE.values(), ids=USAGE.keys())
def test_what_cannot_be_compared_is_a_usage_error(
    arguments: list[str], said: str, capsys: Text
) -> None:
    assert taken(*arguments) == 2
    assert said in capsys.readouterr().err
