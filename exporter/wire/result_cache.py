"""Reports whose results were read before are recognised by their bytes, and not decoded again."""

from collections.abc import Sequence
from secrets import randbits
from typing import Final

import msgspec
from xxhash import xxh3_128_digest as digest

from exporter.model.metadata import KubeObject
from exporter.model.report import (
    Piece,
    Reference,
    Report,
    Result,
    ResultSet,
    Summary,
    messages_of,
    raw_result_of,
    stamps_of,
)
from exporter.wire.singles import Singles

MOST: Final = 10_000
"""Findings that are remembered: some 5 MB."""

LONG: Final = 100_000
"""Reports, up to twice as many, after which what was not met again is forgotten."""

MOST_CHARACTERS: Final = 8_000_000
"""Of messages that are remembered with them."""

_SECONDS: Final = b'"seconds":'
_DIGITS: Final = 10
"""Of Unix time from 2001 to 2286."""

_BLANK: Final = b"\0" * _DIGITS
"""What is remembered in place of a timestamp: no JSON has it anywhere, as msgspec has seen."""

_decode = msgspec.json.Decoder(list[Result] | None).decode


class WireReport(KubeObject, gc=False):
    """A report as the wire has it, its results not decoded yet."""

    scope: Reference | None = None
    summary: Summary | None = None
    results: msgspec.Raw = msgspec.Raw(b"null")
    source: str = ""


class ResultCache:
    """Reads reports; remembers what results said by a hash of their bytes without timestamps.

    A scan rewrites every timestamp and little else, and workloads of one kind pass and fail the
    same rules: nearly all results were read before. To recognise them costs less than half of
    decoding them, and what they amount to is then known as well.

    The hash has 128 bits and a seed of this process's own: nobody can look for two that agree.
    """

    def __init__(self) -> None:
        self._young: dict[bytes, ResultSet] = {}
        self._old: dict[bytes, ResultSet] = {}
        self._reports = 0
        self._singles = Singles()
        self._characters = 0
        self._seed = randbits(64)

    def report(self, wire: WireReport) -> Report:
        """Make a report of what the wire has.

        Raises:
            msgspec.MsgspecError: the results are broken; the message says where.
        """
        scope, body = wire.scope, bytes(wire.results)
        if scope is None or not scope.kind:
            return Report.of(wire.metadata, None, wire.summary, _results(body), wire.source)
        # Most often all results have the same timestamp, and end with it, so what the last one says
        # is blanked wherever it stands. If that is elsewhere, too, nothing that is remembered looks
        # like it.
        at = body.rfind(b":") + 1
        digits = body[at : at + _DIGITS]
        dated = digits.isdigit()
        blank = body.replace(digits, _BLANK) if dated else body
        self._reports += 1
        result_set = self._young.get(digest(blank, self._seed))
        if result_set is None and dated:
            result_set = self._put_together(body, digits)
        if result_set is None:
            piece = self._dated_apart(scope, body)
        else:
            piece = Piece(scope, result_set, int(digits) if dated else 0)
        return Report(wire.metadata, wire.summary, wire.source, scope, (piece,))

    def _put_together(self, body: bytes, digits: bytes) -> ResultSet | None:
        """Read results as single ones that all end with the same timestamp; None if not so."""
        last = b'"seconds":%b}}]' % digits
        if not (body.startswith(b"[{") and body.endswith(last)):
            return None
        texts = body[2 : -len(last)].split(last[:-1] + b",{")
        if body.count(_SECONDS) > len(texts):
            return None
        blank = last.replace(digits, _BLANK)
        key = digest(b"[{%b%b" % ((blank[:-1] + b",{").join(texts), blank), self._seed)
        result_set = self._young.get(key) or self._met_again(key)
        if result_set is None:
            try:
                result_set = self._singles.result_set(texts)
            except msgspec.MsgspecError:
                return None
            self._remember(key, result_set)
        return result_set

    def _dated_apart(self, scope: Reference, body: bytes) -> Piece:
        """Recognise results whose timestamps differ among themselves; read what is new.

        Within a string the quotes would be escaped, so this splits at keys, and what follows are
        numbers. Whether they are the results' own is seen when such results are first decoded.
        """
        head, *tails = body.split(_SECONDS)
        digits = [tail[:_DIGITS] for tail in tails]
        rest = (_SECONDS + _BLANK).join([head, *(tail[_DIGITS:] for tail in tails)])
        key = digest(rest, self._seed)
        result_set = self._young.get(key) or self._met_again(key)
        if result_set is not None and b"".join(digits).isdigit():
            seconds = tuple(map(int, digits))
            return Piece(scope, result_set, max(seconds), seconds)
        results = _results(body)
        raw_results = tuple(map(self._singles.shared, map(raw_result_of, results)))
        result_set = ResultSet(raw_results, messages_of(results))
        stamps = stamps_of(results)
        if _are(stamps, digits):
            self._remember(key, result_set)
        return Piece(scope, result_set, max(stamps, default=0), stamps)

    def _met_again(self, key: bytes) -> ResultSet | None:
        result_set = self._old.get(key)
        if result_set is not None:
            self._remember(key, result_set)
        return result_set

    def _remember(self, key: bytes, result_set: ResultSet) -> None:
        """Remember as the youngest; what was not met since the last but one turn is forgotten."""
        # A pointer for each result counts as much as the messages: a report may have any number.
        self._characters += sum(map(len, result_set.messages)) + 8 * len(result_set.raw_results)
        if (
            len(self._young) >= MOST // 2
            or self._characters > MOST_CHARACTERS // 2
            or self._reports >= LONG
        ):
            self._old, self._young = self._young, {}
            self._characters = self._reports = 0
        self._young[key] = result_set


def _results(body: bytes) -> list[Result]:
    try:
        return _decode(body) or []
    except msgspec.ValidationError as error:
        path = str(error).replace("`$", "`$.results", 1)
        raise msgspec.ValidationError(path) from error


def _are(stamps: Sequence[float], digits: Sequence[bytes]) -> bool:
    """Whether *digits* spell just these timestamps; none at all where nothing is dated."""
    if not all(map(bytes.isdigit, digits)):
        return False
    return stamps == (tuple(map(int, digits)) or (0,) * len(stamps))
