"""Results that no scan renews any more: the oldest timestamp of each policy, by source."""

import random
from collections.abc import Iterable

import pytest

from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import RESULTS, Instant, Reference, Report, Result
from exporter.model.resource import CLUSTER_POLICY_REPORTS, POLICY_REPORTS, REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Filters, Globs, Selection
from exporter.state.tally import Labels
from exporter.state.timestamps import LAG, MOST_CHECKS, SWEEP_SECONDS
from tests.state.violations import NOW

OLD, NEW, CLUSTER = Scope(POLICY_REPORTS), Scope(REPORTS), Scope(CLUSTER_POLICY_REPORTS)
DAY = 86_400
FRESH = NOW - 60
SOURCES = ("kyverno", "kubewarden")


def result(policy: str, at: float, word: str = "pass", source: str = "kyverno") -> Result:
    return Result(policy, "r", word, source=source, timestamp=Instant(int(at)))


def about(name: str, results: Iterable[Result], namespace: str = "shop") -> Report:
    """A report that is named after the uid of its resource."""
    scope = Reference("Deployment", name, namespace, name)
    return Report.of(Metadata(name, namespace), scope, None, list(results))


def naming(results: dict[str, Result], namespace: str = "shop") -> Report:
    """A report whose results name resources: Kyverno's before 1.11, and those of other engines."""
    named = []
    for name, said in results.items():
        resources = [Reference("Pod", name, namespace, "")]
        named.append(
            Result(
                said.policy,
                said.rule,
                said.result,
                source=said.source,
                timestamp=said.timestamp,
                resources=resources,
            )
        )
    return Report.of(Metadata("policies", namespace), None, None, named)


class Life:
    """The state of a cluster after its first lists, with a clock that moves at will."""

    def __init__(self, *reports: Report, selection: Selection | None = None) -> None:
        self.now = float(NOW)
        selection = selection or Selection(sources=SOURCES)
        self.state = ClusterState(selection, lambda: self.now)
        for scope in (NEW, CLUSTER, OLD):
            self.state.apply(Init(scope))
            for report in reports if scope is OLD else ():
                self.state.apply(Applied(scope, report))
            self.state.apply(InitDone(scope))

    def sees(self, *reports: Report, scope: Scope = OLD) -> None:
        for report in reports:
            self.state.apply(Applied(scope, report))

    def oldest(self, after: float = SWEEP_SECONDS) -> dict[Labels, float]:
        """Give what is exposed *after* so many seconds."""
        self.now += after
        assert not self.state.ledger.settle()
        return dict(self.state.ledger.oldest.rows)


def test_a_result_that_no_scan_renews_is_seen_beside_one_that_a_scan_renewed() -> None:
    gone, scanned = result("replica-floor", NOW - 60 * DAY, "fail"), result("need-tag", FRESH)

    oldest = Life(about("keda", [gone, scanned])).oldest(after=0)

    assert oldest == {
        ("replica-floor", "kyverno"): NOW - 60 * DAY,
        ("need-tag", "kyverno"): FRESH,
    }


def test_the_oldest_of_all_reports_counts() -> None:
    reports = [about(f"d{n}", [result("p", FRESH - n)]) for n in range(1000)]

    assert Life(*reports).oldest(after=0) == {("p", "kyverno"): FRESH - 999}


def test_a_scan_of_every_report_renews_the_oldest() -> None:
    life = Life(*(about(f"d{n}", [result("p", NOW - DAY)]) for n in range(10)))
    life.oldest(after=0)

    life.sees(*(about(f"d{n}", [result("p", FRESH)]) for n in range(10)))

    assert life.oldest() == {("p", "kyverno"): FRESH}


def test_one_report_that_a_scan_forgot_is_enough() -> None:
    life = Life(*(about(f"d{n}", [result("p", NOW - DAY)]) for n in range(10)))

    life.sees(*(about(f"d{n}", [result("p", FRESH)]) for n in range(9)))

    assert life.oldest() == {("p", "kyverno"): NOW - DAY}


def test_a_policy_whose_last_result_is_gone_has_no_oldest() -> None:
    life = Life(about("a", [result("p", FRESH)]), about("b", [result("q", FRESH)]))
    life.oldest(after=0)

    life.state.apply(Deleted(OLD, about("a", ())))

    assert life.oldest() == {("q", "kyverno"): FRESH}


def test_all_reports_are_looked_at_only_every_few_minutes() -> None:
    life = Life(about("a", [result("p", NOW - DAY)]))
    life.oldest(after=0)

    life.sees(about("a", [result("p", FRESH)]))

    assert life.oldest(after=SWEEP_SECONDS - 1) == {("p", "kyverno"): NOW - DAY}
    assert life.oldest(after=1) == {("p", "kyverno"): FRESH}


def test_a_clock_that_was_set_back_does_not_stop_the_looks() -> None:
    life = Life(about("a", [result("p", NOW - 30 * DAY)]))
    life.oldest(after=0)

    life.sees(about("a", [result("p", NOW - 20 * DAY)]))

    assert life.oldest(after=-DAY) == {("p", "kyverno"): NOW - 20 * DAY}


def test_nothing_is_shown_before_a_list_has_ended() -> None:
    state = ClusterState(Selection(), lambda: NOW)
    state.apply(Init(OLD))
    state.apply(Applied(OLD, about("a", [result("p", FRESH)])))

    state.ledger.settle()

    assert not state.ledger.oldest.rows


def test_results_of_the_last_hour_before_a_scan_count_as_new_as_it() -> None:
    """After the change of a policy Kyverno renews the results of that policy alone."""
    changed, others = result("p", FRESH), result("q", FRESH - LAG)

    assert set(Life(about("a", [changed, others])).oldest(after=0).values()) == {FRESH}


def test_each_resource_that_a_report_names_has_its_own_timestamp() -> None:
    report = naming({"a": result("p", NOW - DAY), "b": result("q", FRESH)})

    assert Life(report).oldest(after=0) == {
        ("p", "kyverno"): NOW - DAY,
        ("q", "kyverno"): FRESH,
    }


def test_two_engines_of_one_policy_name_are_distinguished() -> None:
    results = [result("p", NOW - DAY, source="kubewarden"), result("p", FRESH)]

    assert Life(about("a", results)).oldest(after=0) == {
        ("p", "kubewarden"): NOW - DAY,
        ("p", "kyverno"): FRESH,
    }


@pytest.mark.parametrize(
    "at", [0, 42, NOW + DAY], ids=["none", "the second of the minute", "in the future"]
)
def test_a_timestamp_that_is_no_time_of_a_scan_says_nothing(at: float) -> None:
    assert not Life(about("a", [result("p", at)])).oldest(after=0)


def test_results_that_filters_exclude_have_no_oldest() -> None:
    selection = Selection(
        sources=("kyverno",),
        results=("fail",),
        filters=Filters(policies=Globs(exclude=("hidden",))),
    )
    results = [
        result("p", FRESH, "fail"),
        result("p", NOW - DAY),
        result("hidden", NOW - DAY, "fail"),
        result("other", NOW - DAY, "fail", source="Falco"),
    ]

    oldest = Life(about("a", results), selection=selection).oldest(after=0)

    assert oldest == {("p", "kyverno"): FRESH}


def test_a_copy_that_kyverno_left_in_its_former_group_is_not_old() -> None:
    life = Life(about("a", [result("p", NOW - DAY)]))

    life.sees(about("a", [result("p", FRESH)]), scope=NEW)

    assert life.oldest() == {("p", "kyverno"): FRESH}


def test_beyond_the_limit_of_policies_the_newest_share_a_series() -> None:
    policies = range(MOST_CHECKS + 5)
    many = [
        about("a", [result(f"p{n}", NOW - DAY - at) for n in policies[at::10]], namespace=f"n{at}")
        for at in range(10)
    ]

    oldest = Life(*many).oldest(after=0)

    assert len(oldest) == MOST_CHECKS + 1
    assert oldest["__overflow__", "__overflow__"] == NOW - DAY


@pytest.mark.parametrize("seed", range(20))
def test_the_oldest_are_those_of_a_recount_after_any_changes(seed: int) -> None:
    chance, life = random.Random(seed), Life()
    known: dict[str, list[Result]] = {}
    for _ in range(60):
        name = f"d{chance.randrange(12)}"
        if chance.random() < 0.2 and name in known:
            life.state.apply(Deleted(OLD, about(name, known.pop(name))))
            continue
        scan = NOW - chance.choice((0, DAY))
        policies = chance.sample("pqrst", chance.randint(1, 5))
        known[name] = [
            result(
                policy,
                scan - chance.choice((0, 0, 1, LAG - 1, 2 * LAG, 7 * DAY)),
                chance.choice(RESULTS),
                chance.choice(SOURCES),
            )
            for policy in policies
        ]
        life.sees(about(name, known[name]))
        if chance.random() < 0.2:
            life.oldest()

    assert life.oldest() == _recounted(known.values())


def _recounted(reports: Iterable[list[Result]]) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for results in reports:
        stamps = [each.timestamp.seconds for each in results if each.timestamp is not None]
        for each, stamp in zip(results, stamps, strict=True):
            labels = (each.policy, each.source)
            said = stamp if stamp < max(stamps) - LAG else max(stamps)
            found[labels] = min(said, found.get(labels, said))
    return found
