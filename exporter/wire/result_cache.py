"""Decode the results of reports, each distinct text once."""

from collections.abc import Callable, Generator, Iterable, Sequence
from secrets import randbits
from sys import getsizeof
from typing import Final, TypeVar

import msgspec
from xxhash import xxh3_128_digest as digest

from exporter.model.metadata import KubeObject, Metadata
from exporter.model.report import (
    Piece,
    RawResult,
    Reference,
    Report,
    Result,
    ResultSet,
    Summary,
    clip,
    clip_all,
    messages_of,
    raw_result_of,
    stamps_of,
)
from exporter.wire.report_limits import DEFAULT_LIMITS, TURN_BYTES, ReportLimits, ResultsDecoder

MAX_RESULT_SETS: Final = 10_000
"""Result sets that are cached: about 5 MB."""

TURNOVER_REPORTS: Final = 100_000
"""Reports decoded between two turnovers of the cache; an entry unused for two is dropped."""

MAX_BYTES: Final = 10_000_000
"""Memory of messages that are cached, and of a pointer for each result."""

MAX_RAW_RESULTS: Final = 20_000
"""Distinct raw results that result sets share."""

MAX_RAW_BYTES: Final = 8 * 2**20
"""Memory of their text; names of 60 characters need half of that."""

LONG_BYTES: Final = 2**16
"""A report with more has turns of its own: Kyverno's have a tenth."""

_SECONDS: Final = b'"seconds":'
_SPACED_SECONDS: Final = b'"seconds": '
"""As files have it that are indented for people."""

MAX_SECONDS: Final = 10_000
"""Timestamps that are remembered as numbers: Kyverno scans all reports within an hour."""
_DIGITS: Final = 10
"""Of Unix time from 2001 to 2286."""

_BLANK: Final = b"\0" * _DIGITS
"""Replaces a timestamp in a text that is hashed: valid JSON never has a NUL byte."""


SOURCES: Final = {"kyverno": "kyverno", "kubewarden": "kubewarden", "falcosidekick": "Falco"}
"""The source of an engine's reports, by what it writes as the label managed-by.

Others are not known: Trivy's adapter, for one, writes several sources.
"""


class UsedLabels(msgspec.Struct, gc=False):
    """The labels of a report that are used."""

    manager: str = msgspec.field(default="", name="app.kubernetes.io/managed-by")

    @property
    def source(self) -> str:
        """The source of a report whose results name none; empty where it is not known."""
        return SOURCES.get(self.manager, "")


_labels = msgspec.json.Decoder(UsedLabels | None).decode


class _ReportMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    """Metadata whose labels are decoded only where they are needed."""

    labels: msgspec.Raw = msgspec.Raw(b"null")


class WireReport(KubeObject, gc=False):
    """A report whose results are not decoded yet."""

    metadata: _ReportMetadata
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

    The hash has 128 bits and a random seed, so no author can construct two texts that collide.

    A text enters the cache only once it was decoded and each blanked number was seen to be the
    timestamp of a result. A later text of the same hash differs in these numbers alone. A report
    that exceeds the *limits* never enters it.
    """

    def __init__(
        self, result: type[Result] = Result, limits: ReportLimits = DEFAULT_LIMITS
    ) -> None:
        self._decoder = ResultsDecoder(result, limits)
        self._young: dict[bytes, ResultSet] = {}
        self._old: dict[bytes, ResultSet] = {}
        self._reports = 0
        self._bytes = 0
        self._raw_results: dict[RawResult, RawResult] = {}
        self._raw_bytes = 0
        self._seconds: dict[bytes, int] = {}
        self._seed = randbits(64)

    def report(self, wire: WireReport) -> Report:
        """Decode the results of a report without pauses; see ``report_in_turns``."""
        body = bytes(wire.results)
        return self._recognised(wire, body) or drained(self._decoded(wire, body))

    def report_in_turns(self, wire: WireReport) -> Generator[None, None, Report]:
        """Decode the results of a report; yields wherever others can work.

        Raises:
            msgspec.MsgspecError: a result is malformed; the message has its path.
        """
        body = bytes(wire.results)
        return self._recognised(wire, body) or (yield from self._decoded(wire, body))

    def _recognised(self, wire: WireReport, body: bytes) -> Report | None:
        """Look up the results of a report about one resource."""
        scope = wire.scope
        if scope is None or not scope.kind:
            return None
        # Most often all results have one timestamp and end with it, so that replacing what the
        # last one has gives the text that _dated_apart hashes, by one search instead of a split.
        at = body.rfind(b":") + 1
        at += body.startswith(b" ", at)
        digits = body[at : at + _DIGITS]
        dated = digits.isdigit()
        blank = body.replace(digits, _BLANK) if dated else body
        self._reports += 1
        result_set = self._cached(digest(blank, self._seed))
        if result_set is None:
            return None
        seconds = self._seconds.get(digits) if dated else 0
        piece = Piece(scope, result_set, self._number(digits) if seconds is None else seconds)
        is_plain = result_set.raw_results and not wire.source  # as nearly all are
        source = "" if is_plain else _source_of(wire, result_set.raw_results)
        return Report(wire.metadata, wire.summary, source, scope, (piece,))

    def _number(self, digits: bytes) -> int:
        """Give a timestamp as a number that reports of the same second share: 28 bytes each."""
        if len(self._seconds) >= MAX_SECONDS:
            self._seconds.clear()
        return self._seconds.setdefault(digits, int(digits))

    def _decoded(self, wire: WireReport, body: bytes) -> Generator[None, None, Report]:
        scope = wire.scope
        if scope is not None and scope.kind:
            piece = yield from self._dated_apart(scope, body)
            source = _source_of(wire, piece.result_set.raw_results)
            return Report(wire.metadata, wire.summary, source, scope, (piece,))
        kept = yield from self._decoder.kept(body, named=True)
        source = _source_of(wire, kept.results)
        report = Report.of(wire.metadata, None, wire.summary, kept.results, source)
        if kept.cut is not None:
            report.pieces[0].result_set.cut = kept.cut
        return report

    def _dated_apart(self, scope: Reference, body: bytes) -> Generator[None, None, Piece]:
        """Look up results by each of their timestamps; decode them when they are new.

        Within a string the quotes would be escaped, so this splits at keys, and numbers follow.
        """
        mark = _SPACED_SECONDS if _SPACED_SECONDS in body else _SECONDS
        head, *tails = body.split(mark)
        digits = [tail[:_DIGITS] for tail in tails]
        rest = (mark + _BLANK).join([head, *(tail[_DIGITS:] for tail in tails)])
        key = digest(rest, self._seed)
        result_set = self._cached(key)
        if result_set is not None and b"".join(digits).isdigit():
            return _piece(scope, result_set, tuple(map(int, digits)))
        results, cut = yield from self._decoder.kept(body, named=False)
        raw_results = tuple([self._shared(raw_result_of(each)) for each in results])
        result_set = ResultSet(raw_results, messages_of(results), cut)
        stamps = stamps_of(results)
        if cut is None and _are(stamps, digits):
            self._add(key, result_set)
        return _piece(scope, result_set, stamps)

    def _shared(self, raw_result: RawResult) -> RawResult:
        """Return the one tuple that all equal ones share, each label cut to its bound."""
        known = self._raw_results.get(raw_result)
        if known is not None:
            return known
        raw_result = clip_all(raw_result)
        if len(self._raw_results) >= MAX_RAW_RESULTS or self._raw_bytes > MAX_RAW_BYTES:
            self._raw_results.clear()
            self._raw_bytes = 0
        self._raw_bytes += sum(map(getsizeof, raw_result))
        return self._raw_results.setdefault(raw_result, raw_result)

    def _cached(self, key: bytes) -> ResultSet | None:
        result_set = self._young.get(key)
        if result_set is None and (result_set := self._old.get(key)) is not None:
            self._add(key, result_set)
        return result_set

    def _add(self, key: bytes, result_set: ResultSet) -> None:
        """Add to the young half; when that is full, it becomes the old half, which is dropped."""
        # A pointer for each result counts as much as the messages: a report may have any number.
        texts = sum(map(getsizeof, filter(None, result_set.messages)))
        self._bytes += texts + 8 * len(result_set.raw_results)
        if (
            len(self._young) >= MAX_RESULT_SETS // 2
            or self._bytes > MAX_BYTES // 2
            or self._reports >= TURNOVER_REPORTS
        ):
            self._old, self._young = self._young, {}
            self._bytes = self._reports = 0
        self._young[key] = result_set


T = TypeVar("T")
Item = TypeVar("Item")


def finished(
    items: Iterable[Item],
    finish: Callable[[Item], T],
    in_turns: Callable[[Item], Generator[None, None, T]],
) -> Generator[None, None, list[T]]:
    """Make objects of the items of a page, TURN_BYTES of their results in a turn."""
    objects, taken = list[T](), 0
    for item in items:
        size = len(item.results) if isinstance(item, WireReport) else 0
        taken += size
        if taken > TURN_BYTES:
            taken = size
            yield
        if size > LONG_BYTES:
            objects.append((yield from in_turns(item)))
            taken = TURN_BYTES  # so that the next one begins another turn
        else:
            objects.append(finish(item))
    return objects


def drained(turns: Generator[None, None, T]) -> T:
    """Work without pauses."""
    while True:
        try:
            next(turns)
        except StopIteration as done:
            found: T = done.value
            return found


def _source_of(wire: WireReport, results: Sequence[object]) -> str:
    """Name a report's own source; where no result has one, that of the engine that manages it.

    Kubewarden writes a report without results if it could not evaluate any policy.
    """
    if wire.source or results:
        return clip(wire.source)
    try:
        labels = _labels(wire.metadata.labels)
    except msgspec.MsgspecError:  # a file's: the API server would refuse it
        return ""
    return labels.source if labels else ""


def _piece(scope: Reference, result_set: ResultSet, stamps: Sequence[float]) -> Piece:
    newest = max(stamps, default=0)
    same = stamps.count(newest) == len(stamps)
    return Piece(scope, result_set, newest, () if same else stamps)


def _are(stamps: Sequence[float], digits: Sequence[bytes]) -> bool:
    """Check that *digits* spell these timestamps; no digits, that no result has one."""
    if not all(map(bytes.isdigit, digits)):
        return False
    return stamps == (tuple(map(int, digits)) or (0,) * len(stamps))
