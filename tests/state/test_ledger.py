"""The ledger and what is exposed of it against the obvious model: recount everything."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import decode, restore
from exporter.metrics.catalogue import Family
from exporter.metrics.exposition import Exposition, ExposureSettings
from exporter.metrics.projection import Projection
from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import RESULTS, Instant, Reference, Report, Result, Summary
from exporter.model.resource import POLICY_REPORTS, REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.state.tally import OVERFLOW, FiveFold
from tests.checkpoint.test_format import taken
from tests.state import recount
from tests.state.recount import NOW

SCOPES = {"wgpolicyk8s.io": Scope(POLICY_REPORTS), "openreports.io": Scope(REPORTS)}
NAMES = ("u1", "u2", "u3")
NAMESPACES = ("a", "b")

HASH = "5d59d67564"
KNOWN = {
    "u1": Reference("Pod", f"y-{HASH}-bcdfg", "", "u1"),
    "u2": Reference("Deployment", "y", "", "u2"),
    "u3": Reference("Pod", "z-0", "", "u3"),
}
"""What has each uid: a Pod of the Deployment and one of a StatefulSet."""

subjects = st.sampled_from(
    [
        *KNOWN.values(),
        Reference("Pod", "w", "", ""),
        Reference("ReplicaSet", f"y-{HASH}", "", ""),
        Reference("StatefulSet", "z", "", ""),
    ]
)
results = st.builds(
    Result,
    policy=st.sampled_from(["p", "q", "n/p"]),
    rule=st.sampled_from(["", "r", "autogen-r", "autogen-cronjob-r"]),
    result=st.sampled_from([*RESULTS, "", "odd"]),
    severity=st.sampled_from(["", "high", "Medium"]),
    category=st.sampled_from(["", "c"]),
    source=st.sampled_from(["kyverno", "kyverno", "Falco", "kubewarden"]),
    message=st.sampled_from(["", "m"]),
    timestamp=st.one_of(
        st.none(), st.builds(Instant, st.integers(0, 2 * NOW) | st.integers(NOW - 3, NOW + 1))
    ),
    resources=st.one_of(st.none(), st.lists(subjects, min_size=1, max_size=2)),
)
summaries = st.builds(Summary, pass_=st.integers(0, 9), fail=st.integers(0, 9))


@st.composite
def reports(draw: st.DrawFn, namespace: str, name: str) -> recount.Told:
    found = draw(st.lists(results, max_size=5))
    scope = draw(st.one_of(st.none(), st.sampled_from(list(KNOWN.values())), st.just(KNOWN[name])))
    if scope is not None:
        found = [
            Result(
                r.policy, r.rule, r.result, r.severity, r.category, r.source, r.message, r.timestamp
            )
            for r in found
        ]
    return recount.Told(Metadata(name, namespace), scope, draw(summaries), found)


class LedgerAgainstRecount(RuleBasedStateMachine):
    """Puts, updates, deletes, relists (complete, partial, broken), in both API groups."""

    def __init__(self) -> None:
        super().__init__()
        self.controlled = True
        self.begin()
        self.truth: dict[recount.Key, recount.Told] = {}
        self.group = st.sampled_from(sorted(SCOPES))
        self.steps, self.stride = 0, 1

    def begin(self) -> None:
        self.state = ClusterState(Selection(sources=tuple(recount.SOURCES)), lambda: NOW)
        settings = ExposureSettings(birth_hold=0, controlled=self.controlled)
        self.full = Exposition(self.state, settings)

    @initialize(stride=st.integers(1, 5), controlled=st.booleans())
    def choose_how_to_look(self, stride: int, *, controlled: bool) -> None:
        """How often, and whether what is controlled has series."""
        self.stride, self.controlled = stride, controlled
        self.begin()

    def chosen(self, counts: Mapping[Any, int]) -> Counter[Any]:
        """Leave out what has no series."""
        return Counter({k: n for k, n in counts.items() if self.controlled or k[2] == "false"})

    @rule(
        data=st.data(),
        group=st.sampled_from(sorted(SCOPES)),
        place=st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES)),
    )
    def put(self, data: st.DataObject, group: str, place: tuple[str, str]) -> None:
        report = data.draw(reports(*place))
        self.truth[group, *place] = report
        self.state.apply(Applied(SCOPES[group], report.report()))

    @rule(
        group=st.sampled_from(sorted(SCOPES)),
        place=st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES)),
    )
    def delete(self, group: str, place: tuple[str, str]) -> None:
        self.truth.pop((group, *place), None)
        self.state.apply(Deleted(SCOPES[group], Report(Metadata(place[1], place[0]))))

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def rescan(self, data: st.DataObject) -> None:
        """Only timestamps and messages change."""
        key = data.draw(st.sampled_from(sorted(self.truth)))
        old = self.truth[key]
        found = [
            Result(
                r.policy,
                r.rule,
                r.result,
                r.severity,
                r.category,
                r.source,
                "other",
                Instant(NOW - 5),
                r.resources,
            )
            for r in old.results
        ]
        self.truth[key] = old._replace(results=found)
        before = dict(self.state.ledger.failures.opened.rows)
        self.state.apply(Applied(SCOPES[key[0]], self.truth[key].report()))
        # Else the report of the other group may lose, or an older result of a check count again.
        alone = sum(other[1:] == key[1:] for other in self.truth) == 1
        checks = {(each.policy, each.rule, each.source) for each in found}
        if alone and len(checks) == len(found):
            assert self.state.ledger.failures.opened.rows == before

    @rule(
        group=st.sampled_from(sorted(SCOPES)),
        keep=st.sets(st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))),
    )
    def relist(self, group: str, keep: set[tuple[str, str]]) -> None:
        """A list that brings some of what was there; the rest has been deleted meanwhile."""
        self.state.apply(Init(SCOPES[group]))
        for key, report in list(self.truth.items()):
            if key[0] != group:
                continue
            if key[1:] in keep:
                self.state.apply(Applied(SCOPES[group], report.report()))
            else:
                del self.truth[key]
        self.state.apply(InitDone(SCOPES[group]))

    @rule(
        group=st.sampled_from(sorted(SCOPES)),
        brought=st.sets(st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))),
    )
    def broken_relist(self, group: str, brought: set[tuple[str, str]]) -> None:
        """A list that ends half-way takes nothing away."""
        self.state.apply(Init(SCOPES[group]))
        for key, report in self.truth.items():
            if key[0] == group and key[1:] in brought:
                self.state.apply(Applied(SCOPES[group], report.report()))

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def say_something_else(self, data: st.DataObject) -> None:
        """A report that is there says something else of the resource that it is named after."""
        group, namespace, name = data.draw(st.sampled_from(sorted(self.truth)))
        told = data.draw(reports(namespace, name))._replace(scope=KNOWN[name])
        self.truth[group, namespace, name] = told
        self.state.apply(Applied(SCOPES[group], told.report()))

    @rule(order=st.permutations(sorted(SCOPES)))
    def restart(self, order: list[str]) -> None:
        """Nothing began or ended meanwhile, whichever group is listed first."""
        before = self.state
        checkpoint = decode(taken(before, 0))
        self.begin()
        scopes = list(SCOPES.values())
        restore(self.state, checkpoint, scopes, CountingFilters(sources=tuple(recount.SOURCES)))
        for group in order:
            self.relist(group=group, keep={key[1:] for key in self.truth})
        self.state.ledger.restore.finish()
        for name in ("opened", "closed"):
            counted = getattr(self.state.ledger.failures, name).rows
            assert +Counter(counted) == +Counter(getattr(before.ledger.failures, name).rows)

    @rule(most=st.integers(1, 30))
    def begin_a_scrape(self, most: int) -> None:
        """Take up some of what changed: the rest, and what changes meanwhile, comes later."""
        self.full.settle(most)

    @invariant()
    def look_now_and_then(self) -> None:
        """Not after each step: what vanishes and comes back between two looks was always there."""
        self.steps += 1
        if not self.steps % self.stride:
            self.totals_equal_recount()
            self.exposition_equals_totals()

    def teardown(self) -> None:
        self.totals_equal_recount()
        self.exposition_equals_totals()

    def totals_equal_recount(self) -> None:
        self.state.ledger.settle()
        ledger = self.state.ledger
        assert flat(ledger.totals.results) == recount.results(self.truth)
        assert flat(ledger.totals.summary) == recount.summaries(self.truth)
        assert flat(ledger.totals.resources) == recount.resources(self.truth)
        beyond = Counter[str]()
        for row in ledger.totals.not_itemised.values():
            beyond.update(dict(zip(RESULTS, row, strict=True)))
        assert +beyond == recount.not_itemised(self.truth)
        for tally, at in (
            (ledger.sums.by_namespace, 0),
            (ledger.sums.by_policy, 3),
            (ledger.sums.by_severity, 5),
        ):
            sums = Counter[tuple[str, ...]]()
            for key, count in recount.results(self.truth).items():
                sums[key[at], key[2], key[-1]] += count
            assert flat(tally) == sums
        failing = recount.failing(self.truth)
        assert Counter(ledger.failures.resources.rows) == failing
        assert Counter(ledger.failures.workloads.rows) == recount.failing_workloads(failing)
        groups = Counter((namespace, group) for group, namespace, _ in self.truth)
        assert Counter(ledger.reports.rows) == groups

    @invariant()
    def every_failure_has_an_age(self) -> None:
        found = recount.failing(self.truth)
        failing = {(k[0], k[6], k[9], k[10]) for k in found if k[8] == "fail"}
        oldest = self.state.ledger.failures.oldest.least.rows
        assert set(oldest) == failing
        assert all(1_000_000_000 <= since <= NOW for since in oldest.values())

    @invariant()
    def opened_minus_closed_is_what_stands(self) -> None:
        """Counted only since each group's first list, so never negative from there on."""
        failures = self.state.ledger.failures
        assert all(value >= 0 for value in failures.opened.rows.values())
        assert all(value >= 0 for value in failures.closed.rows.values())

    def exposition_equals_totals(self) -> None:
        self.full.take(NOW, lambda _: True)
        results, summaries, resources, *_ = self.full.projections
        chosen = self.chosen
        assert shown(results) == exposed(results.family, chosen(recount.results(self.truth)))
        assert shown(summaries) == exposed(summaries.family, chosen(recount.summaries(self.truth)))
        assert shown(resources) == exposed(resources.family, chosen(recount.resources(self.truth)))
        by_name = next(p for p in self.full.projections if "workload" in p.family.labels)
        failing = recount.failing(self.truth).items()
        mine = {key: n for key, n in failing if self.controlled or key[3] == "false"}
        assert shown(by_name) == mine


class BudgetedExposition(LedgerAgainstRecount):
    """The same life under label drops and a budget of few series: sums stay exact."""

    def begin(self) -> None:
        super().begin()
        self.small = Exposition(
            self.state,
            ExposureSettings(
                max_series=4,
                drop=frozenset({"rule", "category"}),
                birth_hold=0,
                limits={"policyreport_resource_results": 2},
                controlled=self.controlled,
            ),
        )
        self.full = self.small

    def exposition_equals_totals(self) -> None:
        self.small.take(NOW, lambda _: True)
        sums = {p.family.name: p for p in self.small.projections}
        results = sums["policyreport_results"].series
        per_namespace = Counter[str]()
        for labels in results.slots:
            per_namespace[labels[0]] += int(results.value(labels))
        truth = Counter[str]()
        for key, count in self.chosen(recount.results(self.truth)).items():
            truth[key[0]] += count
        assert +per_namespace == +truth
        self_metrics = [labels for labels in results.slots if OVERFLOW not in labels]
        assert len(self_metrics) <= 4


def shown(projection: Projection) -> dict[tuple[str, ...], float]:
    series = projection.series
    return {labels: series.value(labels) for labels in series.slots}


def exposed(family: Family, counts: Mapping[Any, int]) -> dict[tuple[str, ...], float]:
    """Say what is exposed of counts: of what lives, the words that are always there as well."""
    at, found = family.word_at, dict[tuple[str, ...], float]()
    always = {"pass", "fail"} if family.name == "policyreport_results" else set(RESULTS)
    for labels in {key[:-1] for key, count in counts.items() if count}:
        for word in RESULTS:
            count = counts.get((*labels, word), 0)
            if count or word in always:
                found[*labels[:at], word, *labels[at:]] = count
    return found


def flat(tally: FiveFold) -> Counter[tuple[str, ...]]:
    return Counter(
        {
            (*labels, word): count
            for labels, row in tally.items()
            for word, count in zip(RESULTS, row, strict=True)
            if count
        }
    )


TestLedger = LedgerAgainstRecount.TestCase
TestBudget = BudgetedExposition.TestCase
