"""No object costs more than its size warrants, whatever is in it."""

import time
from collections.abc import Callable

import pytest

from exporter.model.report import Reference
from tests.hostile.objects import NOW, Watched, report, result, scattered

SMALL, TIMES = 1_000, 8
STEEPEST = 3 * TIMES
"""Linear is 8; quadratic would be 64."""


def distinct_times(size: int) -> None:
    """Each result stands since another second, and each is the oldest when its turn to go comes."""
    watched = Watched()
    for shift in (0, size):
        rules = range(shift, shift + size)
        watched.sees(report("r", [result(f"r{n}", seconds=NOW - 10**8 + n) for n in rules]))


def one_uid_of_many_kinds(size: int) -> None:
    about = [Reference(f"K{n}", "x", "evil", "u") for n in range(size)]
    Watched().sees(scattered("r", [result(about=each) for each in about]))


def one_resource_in_many_reports(size: int) -> None:
    watched = Watched()
    reports = [scattered(f"r{n}", [result(about=Reference("Pod", "x"))]) for n in range(size)]
    watched.sees(*reports)
    watched.loses(*reports)


def many_resources(size: int) -> None:
    watched = Watched()
    watched.sees(scattered("r", [result(about=Reference("Pod", f"x{n}")) for n in range(size)]))
    watched.scrape()


def many_replicas(size: int) -> None:
    """All are one workload's by their names, or each pair is another's; written twice."""
    for pattern in ("x-{0}", "x{1}-{0}"):
        watched = Watched()
        names = [pattern.format(n, n // 2) for n in range(size)]
        about = [Reference("StatefulSet", "x"), *[Reference("Pod", name) for name in names]]
        for rule in ("r1", "r2"):
            watched.sees(scattered("r", [result(rule, about=each) for each in about]))
            watched.scrape()


def many_policies(size: int) -> None:
    watched = Watched()
    watched.sees(report("r", [result(policy=f"p{n}") for n in range(size)]))
    watched.scrape()


def seconds(work: Callable[[int], None], size: int) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        work(size)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize(
    "work",
    [
        distinct_times,
        one_uid_of_many_kinds,
        one_resource_in_many_reports,
        many_resources,
        many_replicas,
        many_policies,
    ],
    ids=lambda work: work.__name__,
)
def test_an_object_eight_times_as_large_takes_about_eight_times_as_long(
    work: Callable[[int], None],
) -> None:
    assert seconds(work, SMALL * TIMES) < STEEPEST * seconds(work, SMALL)
