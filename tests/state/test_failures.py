"""Who fails what since when, and how often that began and ended."""

from collections.abc import Callable, Iterable

import pytest

from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Instant, Reference, Report, Result
from exporter.model.resource import POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from tests.state.violations import NOW, Clock

SCOPE = Scope(POLICY_REPORTS)
GROUP = ("team-a", "p", "high", "kyverno")
UID_OF: list[Callable[[str], str]] = [str]


@pytest.fixture(autouse=True, params=[str, lambda _: ""], ids=["of its resource", "of itself"])
def _named_after(request: pytest.FixtureRequest) -> None:
    """Reports are named after their resource's uid, as Kyverno's are, or have names of their own.

    Those of the one kind are exchanged on a way of their own.
    """
    UID_OF[0] = request.param


def report(name: str, failing: Iterable[str] = ("r",), *, seconds: float = NOW - 60) -> Report:
    """A report on a Pod that fails some rules of p and passes another."""
    verdicts = [("ok", "pass"), *((rule, "fail") for rule in failing)]
    at = Instant(int(seconds))
    results = [
        Result("p", rule, word, severity="high", source="kyverno", timestamp=at)
        for rule, word in verdicts
    ]
    about = Reference("Pod", name, uid=UID_OF[0](name))
    return Report.of(Metadata(name, "team-a"), about, None, results)


class Watched:
    """Failures behind a ledger; *listed* reports were there at the first list."""

    def __init__(self, *listed: Report) -> None:
        self.clock = Clock()
        self.state = ClusterState(Selection(), self.clock)
        self.failures = self.state.ledger.failures
        self.list(*listed)

    def list(self, *reports: Report) -> None:
        self.state.apply(Init(SCOPE))
        self.sees(*reports)
        self.state.apply(InitDone(SCOPE))

    def sees(self, *reports: Report) -> None:
        for each in reports:
            self.state.apply(Applied(SCOPE, each))

    def loses(self, each: Report) -> None:
        self.state.apply(Deleted(SCOPE, each))

    @property
    def counts(self) -> tuple[int, int]:
        """Opened and closed."""
        return (self.failures.opened.rows.get(GROUP, 0), self.failures.closed.rows.get(GROUP, 0))

    @property
    def oldest(self) -> float | None:
        return self.failures.oldest.least.rows.get(GROUP)


def test_the_first_list_opens_nothing_but_shows_its_counters_at_zero() -> None:
    watched = Watched(report("a"), report("b"))
    assert watched.failures.opened.rows == watched.failures.closed.rows == {GROUP: 0}


def test_a_failure_opens_once_and_closes_once() -> None:
    watched = Watched(report("a", []))
    for failing in (["r"], ["r"], [], []):
        watched.sees(report("a", failing))
    assert watched.counts == (1, 1)


def test_each_rule_of_a_resource_is_a_failure() -> None:
    watched = Watched(report("a", ["r"]))
    watched.sees(report("a", ["r", "s", "t"]))
    watched.sees(report("a", ["t"]))
    assert watched.counts == (2, 2)


@pytest.mark.parametrize("listed_again", [False, True])
def test_a_report_that_goes_closes_its_failures(listed_again: bool) -> None:
    watched = Watched(report("a", ["r", "s"]), report("b"))
    if listed_again:
        watched.list(report("b"))
    else:
        watched.loses(report("a"))
    assert watched.counts == (0, 2)


def test_a_rescan_changes_nothing_but_timestamps() -> None:
    watched = Watched(report("a", seconds=NOW - 7200))
    watched.clock.now = NOW + 3600
    watched.sees(report("a", seconds=NOW + 3600))
    assert (watched.counts, watched.oldest) == ((0, 0), NOW - 7200)


def test_the_oldest_failure_is_the_longest_standing_one() -> None:
    watched = Watched(report("a", seconds=NOW - 500), report("b", seconds=NOW - 900))
    assert watched.oldest == NOW - 900
    watched.sees(report("b", []))
    assert watched.oldest == NOW - 500
    watched.loses(report("a"))
    assert watched.oldest is None


@pytest.mark.parametrize("seconds", [NOW + 3600, 59, 0])
def test_an_absurd_time_is_now(seconds: float) -> None:
    assert Watched(report("a", seconds=seconds)).oldest == NOW


def test_a_failure_that_comes_back_is_new() -> None:
    watched = Watched(report("a", seconds=NOW - 900))
    watched.sees(report("a", []))
    watched.sees(report("a", seconds=NOW - 10))
    assert (watched.counts, watched.oldest) == ((1, 1), NOW - 10)


def test_failing_results_are_named_and_passing_ones_are_not() -> None:
    watched = Watched(report("a", ["r"]))
    row = ("team-a", "Pod", "a", "false", "Pod", "a", "p", "r", "fail", "high", "kyverno")
    assert watched.failures.resources.rows == {row: 1}
    watched.loses(report("a"))
    assert watched.failures.resources.rows == {}
