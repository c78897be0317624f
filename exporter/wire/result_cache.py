"""Decode the results of reports, each distinct text once."""

from collections.abc import Sequence
from secrets import randbits
from typing import Final

import msgspec
from xxhash import xxh3_128_digest as digest

from exporter.model.metadata import KubeObject
from exporter.model.report import (
    Piece,
    RawResult,
    Reference,
    Report,
    Result,
    ResultSet,
    Summary,
    clip_all,
    messages_of,
    raw_result_of,
    stamps_of,
)

MAX_RESULT_SETS: Final = 10_000
"""Result sets that are cached: about 5 MB."""

TURNOVER_REPORTS: Final = 100_000
"""Reports decoded between two turnovers of the cache; an entry unused for two is dropped."""

MAX_CHARACTERS: Final = 8_000_000
"""Characters of messages that are cached, each result counted as 8 of them."""

MAX_RAW_RESULTS: Final = 20_000
"""Distinct raw results that result sets share."""

_SECONDS: Final = b'"seconds":'
_DIGITS: Final = 10
"""Of Unix time from 2001 to 2286."""

_BLANK: Final = b"\0" * _DIGITS
"""Replaces a timestamp in a text that is hashed: valid JSON never has a NUL byte."""


class WireReport(KubeObject, gc=False):
    """A report whose results are not decoded yet."""

    scope: Reference | None = None
    summary: Summary | None = None
    results: msgspec.Raw = msgspec.Raw(b"null")
    source: str = ""


class OldResult(Result, frozen=True, gc=False):
    """A result of wgpolicyk8s.io/v1alpha1, which spells ``result`` as ``status``."""

    result: str = msgspec.field(default="", name="status")


class ResultCache:
    """Decodes reports; keeps result sets by a hash of their text with the timestamps blanked.

    A scan rewrites every timestamp and little else, and workloads of one kind pass and fail the
    same rules, so nearly every text was decoded before. Recognising one costs less than half of
    decoding it, and the counts kept with a result set are reused, too.

    The hash has 128 bits and a random seed, so nobody can construct two texts that collide.

    A text enters the cache only once it was decoded and each blanked number was seen to be the
    timestamp of a result. A later text of the same hash differs in these numbers alone.
    """

    def __init__(self, result: type[Result] = Result) -> None:
        self._decode = msgspec.json.Decoder(list[result] | None).decode  # type: ignore[valid-type]  # a value, to msgspec
        self._young: dict[bytes, ResultSet] = {}
        self._old: dict[bytes, ResultSet] = {}
        self._reports = 0
        self._characters = 0
        self._raw_results: dict[RawResult, RawResult] = {}
        self._seed = randbits(64)

    def report(self, wire: WireReport) -> Report:
        """Decode the results of a report.

        Raises:
            msgspec.MsgspecError: a result is malformed; the message has its path.
        """
        scope, body = wire.scope, bytes(wire.results)
        if scope is None or not scope.kind:
            return Report.of(wire.metadata, None, wire.summary, self._results(body), wire.source)
        # Most often all results have one timestamp and end with it, so that replacing what the
        # last one has gives the text that _dated_apart hashes, by one search instead of a split.
        at = body.rfind(b":") + 1
        digits = body[at : at + _DIGITS]
        dated = digits.isdigit()
        blank = body.replace(digits, _BLANK) if dated else body
        self._reports += 1
        result_set = self._cached(digest(blank, self._seed))
        if result_set is None:
            piece = self._dated_apart(scope, body)
        else:
            piece = Piece(scope, result_set, int(digits) if dated else 0)
        return Report(wire.metadata, wire.summary, wire.source, scope, (piece,))

    def _dated_apart(self, scope: Reference, body: bytes) -> Piece:
        """Look up results by each of their timestamps; decode them when they are new.

        Within a string the quotes would be escaped, so this splits at keys, and numbers follow.
        """
        head, *tails = body.split(_SECONDS)
        digits = [tail[:_DIGITS] for tail in tails]
        rest = (_SECONDS + _BLANK).join([head, *(tail[_DIGITS:] for tail in tails)])
        key = digest(rest, self._seed)
        result_set = self._cached(key)
        if result_set is not None and b"".join(digits).isdigit():
            return _piece(scope, result_set, tuple(map(int, digits)))
        results = self._results(body)
        raw_results = tuple([self._shared(raw_result_of(each)) for each in results])
        result_set = ResultSet(raw_results, messages_of(results))
        stamps = stamps_of(results)
        if _are(stamps, digits):
            self._add(key, result_set)
        return _piece(scope, result_set, stamps)

    def _results(self, body: bytes) -> list[Result]:
        try:
            return self._decode(body) or []
        except msgspec.ValidationError as error:
            path = str(error).replace("`$", "`$.results", 1)
            raise msgspec.ValidationError(path) from error

    def _shared(self, raw_result: RawResult) -> RawResult:
        """Return the one tuple that all equal ones share, each label cut to its bound."""
        known = self._raw_results.get(raw_result)
        if known is not None:
            return known
        raw_result = clip_all(raw_result)
        if len(self._raw_results) >= MAX_RAW_RESULTS:
            self._raw_results.clear()
        return self._raw_results.setdefault(raw_result, raw_result)

    def _cached(self, key: bytes) -> ResultSet | None:
        result_set = self._young.get(key)
        if result_set is None and (result_set := self._old.get(key)) is not None:
            self._add(key, result_set)
        return result_set

    def _add(self, key: bytes, result_set: ResultSet) -> None:
        """Add to the young half; when that is full, it becomes the old half, which is dropped."""
        # A pointer for each result counts as much as the messages: a report may have any number.
        self._characters += sum(map(len, result_set.messages)) + 8 * len(result_set.raw_results)
        if (
            len(self._young) >= MAX_RESULT_SETS // 2
            or self._characters > MAX_CHARACTERS // 2
            or self._reports >= TURNOVER_REPORTS
        ):
            self._old, self._young = self._young, {}
            self._characters = self._reports = 0
        self._young[key] = result_set


def _piece(scope: Reference, result_set: ResultSet, stamps: Sequence[float]) -> Piece:
    newest = max(stamps, default=0)
    same = stamps.count(newest) == len(stamps)
    return Piece(scope, result_set, newest, () if same else stamps)


def _are(stamps: Sequence[float], digits: Sequence[bytes]) -> bool:
    """Check that *digits* spell these timestamps; no digits, that no result has one."""
    if not all(map(bytes.isdigit, digits)):
        return False
    return stamps == (tuple(map(int, digits)) or (0,) * len(stamps))
