"""Reports of no namespace, which may speak of resources in any."""

from collections import Counter

import pytest

from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Reference, Report, Result, Summary
from exporter.model.resource import CLUSTER_POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.ledger import Ledger
from exporter.state.selection import Filters, Globs, Selection
from exporter.state.shares import MAX_NAMED_PER_NAMESPACE

SCOPE = Scope(CLUSTER_POLICY_REPORTS)
NAMESPACES = ("", "carts", "catalog", "checkout", "default", "payments")


def result(namespace: str, word: str = "pass", number: int = 0) -> Result:
    about = Reference("Namespace" if not namespace else "Pod", f"x{number}", namespace)
    return Result("p", "r", word, source="kyverno", resources=[about])


def scattered() -> Report:
    """A report as Kyverno 1.10 and earlier write it, on resources of all namespaces."""
    results = [result(n, word) for n in NAMESPACES for word in ("pass", "fail")]
    return Report.of(Metadata("cpol"), None, Summary(pass_=6, fail=6), results)


def scoped(namespace: str) -> Report:
    """A cluster report on one resource that lies in a namespace."""
    name = f"uid-{namespace}"
    results = [Result("p", "r", "pass", source="kyverno")]
    return Report.of(Metadata(name), Reference("Pod", "x", namespace, name), None, results)


def read(selection: Selection, *reports: Report) -> Ledger:
    state = ClusterState(selection, lambda: 1_800_000_000)
    state.apply(Init(SCOPE))
    for report in reports:
        state.apply(Applied(SCOPE, report))
    state.apply(InitDone(SCOPE))
    state.ledger.settle()
    return state.ledger


def numbers(ledger: Ledger) -> Counter[tuple[object, ...]]:
    found = Counter[tuple[object, ...]]()
    for name in ("results", "summary", "resources"):
        for labels, five in getattr(ledger.totals, name).items():
            for at, count in enumerate(five):
                found[name, labels, at] += count
    for labels, count in ledger.reports.rows.items():
        found["reports", labels] += int(count)
    for labels, count in ledger.failures.resources.rows.items():
        found["failing", labels] += int(count)
    return +found


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_add_up_to_what_one_process_shows(shards: int) -> None:
    reports = [scattered(), *map(scoped, NAMESPACES)]
    parts = [numbers(read(Selection(shard=(n, shards)), *reports)) for n in range(shards)]
    whole = numbers(read(Selection(), *reports))
    assert sum(parts, Counter()) == whole
    told = read(Selection(), *reports).totals.results
    assert {labels[0] for labels in told} == set(NAMESPACES)
    assert sum(any(part) for part in parts) > 1


def test_shards_tell_the_same_apart_however_many_resources_cluster_reports_name() -> None:
    results = [result(NAMESPACES[n % 6], number=n) for n in range(MAX_NAMED_PER_NAMESPACE // 3 * 2)]
    reports = [Report.of(Metadata(f"cpol-{n}"), None, None, results) for n in range(2)]
    parts = [numbers(read(Selection(shard=(n, 2)), *reports)) for n in range(2)]
    whole = numbers(read(Selection(), *reports))
    assert sum(parts, Counter()) == whole
    assert sum(count for key, count in whole.items() if key[0] == "results") == 2 * len(results)


def test_equal_reports_on_resources_of_two_namespaces_count_in_each() -> None:
    ledger = read(Selection(), scoped("carts"), scoped("catalog"))
    assert sorted(labels[:2] for labels in ledger.totals.results) == [
        ("carts", "Pod"),
        ("catalog", "Pod"),
    ]


def test_a_filter_of_namespaces_keeps_what_is_said_of_those() -> None:
    only = Selection(Filters(namespaces=Globs(include=("carts",))))
    ledger = read(only, scattered())
    assert {labels[0] for labels in ledger.totals.results} == {"carts"}
    assert ledger.reports.rows == {}


def test_what_a_deleted_report_said_is_gone_everywhere() -> None:
    state = ClusterState(Selection(shard=(1, 3)), lambda: 1_800_000_000)
    for change in (Applied(SCOPE, scattered()), Deleted(SCOPE, scattered())):
        state.apply(change)
    state.ledger.settle()
    assert numbers(state.ledger) == Counter()


def on_a_namespace() -> Report:
    """A report as Kyverno writes it on a Namespace."""
    results = [Result("p", "r", "fail", severity="high", source="kyverno")]
    about = Reference("Namespace", "carts", uid="uid-ns")
    return Report.of(Metadata("uid-ns"), about, Summary(fail=1), results)


@pytest.mark.parametrize(("own", "namespace"), [(False, ""), (True, "carts")])
def test_a_report_on_a_namespace_counts_in_it_where_that_is_wanted(
    own: bool, namespace: str
) -> None:
    ledger = read(Selection(own_namespace=own), on_a_namespace())
    totals = ledger.totals
    rows = [*totals.results, *totals.summary, *totals.resources, *ledger.failures.resources.rows]
    assert {labels[0] for labels in rows} == {namespace}


def test_a_filter_of_namespaces_applies_to_reports_on_them_where_that_is_wanted() -> None:
    others = Filters(namespaces=Globs(exclude=("carts",)))
    assert not read(Selection(others, own_namespace=True), on_a_namespace()).totals.results


def test_shards_add_up_where_reports_on_namespaces_count_in_these() -> None:
    reports = [on_a_namespace(), scattered()]
    parts = [numbers(read(Selection(shard=(n, 3), own_namespace=True), *reports)) for n in range(3)]
    assert sum(parts, Counter()) == numbers(read(Selection(own_namespace=True), *reports))
