"""Nobody fills the memory, or the series that others need: names beyond a bound are one."""

import gc
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from exporter.model.report import Reference, Report, Result
from exporter.state.selection import remembered
from exporter.state.shares import MAX_NAMED_PER_NAMESPACE as NAMED
from exporter.state.shares import MAX_OUTCOMES_PER_NAMESPACE as SHARE
from exporter.state.shares import MAX_SOURCES
from exporter.state.tally import OVERFLOW, OVERFLOWING, Counters, FiveFold
from tests.hostile.objects import EVIL, Watched, report, resident_bytes, result, scattered
from tests.state.violations import Cluster, event

MIB = 2**20


def innocents() -> list[Report]:
    """What another namespace has: three Pods, two policies."""
    return [
        report(f"u{n}", [result(policy="p"), result(policy="q")], namespace="team-a")
        for n in range(3)
    ]


def only(tally: FiveFold, namespace: str) -> dict[tuple[str, ...], list[int]]:
    return {labels: list(row) for labels, row in tally.items() if labels[0] == namespace}


def failing(watched: Watched, namespace: str) -> int:
    watched.state.ledger.settle()
    return sum(row[1] for row in only(watched.state.ledger.totals.results, namespace).values())


def growth(work: Iterable[object]) -> list[int]:
    """Say how many bytes are resident after each step."""
    held = []
    for _ in work:
        gc.collect()
        held.append(resident_bytes())
    return held


def distinct(number: int, size: int) -> Report:
    """A report of 100 KB or so in which no name occurs that occurred before."""
    return report(f"r{number}", [result(policy=f"p{number}-{n}") for n in range(size)])


def test_150_000_policies_in_one_namespace_take_the_room_of_a_namespace() -> None:
    watched = Watched()
    watched.sees(*innocents())

    def flood() -> Iterator[None]:
        for step in range(5):
            watched.sees(*(distinct(step * 10 + n, 3_000) for n in range(10)))
            watched.state.ledger.settle()
            yield

    held = growth(flood())
    assert failing(watched, EVIL) == 150_000
    assert len(only(watched.state.ledger.totals.results, EVIL)) <= SHARE + 1
    assert held[-1] - held[1] < 60 * MIB, [each // MIB for each in held]
    assert watched.state.ledger.folded >= 46


def test_the_others_numbers_are_what_they_were() -> None:
    alone, beside = Watched(), Watched()
    beside.sees(*(distinct(n, 3_000) for n in range(10)))
    for watched in (alone, beside):
        watched.sees(*innocents())
        watched.scrape()
    for family in ("results", "summary", "resources"):
        mine, theirs = (getattr(w.state.ledger.totals, family) for w in (alone, beside))
        assert only(mine, "team-a") == only(theirs, "team-a")
    theirs = {line for line in alone.scrape().splitlines() if 'namespace="team-a"' in line}
    assert theirs <= set(beside.scrape().splitlines())


def test_what_was_folded_goes_with_its_report() -> None:
    watched = Watched()
    reports = [distinct(n, 3_000) for n in range(5)]
    watched.sees(*reports)
    assert failing(watched, EVIL) == 15_000
    watched.loses(*reports)
    watched.state.ledger.settle()
    assert only(watched.state.ledger.totals.results, EVIL) == {}
    assert only(watched.state.ledger.totals.resources, EVIL) == {}
    assert watched.state.ledger.failures.resources.rows == {}
    assert len(watched.state.ledger._accountant.profiles) == 0
    budget = watched.state.ledger._accountant.budget
    assert (budget._held, budget._sizes) == ({}, {})


def test_room_that_was_given_back_is_taken_again() -> None:
    watched = Watched()
    first, second = (
        distinct(1, SHARE - 1),
        distinct(2, SHARE - 1),
    )
    watched.sees(first, second)
    watched.state.ledger.settle()
    assert (EVIL, OVERFLOW, "false", OVERFLOW, OVERFLOW, "none", OVERFLOW, OVERFLOW) in set(
        watched.state.ledger.totals.results
    )
    watched.loses(first)
    watched.state.ledger.settle()
    watched.sees(second)
    watched.state.ledger.settle()
    assert all(labels[1] == "Pod" for labels in only(watched.state.ledger.totals.results, EVIL))


def test_severities_survive_the_folding() -> None:
    watched = Watched()
    high = [Result(f"p{n}", "r", "fail", "high", source="kyverno") for n in range(SHARE + 5)]
    watched.sees(report("r", high))
    watched.state.ledger.settle()
    assert watched.state.ledger.sums.by_severity == {("high", "false"): [0, SHARE + 5, 0, 0, 0]}


def test_whoever_calls_a_kind_overflow_gets_no_room_for_it() -> None:
    watched = Watched()
    for number in range(5):
        rows = [result(policy=f"p{number}-{n}") for n in range(3_000)]
        watched.sees(report(f"r{number}", rows, kind=OVERFLOW))
    assert failing(watched, EVIL) == 15_000
    assert len(only(watched.state.ledger.totals.results, EVIL)) <= SHARE + 1


def test_kinds_are_bounded_as_policies_are() -> None:
    watched = Watched()
    watched.sees(*(report(f"r{n}", [], kind=f"Kind{n}") for n in range(SHARE + 500)))
    budget = watched.state.ledger._accountant.budget
    held = [said for (namespace, _), said in budget._held.items() if namespace == EVIL]
    assert sum(map(len, held)) == budget._sizes[EVIL] == SHARE


def test_the_resources_that_results_name_are_bounded() -> None:
    watched = Watched()
    for number in range(5):
        about = (Reference("Pod", f"x{number}-{n}") for n in range(NAMED // 4))
        watched.sees(scattered(f"r{number}", [result(about=each) for each in about]))
    assert failing(watched, EVIL) == 5 * (NAMED // 4)
    assert len(watched.state.ledger.failures.resources.rows) <= NAMED + 5
    assert watched.state.ledger.folded == 1


def test_a_report_keeps_the_room_that_it_has_when_it_is_written_again() -> None:
    watched = Watched()
    about = [Reference("Pod", f"x{n}") for n in range(NAMED)]
    for word in ("r", "s"):
        watched.sees(scattered("r", [result(word, about=each) for each in about]))
        assert watched.state.ledger.folded == 0
    names = {labels[2] for labels in watched.state.ledger.failures.resources.rows}
    assert len(names) == NAMED


def test_sources_are_bounded() -> None:
    watched = Watched()
    for number in range(3):
        rows = [
            Result("p", source=f"Kyverno{number}-{n}", timestamp=result().timestamp)
            for n in range(MAX_SOURCES)
        ]
        watched.sees(report("r", rows))
    assert len(watched.state.ledger.newest.rows) == MAX_SOURCES + 1


def test_messages_that_came_and_went_are_forgotten() -> None:
    watched = Watched()

    def rewrites() -> Iterator[None]:
        for number in range(40):
            rows = [
                Result("p", f"r{n}", "fail", source="kyverno", message=f"{number}-{n} " + "m" * 900)
                for n in range(1_000)
            ]
            watched.sees(report("r", rows))
            yield

    held = growth(rewrites())
    assert held[-1] - held[15] < 12 * MIB, [each // MIB for each in held]


def test_reports_that_are_written_over_and_over_leave_nothing_behind() -> None:
    watched = Watched()

    def rewrites() -> Iterator[None]:
        for number in range(40):
            watched.sees(distinct(number, 1_000))
            watched.loses(distinct(number, 1_000))
            watched.scrape()
            yield

    held = growth(rewrites())
    assert held[-1] - held[25] < 12 * MIB, [each // MIB for each in held]


def test_long_names_are_not_remembered() -> None:
    asked: list[str] = []

    def decide(name: str) -> bool:
        asked.append(name)
        return True

    chosen = remembered(decide)
    for _ in range(2):
        chosen("x" * MIB)
        chosen("short")
    assert [len(name) for name in asked] == [MIB, 5, MIB]


def test_a_namespace_counts_no_more_than_its_share_apart() -> None:
    counters = Counters(200_000)
    for number in range(SHARE + 100):
        counters.add((EVIL, f"p{number}"))
    counters.add(("team-a", "p"))
    assert counters.rows["team-a", "p"] == 1
    assert counters.rows[EVIL, OVERFLOW] == 100
    assert (len(counters.rows), counters.folded) == (SHARE + 2, 100)


def test_any_number_of_namespaces_leaves_room_for_the_next() -> None:
    counters = Counters(20_000, kept={2})
    for number in range(30):
        for policy in range(1_000):
            counters.add((f"evil-{number}", f"p{policy}", "low"))
    for policy in range(20):
        counters.add(("team-a", f"p{policy}", "critical"))
    mine = [row for row in counters.rows if row[0] == "team-a"]
    assert mine == [("team-a", f"p{policy}", "critical") for policy in range(20)]


def test_what_counts_beyond_a_share_keeps_its_severity() -> None:
    counters = Counters(200_000, kept={2})
    for number in range(SHARE + 5):
        counters.add((EVIL, f"p{number}", "critical"))
    assert counters.rows[EVIL, OVERFLOW, "critical"] == 5


def test_a_restored_counter_knows_whose_share_is_used() -> None:
    before, after = Counters(200_000), Counters(200_000)
    for number in range(SHARE):
        before.add((EVIL, f"p{number}"))
    after.restore(before.rows)
    after.add((EVIL, "one more"))
    assert after.rows[EVIL, OVERFLOW] == 1


def test_namespaces_that_do_not_exist_are_one_beyond_a_bound() -> None:
    counters = Counters(100)
    for number in range(OVERFLOWING + 300):
        counters.add((f"invented-{number}", "p"))
    assert len(counters.rows) == 100 + OVERFLOWING + 1
    assert counters.rows[OVERFLOW, OVERFLOW] == 200


def test_series_of_invented_namespaces_are_one_beyond_a_bound() -> None:
    watched = Watched(max_series=100)
    rest = ("Pod", "false", "p", "r", "none", "none", "k")
    for number in range(OVERFLOWING + 300):
        watched.state.ledger.totals.results.add((f"ns{number}", *rest), 1, 1)
    series = watched.exposition.projections[0].series
    watched.scrape("policyreport_results")
    assert len(series) <= 100 + OVERFLOWING + 1
    shown = sum(int(series.value(labels)) for labels in series.slots)
    assert shown == OVERFLOWING + 300


@pytest.mark.parametrize("scrapes", [1, 3])
def test_folded_series_sum_up_to_what_stands(scrapes: int) -> None:
    watched = Watched(max_series=50)
    watched.sees(*(distinct(n, 100) for n in range(3)), *innocents())
    bodies = [watched.scrape("policyreport_results") for _ in range(scrapes)]
    body = bodies[-1]
    sums = Counter[str]()
    for line in body.splitlines():
        if line.startswith("policyreport_results{"):
            labels, _, value = line.rpartition(" ")
            sums[labels.split('namespace="')[1].split('"')[0]] += int(value)
    assert sums == {EVIL: 300, "team-a": 6}


def test_forged_events_without_end_leave_bounded_memory() -> None:
    cluster = Cluster()

    def flood() -> Iterator[None]:
        for step in range(8):
            for number in range(step * 3_000, (step + 1) * 3_000):
                forged = event(f"e.{number}", policy=f"p{number}", kind="ClusterPolicy")
                cluster.sees(forged)
                cluster.loses(forged)
            yield

    held = growth(flood())
    assert cluster.total == 24_000
    # Tombstones are full at 20,000 and the namespace's share of rows at 10,000.
    assert held[-1] - held[-2] < 3 * MIB, [each // MIB for each in held]
    assert cluster.violation_events.live.rows == {}
