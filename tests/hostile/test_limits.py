"""What one report, and the reports of one namespace, may make the exporter keep."""

import gc
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.model.changes import Applied, Deleted, Init, InitDone
from exporter.model.report import BADNESS, RESULTS, Instant, Reference, Report, Result
from exporter.state.cluster import ClusterState
from exporter.state.failures import OpenFailure, standing
from exporter.state.selection import Selection
from exporter.state.shares import (
    DEFAULT_SHARES,
    MAX_SOURCES,
    NOT_KEPT,
    NamespaceShares,
    size_of,
    weight,
)
from exporter.state.tally import OVERFLOW
from exporter.view.summary import describe_cut, figures
from exporter.wire.report_limits import ReportLimits
from exporter.wire.result_cache import ResultCache, WireReport
from tests.app.running import parse, total
from tests.hostile.objects import EVIL, NOW, REPORTS, report, scattered

FEW = ReportLimits(results=10, size=1_000_000)
Results = list[dict[str, Any]]


def results(*words: str, seconds: int = NOW - 60, message: str = "no") -> Results:
    """A result of each word, of a policy of its own."""
    fixed = {"source": "kyverno", "timestamp": {"seconds": seconds}, "message": message}
    return [{"policy": f"p{at}", "result": word, **fixed} for at, word in enumerate(words)]


def read(
    cache: ResultCache, found: Results, *, scope: bool = True, summary: object = None
) -> Report:
    """Read a report as the API server sends it."""
    about = {"kind": "Pod", "name": "web", "uid": "u"} if scope else None
    head = {"metadata": {"name": "u", "namespace": EVIL}, "scope": about, "summary": summary}
    body = msgspec.json.encode({**head, "results": found})
    return cache.report(msgspec.json.decode(body, type=WireReport))


def kept(found: Report) -> list[str]:
    return [raw[2] for piece in found.pieces for raw in piece.result_set.raw_results]


class Seen:
    """A state after its first list, which was empty."""

    def __init__(self, shares: NamespaceShares = DEFAULT_SHARES) -> None:
        self.state = ClusterState(Selection(), lambda: NOW, shares=shares)
        self.ledger = self.state.ledger
        self.relist()

    def sees(self, *reports: Report) -> None:
        for each in reports:
            self.state.apply(Applied(REPORTS, each))
        self.ledger.settle()

    def loses(self, *reports: Report) -> None:
        for each in reports:
            self.state.apply(Deleted(REPORTS, each))
        self.ledger.settle()

    def relist(self, *reports: Report) -> None:
        self.state.apply(Init(REPORTS))
        self.sees(*reports)
        self.state.apply(InitDone(REPORTS))
        self.ledger.settle()

    def failing(self, namespace: str) -> list[OpenFailure]:
        places = self.ledger.failures.places
        found = [one for p, c in places.items() if p.namespace == namespace for one in standing(c)]
        return sorted(found, key=lambda one: one.identity)

    @property
    def moved(self) -> tuple[int, int]:
        """How many failures were counted as opened and as closed."""
        failures = self.ledger.failures
        return sum(failures.opened.rows.values()), sum(failures.closed.rows.values())

    @property
    def not_itemised(self) -> list[int]:
        rows = self.ledger.totals.not_itemised.values()
        return [sum(column) for column in zip(*rows, strict=True)] or [0] * len(RESULTS)


@pytest.mark.parametrize("scope", [True, False], ids=["scope", "no scope"])
def test_of_a_report_with_too_many_results_the_worst_are_kept(scope: bool) -> None:
    words = ["pass"] * 8 + ["skip", "warn", "odd"] + ["fail"] * 4 + ["error"] * 3
    found = read(ResultCache(limits=FEW), results(*words), scope=scope)
    assert kept(found) == ["fail"] * 4 + ["error"] * 3 + ["warn"] + ["pass"] * 2
    assert found.cut == (6, 0, 0, 0, 1)


@pytest.mark.parametrize("count", [9, 10])
def test_of_a_report_within_its_limits_all_results_are_kept_in_their_order(count: int) -> None:
    words = list(itertools.islice(itertools.cycle(("pass", "fail")), count))
    found = read(ResultCache(limits=FEW), results(*words))
    assert (kept(found), found.cut) == (words, None)


def test_a_result_that_names_resources_counts_for_each() -> None:
    named = [{**each, "resources": [{"name": "a"}, {"name": "b"}]} for each in results(*BADNESS)]
    found = read(ResultCache(limits=ReportLimits(6, 10**6)), named, scope=False)
    assert kept(found) == ["fail", "error", "warn"] * 2
    assert found.cut == (2, 0, 0, 0, 2)


def test_of_a_result_that_names_too_many_resources_the_first_are_kept() -> None:
    about = [{"kind": "Pod", "name": f"x{n}"} for n in range(50_000)]
    named = [{**each, "resources": about} for each in results("fail")]
    found = read(ResultCache(limits=ReportLimits(6, 10**6)), named, scope=False)
    assert [piece.about.name for piece in found.pieces] == ["x0", "x1", "x2"]
    assert found.cut == (0, 50_000 - 3, 0, 0, 0)


def test_of_results_that_name_too_many_resources_the_worst_are_kept() -> None:
    named = [
        {**each, "resources": [{"kind": "Pod", "name": f"x{number // 2}"}]}
        for number, each in enumerate(results("pass", "warn", "pass", "pass", "fail", "error"))
    ]
    cache = ResultCache(limits=ReportLimits(6, 10**6))
    assert read(cache, named, scope=False).cut is None
    named[5]["resources"] = [{"kind": "Pod", "name": "another"}]
    found = read(cache, named, scope=False)
    assert [piece.about.name for piece in found.pieces] == ["x2", "another", "x0"]
    assert found.cut == (2, 0, 0, 0, 0)


def test_a_report_is_cut_by_the_memory_that_its_text_takes() -> None:
    cache = ResultCache(limits=ReportLimits(10_000, 100_000))
    plain = read(cache, results(*["fail"] * 200, message="m" * 1_000))
    wide = read(cache, results(*["fail"] * 200, message="\U0001f600" + "m" * 1_000))
    assert 80 < len(kept(plain)) < 100
    assert 20 < len(kept(wide)) < 25
    assert plain.cut == (0, 200 - len(kept(plain)), 0, 0, 0)


@given(st.lists(st.sampled_from([*RESULTS, "odd"]), max_size=40), st.integers(1, 20))
def test_the_same_report_is_cut_the_same_and_its_sums_are_whole(
    words: list[str], most: int
) -> None:
    one, other = (
        read(ResultCache(limits=ReportLimits(most, 10**6)), results(*words, seconds=seconds))
        for seconds in (NOW - 60, NOW - 5)
    )
    sets = [each.pieces[0].result_set for each in (one, other)]
    assert sets[0].raw_results == sets[1].raw_results
    assert (len(kept(one)), one.cut) == (min(most, len(words)), other.cut)
    counts = [kept(one).count(word) for word in RESULTS]
    whole = [n + cut for n, cut in zip(counts, one.cut or (0,) * 5, strict=True)]
    assert whole == [words.count(word) for word in RESULTS]


@pytest.mark.parametrize("summary", [None, {"pass": 30}, {"fail": 1, "pass": 2**53}], ids=str)
def test_whatever_its_summary_claims_a_cut_report_is_not_compliant(summary: object) -> None:
    seen = Seen()
    seen.sees(read(ResultCache(limits=FEW), results(*["fail"] * 30), summary=summary))
    counts = figures(seen.state, "objects", whole=True)
    assert counts.results.fail == 30
    assert counts.resources.fail == 1
    assert seen.not_itemised[RESULTS.index("fail")] == 20


def test_a_scan_of_a_cut_report_opens_and_closes_nothing() -> None:
    seen, cache = Seen(), ResultCache(limits=FEW)
    for seconds in (NOW - 60, NOW - 30, NOW - 5):
        seen.sees(read(cache, results(*["fail", "pass"] * 30, seconds=seconds)))
    seen.relist(read(cache, results(*["fail", "pass"] * 30, seconds=NOW - 1)))
    assert seen.moved == (10, 0)


def test_a_scan_of_a_report_on_many_resources_exchanges_nothing_but_messages() -> None:
    def scanned(seconds: int, message: str) -> Report:
        return scattered(
            "r",
            (
                Result(
                    "p",
                    "r",
                    "fail",
                    source="kyverno",
                    timestamp=Instant(seconds),
                    message=message,
                    resources=[Reference("Pod", f"x{n}")],
                )
                for n in range(50)
            ),
        )

    seen, exchanged = Seen(), list[object]()
    seen.sees(scanned(NOW - 60, "before"))
    first = seen.failing(EVIL)
    seen.ledger.failures.listeners.append(lambda *_: exchanged.append(None))
    seen.sees(scanned(NOW - 5, "after"))
    seen.relist(scanned(NOW - 1, "after"))
    assert exchanged == []
    assert seen.failing(EVIL) == [one._replace(message="after") for one in first]
    used = seen.ledger._report_stores.usage.of(EVIL)
    assert used.message_bytes == 50 * size_of(["after"])


def test_reports_that_were_cut_are_counted_until_they_are_not() -> None:
    seen, cache = Seen(), ResultCache(limits=FEW)
    seen.sees(read(cache, results(*["fail"] * 30)))
    assert seen.ledger.totals.cut_reports == 1
    assert describe_cut(1)[0].startswith("1 report exceeds limits.report_results or ")
    seen.sees(read(cache, results("fail")))
    assert (seen.ledger.totals.cut_reports, describe_cut(0)) == (0, [])
    assert seen.not_itemised == [0] * 5


def failing(name: str, count: int, *, message: str = "", namespace: str = EVIL) -> Report:
    rules = (
        Result("p", f"r{n}", "fail", "high", source="kyverno", message=f"{n} {message}")
        for n in range(count)
    )
    return report(name, rules, namespace=namespace)


def test_failures_beyond_the_share_of_a_namespace_are_added_up_by_severity() -> None:
    seen = Seen(NamespaceShares(failures=10))
    seen.sees(failing("a", 8), failing("b", 8), failing("c", 1))
    assert len(seen.failing(EVIL)) == 8 + 1 + 1
    by_policy: Counter[str] = Counter()
    for row, counts in seen.ledger.totals.results.items():
        by_policy[row[3]] += counts[RESULTS.index("fail")]
    assert by_policy == {"p": 9, "__overflow__": 8}
    assert seen.ledger.sums.by_severity["high", "false"] == [0, 17, 0, 0, 0]
    assert sum(seen.ledger.failures.resources.rows.values()) == 17
    assert seen.ledger.folded == 1


def test_shares_are_of_namespaces_even_where_no_series_names_them() -> None:
    seen = Seen(NamespaceShares(failures=10))
    seen.sees(failing("a", 8), failing("b", 8), failing("c", 8, namespace="team-a"))
    exposure = ExposureSettings(drop=frozenset({"namespace"}), birth_hold=0)
    shots = Exposition(seen.state, exposure).take(NOW, lambda _: True)
    samples = parse(b"".join(render(shots, openmetrics=False)).decode())
    family = "policyreport_results"
    assert total(samples, family, result="fail", policy="p") == 8 + 8
    assert total(samples, family, result="fail", policy=OVERFLOW) == 8


def test_what_a_report_keeps_it_may_keep() -> None:
    seen = Seen(NamespaceShares(failures=10))
    reports = [failing("a", 5), failing("b", 5)]
    seen.sees(*reports)
    for _ in range(2):
        seen.sees(failing("a", 5, message="other"))
        seen.relist(*reversed(reports))
    assert seen.ledger.folded == 0
    assert seen.moved == (10, 0)


def test_to_be_added_up_or_no_more_is_neither_an_end_nor_a_beginning() -> None:
    seen = Seen(NamespaceShares(failures=10))
    seen.sees(failing("a", 8))
    seen.sees(failing("b", 8))
    assert seen.moved == (9, 0)
    seen.loses(failing("a", 8))
    seen.sees(failing("b", 8))
    assert len(seen.failing(EVIL)) == 8
    assert seen.moved == (9, 8)


def test_messages_beyond_the_share_of_a_namespace_are_replaced() -> None:
    long = "m" * 900
    share = 2 * size_of([f"0 {long}"])
    seen = Seen(NamespaceShares(message_bytes=share))
    seen.sees(*(failing(name, 1, message=long) for name in "abc"))
    seen.sees(failing("t", 1, message=long, namespace="team-a"))
    assert [one.message[:3] for one in seen.failing(EVIL)] == ["0 m", "0 m", NOT_KEPT[:3]]
    assert seen.failing("team-a")[0].message == f"0 {long}"
    seen.loses(failing("a", 1, message=long))
    seen.sees(failing("c", 1, message=long))
    assert [one.message for one in seen.failing(EVIL)] == [f"0 {long}"] * 2


@pytest.mark.parametrize("kind", [report, scattered], ids=["scope", "no scope"])
def test_a_uid_of_a_megabyte_is_not_kept(kind: Callable[..., Report]) -> None:
    about = Reference("Pod", "x", EVIL, "u" * 2**20)
    seen = Seen()
    found = kind("r", [Result("p", "r", "fail", source="kyverno", resources=[about])])
    seen.sees(found)
    del found
    gc.collect()
    sizes = [len(each) for each in gc.get_objects() if isinstance(each, str)]
    assert max(sizes, default=0) < 2**20
    assert all(len(s) < 2**10 for p in seen.ledger._shared._statuses for s in p)


def naming(namespace: str, name: str, sources: list[str], seconds: int = NOW - 60) -> Report:
    stamp = Instant(seconds)
    rows = [Result("p", "r", "fail", source=each, timestamp=stamp) for each in sources]
    return report(name, rows, namespace=namespace)


def shown(seen: Seen, first: str) -> dict[str, float]:
    """The numbers of sources that count, or that are left out, whose names begin with *first*."""
    newest = {source: seconds for (source,), seconds in seen.ledger.newest.rows.items()}
    counts = {source: n for (_, source), n in seen.ledger.left_out.by_source.items() if n}
    return {source: n for source, n in (newest | counts).items() if source.startswith(first)}


@pytest.mark.parametrize("first", [EVIL, "team-a"])
@pytest.mark.parametrize("source", ["Kyverno", "other"], ids=["newest", "left out"])
def test_sources_that_one_namespace_invents_fold_no_source_of_another(
    source: str, first: str
) -> None:
    invented = naming(EVIL, "r", [f"{source}-evil-{n}" for n in range(3 * MAX_SOURCES)])
    named = naming("team-a", "r", [f"{source}-a-{n}" for n in range(MAX_SOURCES // 2)])
    seen = Seen()
    seen.sees(*((invented, named) if first == EVIL else (named, invented)))
    assert len(shown(seen, f"{source}-a-")) == MAX_SOURCES // 2
    assert len(shown(seen, f"{source}-evil-")) == MAX_SOURCES // 2
    assert OVERFLOW in shown(seen, "")


def test_after_a_reload_no_source_s_newest_result_is_older() -> None:
    many = [f"Kyverno-{n}" for n in range(3 * MAX_SOURCES)]
    former, successor = Seen(), Seen()
    former.sees(naming(EVIL, "r", many, NOW - 10))
    successor.sees(naming(EVIL, "r", many, NOW - 60))
    successor.ledger.newest.go_on_from(former.ledger.newest)
    assert successor.ledger.newest.rows == former.ledger.newest.rows
    assert set(successor.ledger.newest.rows.values()) == {NOW - 10}


def test_left_out_results_that_are_gone_are_subtracted_where_they_were_added() -> None:
    seen = Seen()
    for count in (3 * MAX_SOURCES, 0, MAX_SOURCES, 0):
        seen.sees(naming(EVIL, "r", [f"other-{n}" for n in range(count)]))
        assert sum(shown(seen, "").values()) == count


TEAMS = "abcdef"
naming_steps = st.tuples(
    st.sampled_from(TEAMS), st.sampled_from("rs"), st.lists(st.integers(0, 200), max_size=9)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(naming_steps, max_size=8), st.sets(st.sampled_from(TEAMS), min_size=1, max_size=3))
def test_sources_within_the_share_of_a_namespace_are_shown_whatever_the_others_name(
    steps: list[tuple[str, str, list[int]]], evil: set[str]
) -> None:
    beside, alone = Seen(), Seen()
    within = MAX_SOURCES // len(TEAMS) // 2
    for team, name, numbers in steps:
        chosen = range(min(numbers, default=0)) if team in evil else {n % within for n in numbers}
        kinds = ("Kyverno", "other")
        written = naming(team, name, [f"{kind}-{team}-{n}" for kind in kinds for n in chosen])
        beside.sees(written)
        if team not in evil:
            alone.sees(written)
    for team in set(TEAMS) - evil:
        for kind in ("Kyverno", "other"):
            assert shown(beside, f"{kind}-{team}-") == shown(alone, f"{kind}-{team}-")
    assert len(beside.ledger.newest.rows) <= MAX_SOURCES + 1
    assert len(beside.ledger.left_out.by_source) <= MAX_SOURCES + 1


MANY = NamespaceShares(failures=6, message_bytes=size_of(["x" * 100]) * 4)
writes = st.tuples(
    st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["", "x" * 99, "y" * 300])
)
within = st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.just(""))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.tuples(st.just(EVIL), writes), st.tuples(st.just("team-a"), within))))
def test_what_one_namespace_writes_changes_nothing_that_is_kept_of_others(
    steps: list[tuple[str, tuple[str, int, str]]],
) -> None:
    beside, alone = Seen(MANY), Seen(MANY)
    for namespace, (name, count, message) in steps:
        written = failing(name, count, message=message, namespace=namespace)
        beside.sees(written)
        if namespace != EVIL:
            alone.sees(written)
    assert beside.failing("team-a") == alone.failing("team-a")
    usage, stores = beside.ledger._report_stores.usage, beside.ledger._report_stores.stores
    weights = [weight(held) for store in stores for _, held in store.names(EVIL)]
    assert usage.of(EVIL) == tuple(map(sum, zip((0, 0, 0), *weights, strict=True)))
    assert usage.of(EVIL).message_bytes <= MANY.message_bytes
    unfolded = [one for one in beside.failing(EVIL) if one.name != "__overflow__"]
    assert len(unfolded) <= MANY.failures
    beside.relist()
    assert usage.of(EVIL) == (0, 0, 0)
