"""How much of one report is kept: results are decoded in turns, and the worst of too many stay."""

import re
from collections import Counter
from collections.abc import Generator, Sequence
from sys import getsizeof, maxsize
from typing import Final, NamedTuple

import msgspec

from exporter.model.report import (
    BADNESS,
    FAILING,
    LONGEST_MESSAGE,
    RESULTS,
    Result,
    WordCounts,
    raw_result_of,
)

TURN_BYTES: Final = 2**17
"""Of results that are decoded in one turn: 1 to 4 ms."""

_GROWTH: Final = 32
"""Bytes of memory that a byte of JSON takes at most: a result of 13 bytes is seven strings."""

_UNKNOWN: Final = len(BADNESS)
_RANKS: Final = {word: rank for rank, word in enumerate(BADNESS)}
_INDEX: Final = re.compile(r"`\$\[(\d+)\]")
_items = msgspec.json.Decoder(list[msgspec.Raw] | None).decode


class ReportLimits(NamedTuple):
    """How much of one report is kept: results, and bytes.

    A result that names several resources counts for each of them. The bytes are those of memory
    that messages and distinct names take.
    """

    results: int = 2_000
    size: int = 2**20

    @property
    def resources(self) -> int:
        """How many resources the results may name: to count one costs as much as two results.

        Kyverno up to 1.10, whose results name theirs, writes at most 1,000 results into a report.
        """
        return max(self.results // 2, 1)


DEFAULT_LIMITS: Final = ReportLimits()
UNLIMITED: Final = ReportLimits(maxsize, maxsize)


class Kept(NamedTuple):
    """The results of a report that are kept; ``cut`` counts the others by word, None: all are.

    All are in the report's order. Of too many the worst are first, each in the report's order: so
    the same report is always cut in the same way.
    """

    results: Sequence[Result]
    cut: WordCounts | None = None


KeptInTurns = Generator[None, None, Kept]
"""Decodes results; yields wherever others can work."""


class ResultsDecoder:
    """Decodes the results of reports within limits."""

    def __init__(self, result: type[Result], limits: ReportLimits) -> None:
        self._decode = msgspec.json.Decoder(list[result] | None).decode  # type: ignore[valid-type]  # a value, to msgspec
        self._limits = limits

    def kept(self, body: bytes, *, named: bool) -> KeptInTurns:
        """Decode the results that are kept; *named*: each names the resources that it is about.

        Raises:
            msgspec.MsgspecError: a result is malformed; the message has its path.
        """
        limits = self._limits
        if len(body) > TURN_BYTES:
            results = yield from self._in_turns(body)
        else:
            results = self._results(body)
        count = _times(results, named=named)
        if count <= limits.results:
            small = len(body) * _GROWTH <= limits.size
            few = not named or count <= limits.resources
            if (small and few) or _fitting(results, limits, named=named) == len(results):
                return Kept(results)
        yield
        ranks: list[list[Result]] = [[] for _ in range(_UNKNOWN + 1)]
        for each in results:
            ranks[_RANKS.get(each.result, _UNKNOWN)].append(each)
        yield
        pairs = zip(BADNESS, ranks, strict=False)
        left = Counter({word: _times(rank, named=named) for word, rank in pairs})
        worst = [each for rank in ranks for each in rank[: limits.results]]
        if named:
            worst = [_about_fewer(each, limits.resources) for each in worst]
        yield
        kept = worst[: _fitting(worst, limits, named=named)]
        for each in kept:
            left[each.result] -= _times([each], named=named)
        passed, failed, warned, errors, skipped = (left[word] for word in RESULTS)
        return Kept(kept, (passed, failed, warned, errors, skipped))

    def _results(self, body: bytes, first: int = 0) -> list[Result]:
        try:
            return self._decode(body) or []
        except msgspec.ValidationError as error:
            path = _INDEX.sub(lambda at: f"`$[{int(at[1]) + first}]", str(error), count=1)
            raise msgspec.ValidationError(path.replace("`$", "`$.results", 1)) from error

    def _in_turns(self, body: bytes) -> Generator[None, None, list[Result]]:
        try:
            items = _items(body) or []
        except msgspec.ValidationError:
            return self._results(body)  # it is no list
        yield
        results: list[Result] = []
        for first, last in _turns(items):
            results += self._results(b"[%b]" % b",".join(items[first:last]), first)
            yield
        return results


def _turns(items: Sequence[msgspec.Raw]) -> Generator[tuple[int, int], None, None]:
    """Divide items into those of one turn each, by their positions."""
    first = size = 0
    for at, item in enumerate(items):
        size += len(item)
        if size > TURN_BYTES:
            yield first, at + 1
            first, size = at + 1, 0
    if first < len(items):
        yield first, len(items)


def _times(results: Sequence[Result], *, named: bool) -> int:
    """Give how often results count: for each of the resources that they name."""
    if not named:
        return len(results)
    return sum([len(each.resources or ()) or 1 for each in results])


def _about_fewer(result: Result, most: int) -> Result:
    """Let a result name no more resources than a report may."""
    about = result.resources
    if about is None or len(about) <= most:
        return result
    return msgspec.structs.replace(result, resources=about[:most])


def _fitting(results: Sequence[Result], limits: ReportLimits, *, named: bool) -> int:
    """Count the results from the first one on that fit into the limits; the first always does."""
    room, size, seen = limits.results, limits.size, set[str]()
    resources = set[tuple[str, ...]]()
    for count, each in enumerate(results):
        about = (named and each.resources) or ()
        room -= len(about) or 1
        resources.update([one.key for one in about])
        if room < 0 or len(resources) > limits.resources:
            return count
        names = {*raw_result_of(each), *(part for one in about for part in one.key)} - seen
        size -= sum(map(getsizeof, names))
        seen |= names
        if each.result in FAILING:
            size -= getsizeof(each.message[:LONGEST_MESSAGE])
        if count and size < 0:
            return count
    return len(results)
