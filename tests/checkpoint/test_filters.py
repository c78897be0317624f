"""What counted under one choice, under another: nothing began, ended or was lost by choosing."""

import msgspec
import pytest

from exporter.checkpoint.filters import CountingFilters
from exporter.state.failures import Identity
from exporter.state.selection import Filters, Globs
from exporter.state.tally import OVERFLOW

EVENT = ("team-a", "Pod", "p", "ClusterPolicy", "r", "blocked", "high", "none", "admission")
GROUP = ("team-a", "p", "high", "kyverno")
IDENTITY = Identity("Pod", "web", "p", "r", "kyverno")


def without(**excluded: str) -> CountingFilters:
    patterns = {name: Globs(exclude=(glob,)) for name, glob in excluded.items()}
    return CountingFilters(filters=msgspec.structs.replace(Filters(), **patterns))


CHOICES = {
    "all": (CountingFilters(), True, True, True),
    "other namespaces": (without(namespaces="team-*"), False, False, False),
    "other policies": (without(policies="p"), False, False, False),
    "other kinds": (without(kinds="Pod"), False, True, False),
    "other severities": (without(severities="high"), True, False, False),
    "series of workloads only": (
        CountingFilters(filters=Filters(controlled=False)),
        True,
        True,
        True,
    ),
    "other sources": (CountingFilters(sources=("trivy",)), True, False, False),
    "other controllers": (CountingFilters(controllers=("kyverno-scan",)), False, True, True),
    "no failures": (CountingFilters(failures=False), True, False, False),
    "another shard": (CountingFilters(shard=(0, 2)), False, False, False),
    "this shard": (CountingFilters(shard=(1, 2)), True, True, True),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_counts_under_a_choice(case: str) -> None:
    choice, occurrence, transition, failure = CHOICES[case]
    judge = choice.judge()
    assert judge.occurrence(EVENT) is occurrence
    assert judge.transition(GROUP) is transition
    assert judge.failure(IDENTITY, GROUP) is failure


def test_what_a_budget_folded_counts_wherever_its_namespace_does() -> None:
    judge = CountingFilters(
        sources=("trivy",), filters=Filters(policies=Globs(("p",)), kinds=Globs(("Pod",)))
    ).judge()
    assert judge.transition(("team-a", OVERFLOW, OVERFLOW, OVERFLOW))
    assert judge.occurrence(("team-a", *[OVERFLOW] * 8))
