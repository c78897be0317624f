"""Which reports are one: those of one engine, of the same namespace and name."""

from collections.abc import Iterable, Iterator

import pytest

from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import decode, restore
from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import RESULTS, Instant, Reference, Report, Result, Summary
from exporter.model.resource import POLICY_REPORTS, REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.contribution import Contribution
from exporter.state.failures import standing
from exporter.state.selection import Selection
from tests.checkpoint.test_format import taken
from tests.state.violations import NOW

OLD, NEW = Scope(POLICY_REPORTS), Scope(REPORTS)
ABOUT = Reference("Deployment", "cart", "shop", "7d0f")
SOURCES = ("kyverno", "Kyverno*", "ValidatingAdmissionPolicy", "kubewarden")
KYVERNO, KUBEWARDEN = ("kyverno",), ("kubewarden",)


def report(failing: Iterable[str], sources: Iterable[str] = KYVERNO, *, age: float = 60) -> Report:
    """A report on one Deployment, named after its uid, as several engines do."""
    at = Instant(int(NOW - age))
    results = [Result("ok", "ok", "pass", source=s, timestamp=at) for s in sources]
    results += [
        Result(p, "r", "fail", severity="high", source=s, timestamp=at)
        for p in failing
        for s in sources
    ]
    return Report.of(Metadata("7d0f", "shop"), ABOUT, None, results)


class Life:
    """Both groups' reports of one name, after their first lists."""

    def __init__(self, *results: str) -> None:
        selection = Selection(sources=SOURCES, results=results or RESULTS)
        self.state = ClusterState(selection, lambda: NOW)
        for scope in (OLD, NEW):
            self.state.apply(Init(scope))
            self.state.apply(InitDone(scope))
        self.ledger, self.failures = self.state.ledger, self.state.ledger.failures
        self.alerts: list[str] = []

    def sees(self, scope: Scope, found: Report) -> None:
        self.state.apply(Applied(scope, found))
        self.ledger.settle()

    def loses(self, scope: Scope) -> None:
        self.state.apply(Deleted(scope, report(())))
        self.ledger.settle()

    def listen(self) -> None:
        """Note what an alert that groups by policy would resolve or fire."""

        def policies(contribution: Contribution | None) -> set[str]:
            return {s.failure.outcome.policy for s in standing(contribution)}

        def note(before: Contribution | None, after: Contribution | None) -> None:
            self.alerts += sorted(policies(before) ^ policies(after))

        self.failures.listeners.append(note)

    @property
    def failing(self) -> list[tuple[str, str]]:
        return sorted((labels[6], labels[10]) for labels in self.failures.resources.rows)

    @property
    def opened_and_closed(self) -> tuple[int, int]:
        return tuple(sum(c.rows.values()) for c in (self.failures.opened, self.failures.closed))  # type: ignore[return-value]  # two of them

    def since(self, policy: str) -> Iterator[float]:
        rows = self.failures.oldest.least.rows
        return (seconds for labels, seconds in rows.items() if labels[1] == policy)


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.mark.parametrize("first", [OLD, NEW])
def test_two_engines_reports_of_one_name_both_count(life: Life, first: Scope) -> None:
    second = NEW if first is OLD else OLD
    life.sees(first, report(["latest-tag"]))
    life.sees(second, report(["safe-labels"], KUBEWARDEN, age=5))
    assert life.failing == [("latest-tag", "kyverno"), ("safe-labels", "kubewarden")]
    assert life.opened_and_closed == (2, 0)
    assert dict(life.ledger.totals.resources) == {("shop", "Deployment", "false"): (0, 1, 0, 0, 0)}
    assert life.ledger.count() == 2


def test_a_resource_is_as_bad_as_the_worse_of_two_engines_says(life: Life) -> None:
    life.sees(OLD, report(["latest-tag"]))
    life.sees(NEW, report((), KUBEWARDEN))
    life.sees(OLD, report(()))
    assert dict(life.ledger.totals.resources) == {("shop", "Deployment", "false"): (1, 0, 0, 0, 0)}
    life.loses(OLD)
    assert dict(life.ledger.totals.resources) == {("shop", "Deployment", "false"): (1, 0, 0, 0, 0)}
    life.loses(NEW)
    assert not life.ledger.totals.resources


@pytest.mark.parametrize(("live", "left"), [(OLD, NEW), (NEW, OLD)], ids=["rolled back", "new"])
def test_of_one_engines_two_reports_the_newer_counts(life: Life, live: Scope, left: Scope) -> None:
    life.sees(left, report(["fixed", "same"], age=9000))
    life.sees(live, report(["same", "begun"], age=60))
    assert life.failing == [("begun", "kyverno"), ("same", "kyverno")]
    assert life.ledger.count() == 1
    assert list(life.since("same")) == [NOW - 9000]


def test_a_switch_of_the_group_opens_and_closes_only_what_differs(life: Life) -> None:
    life.listen()
    life.sees(OLD, report(["same"], age=9000))
    life.alerts.clear()
    life.sees(NEW, report(["same"], age=600))
    life.sees(OLD, report(["same"], age=60))
    life.loses(NEW)
    assert (life.opened_and_closed, life.alerts) == ((1, 0), [])
    assert list(life.since("same")) == [NOW - 9000]


def test_kinds_of_kyvernos_policies_are_one_engine(life: Life) -> None:
    life.sees(NEW, report(["p"], ("KyvernoValidatingPolicy",), age=9000))
    life.sees(OLD, report((), ("kyverno", "ValidatingAdmissionPolicy", "KyvernoValidatingPolicy")))
    life.sees(OLD, report((), ("kyverno",)))
    assert life.failing == []


def test_a_timestamp_of_next_year_says_nothing_about_age(life: Life) -> None:
    life.sees(NEW, report(["odd"], age=-366 * 86_400))
    life.sees(OLD, report(["live"]))
    assert life.failing == [("live", "kyverno")]


def test_a_newer_report_whose_results_are_filtered_out_still_counts_instead() -> None:
    life = Life("fail")
    life.sees(NEW, report(["fixed"], age=9000))
    life.sees(OLD, report(()))
    assert life.failing == []


@pytest.mark.parametrize("first", [OLD, NEW])
def test_a_report_that_names_no_source_neither_hides_another_nor_is_hidden(
    life: Life, first: Scope
) -> None:
    nameless = Report.of(Metadata("7d0f", "shop"), ABOUT, Summary(error=2))
    second = NEW if first is OLD else OLD
    life.sees(first, nameless)
    life.sees(second, report(()))
    assert dict(life.ledger.totals.resources) == {("shop", "Deployment", "false"): (0, 0, 0, 1, 0)}
    assert life.ledger.count() == 2
    life.loses(first)
    assert dict(life.ledger.totals.resources) == {("shop", "Deployment", "false"): (1, 0, 0, 0, 0)}


def test_two_reports_that_name_no_source_are_one(life: Life) -> None:
    for scope in (OLD, NEW):
        life.sees(scope, Report.of(Metadata("7d0f", "shop"), ABOUT, Summary(error=2)))
    assert life.ledger.count() == 1
    assert sum(map(sum, life.ledger.totals.not_itemised.values())) == 2


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)], ids=["old first", "new first"])
def test_a_restart_closes_nothing_of_a_report_that_did_not_count(order: Iterable[Scope]) -> None:
    """Before the restart, only the list of the group whose reports count had ended."""
    found = {OLD: report(["other"], age=9000), NEW: report(["p"])}
    before, after = (ClusterState(Selection(sources=SOURCES), lambda: NOW) for _ in range(2))
    before.apply(Init(NEW))
    for scope in (NEW, OLD):
        before.apply(Applied(scope, found[scope]))
    before.apply(InitDone(NEW))
    restore(after, decode(taken(before, 0)), [OLD, NEW], CountingFilters(sources=SOURCES))
    for scope in order:
        after.apply(Init(scope))
        after.apply(Applied(scope, found[scope]))
        after.apply(InitDone(scope))
    after.ledger.restore.finish()
    failures = after.ledger.failures
    assert [sum(each.rows.values()) for each in (failures.opened, failures.closed)] == [0, 0]


def of_a_pod(name: str, word: str, *, source: str = "kyverno", kind: str = "Pod") -> Report:
    """A report named after one uid, whatever it says that the resource is called."""
    about = Reference(kind, name, "shop", "pod-uid")
    results = [Result("p", "r", word, source=source)]
    return Report.of(Metadata("pod-uid", "shop"), about, None, results)


def named(state: ClusterState) -> set[tuple[str, str]]:
    """Kind and name of each resource that is shown to fail."""
    state.ledger.settle()
    return {(labels[1], labels[2]) for labels in state.ledger.failures.resources.rows}


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("before", ["pass", "fail"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("Pod", "web-zzzzz"), ("Pod", "api-x7k2p"), ("Pod", "plain"), ("ConfigMap", "web-x7k2p")],
)
def test_a_failure_is_shown_whatever_its_report_calls_the_resource_now(
    kind: str, name: str, before: str, *, metadata: bool
) -> None:
    state = ClusterState(Selection(), lambda: NOW, metadata=metadata)
    owner = Reference("DaemonSet", "web", "shop", "owner-uid")
    passes = [Result("p", "r", "pass", source="kyverno")]
    state.apply(Applied(OLD, Report.of(Metadata("owner-uid", "shop"), owner, None, passes)))
    state.apply(Applied(OLD, of_a_pod("web-x7k2p", before)))
    state.ledger.settle()
    state.apply(Applied(OLD, of_a_pod(name, "fail", kind=kind)))
    assert named(state) == {(kind, name)}
    state.apply(Deleted(OLD, of_a_pod(name, "fail", kind=kind)))
    assert named(state) == set()


@pytest.mark.parametrize("name", ["api-x7k2p", "plain"])
def test_two_engines_may_call_one_resource_by_two_names_and_hide_nothing(name: str) -> None:
    state = ClusterState(Selection(sources=SOURCES), lambda: NOW)
    state.apply(Applied(OLD, of_a_pod("web-x7k2p", "fail")))
    assert named(state) == {("Pod", "web-x7k2p")}
    state.apply(Applied(NEW, of_a_pod(name, "fail", source="kubewarden")))
    assert named(state) == {("Pod", "web-x7k2p"), ("Pod", name)}
