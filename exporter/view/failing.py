"""Picks one page of the failing results, however many there are, without holding the loop."""

import asyncio
from heapq import merge
from itertools import islice
from typing import Final

from exporter.state.failures import Failures, OpenFailure, standing_in
from exporter.state.sums import FailureBucket
from exporter.view import values

SLICE: Final = 500
"""Reports looked into between two turns of the loop: 2 to 4 ms."""

_RANK: Final = {severity: rank for rank, severity in enumerate(values.SEVERITIES)}


async def failing_page(failures: Failures, query: values.Query) -> values.FailingPage:
    """List what a query wants, worst severity first, in a stable order.

    Without a policy or a text to look for, only the buckets that the page shows are looked into.
    """
    excluded = frozenset[str]() if query.kind else values.COUNT_CHOICES[query.count]
    counts = failures.buckets.counts
    rows: list[values.FailingResult] = []
    matching = 0
    wanted = [b for b in counts if b.controlled not in excluded and _wanted(b, query)]
    for bucket in sorted(wanted, key=_place_of):
        skipped = max(query.offset - matching, 0)
        missing = query.limit - len(rows)
        if not (query.policy or query.search) and (not missing or skipped >= counts[bucket]):
            matching += counts[bucket]
            continue
        runs = await _sorted_runs(failures, bucket, query)
        matching += sum(map(len, runs))
        rows += await _cut(runs, skipped, missing)
    return values.FailingPage(tuple(rows), matching)


def failing(one: OpenFailure) -> values.FailingResult:
    """Show a failure."""
    outcome = one.failure.outcome
    return values.FailingResult(
        one.namespace,
        one.kind,
        one.name,
        outcome.policy,
        outcome.rule,
        one.failure.word,
        outcome.severity,
        outcome.source,
        one.since,
        one.message,
        one.controlled,
        *one.workload,
    )


def order(row: values.FailingResult) -> tuple[int, str, str, str, str, str, str]:
    """Sort by severity, then by place."""
    bucket = FailureBucket(row.severity, row.namespace, row.kind, row.controlled)
    return (*_place_of(bucket), *_within(row))


def _place_of(bucket: FailureBucket) -> tuple[int, str, str, str]:
    rank = _RANK.get(bucket.severity, len(_RANK))
    return rank, bucket.namespace, bucket.kind, bucket.controlled


def _within(row: values.FailingResult) -> tuple[str, str, str]:
    return row.name, row.policy, row.rule


def _wanted(bucket: FailureBucket, query: values.Query) -> bool:
    return (
        query.severity in ("", bucket.severity)
        and query.namespace in (None, bucket.namespace)
        and query.kind in ("", bucket.kind)
    )


async def _sorted_runs(
    failures: Failures, bucket: FailureBucket, query: values.Query
) -> list[list[values.FailingResult]]:
    """Sort what matches in a bucket, slice by slice."""
    runs = []
    places = iter(list(failures.buckets.places.get(bucket, ())))
    search = query.search.casefold()
    while slice_ := list(islice(places, SLICE)):
        found = [
            failing(row)
            for place in slice_
            for row in standing_in(bucket, query.policy, failures.places.get(place))
            if not search or _mentions(row, search)
        ]
        runs.append(sorted(found, key=_within))
        await asyncio.sleep(0)
    return runs


def _mentions(row: OpenFailure, text: str) -> bool:
    outcome = row.failure.outcome
    where = (row.name, row.namespace, outcome.policy, outcome.rule, row.message)
    return text in "\0".join(where).casefold()


async def _cut(
    runs: list[list[values.FailingResult]], skipped: int, most: int
) -> list[values.FailingResult]:
    """Take *most* rows of all runs in order, after those that are skipped."""
    rows = []
    for number, row in enumerate(islice(merge(*runs, key=_within), skipped + most)):
        if number >= skipped:
            rows.append(row)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return rows
