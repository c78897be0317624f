"""Picks one page of the failing results, however many there are, without holding the loop."""

import asyncio
from heapq import merge
from itertools import islice
from typing import Final

from exporter.state.buckets import Bucket
from exporter.state.failures import Failures, Standing, standing_in
from exporter.web import view

SLICE: Final = 500
"""Reports looked into between two turns of the loop: 2 to 4 ms."""

_RANK: Final = {severity: rank for rank, severity in enumerate(view.SEVERITIES)}


async def failing_page(failures: Failures, query: view.Query) -> view.FailingPage:
    """List what a query wants, worst severity first, in a stable order.

    Without a policy or a text to look for, only the buckets that the page shows are looked into.
    """
    counts = failures.buckets.counts
    rows: list[view.Failing] = []
    matching = 0
    for bucket in [b for b in sorted(counts, key=_place_of) if _wanted(b, query)]:
        skipped = max(query.offset - matching, 0)
        missing = query.limit - len(rows)
        if not (query.policy or query.search) and (not missing or skipped >= counts[bucket]):
            matching += counts[bucket]
            continue
        runs = await _sorted_runs(failures, bucket, query)
        matching += sum(map(len, runs))
        rows += await _cut(runs, skipped, missing)
    return view.FailingPage(tuple(rows), matching)


def failing(one: Standing) -> view.Failing:
    """Show a failure."""
    outcome = one.failure.outcome
    return view.Failing(
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
    )


def order(row: view.Failing) -> tuple[int, str, str, str, str, str]:
    """Sort by severity, then by place."""
    return (*_place_of(Bucket(row.severity, row.namespace)), *_within(row))


def _place_of(bucket: Bucket) -> tuple[int, str]:
    return _RANK.get(bucket.severity, len(_RANK)), bucket.namespace


def _within(row: view.Failing) -> tuple[str, str, str, str]:
    return row.kind, row.name, row.policy, row.rule


def _wanted(bucket: Bucket, query: view.Query) -> bool:
    return query.severity in ("", bucket.severity) and query.namespace in (None, bucket.namespace)


async def _sorted_runs(
    failures: Failures, bucket: Bucket, query: view.Query
) -> list[list[view.Failing]]:
    """Sort what matches in a bucket, slice by slice."""
    runs = []
    places = iter(list(failures.buckets.places.get(bucket, ())))
    search = query.search.casefold()
    while slice_ := list(islice(places, SLICE)):
        found = [
            failing(row)
            for place in slice_
            for row in standing_in(bucket, query.policy, failures.places.get(place))
            if not search or _says(row, search)
        ]
        runs.append(sorted(found, key=_within))
        await asyncio.sleep(0)
    return runs


def _says(row: Standing, text: str) -> bool:
    outcome = row.failure.outcome
    where = (row.name, row.namespace, outcome.policy, outcome.rule, row.message)
    return text in "\0".join(where).casefold()


async def _cut(runs: list[list[view.Failing]], skipped: int, most: int) -> list[view.Failing]:
    """Take *most* rows of all runs in order, after those that are skipped."""
    rows = []
    for number, row in enumerate(islice(merge(*runs, key=_within), skipped + most)):
        if number >= skipped:
            rows.append(row)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return rows
