"""Reports whose results were read before are recognised by their bytes, and not decoded again."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from exporter.model.metadata import Stored
from exporter.model.report import (
    Findings,
    Piece,
    Reference,
    Report,
    Result,
    Spelling,
    Summary,
    clip_all,
    messages_of,
    spelling_of,
    stamps_of,
)

MOST: Final = 10_000
"""Findings that are remembered: some 5 MB."""

MOST_SPELLINGS: Final = 20_000
"""Spellings of single results that are shared."""

MOST_CHARACTERS: Final = 8_000_000
"""Of messages that are remembered with them."""

_SECONDS: Final = b'"seconds":'
_DIGITS: Final = 10
"""Of Unix time from 2001 to 2286."""

_decode = msgspec.json.Decoder(list[Result] | None).decode


class WireReport(Stored, gc=False):
    """A report as the wire has it, its results not decoded yet."""

    scope: Reference | None = None
    summary: Summary | None = None
    results: msgspec.Raw = msgspec.Raw(b"null")
    source: str = ""


class Recall:
    """Reads reports; remembers what results said by a digest of their bytes without timestamps.

    A scan rewrites every timestamp and little else, and workloads of one kind pass and fail the
    same rules: nearly all results were read before. To recognise them costs less than half of
    decoding them, and what they amount to is then known as well.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Findings] = {}
        self._spellings: dict[Spelling, Spelling] = {}
        self._characters = 0

    def report(self, wire: WireReport) -> Report:
        """Make a report of what the wire has.

        Raises:
            msgspec.MsgspecError: the results are broken; the message says where.
        """
        scope, body = wire.scope, bytes(wire.results)
        if scope is None or not scope.kind:
            return Report.of(wire.metadata, None, wire.summary, _results(body), wire.source)
        # Within a string the quotes would be escaped, so these are keys, and what follows is a
        # number. Whether they are the results' own is seen when such results are first decoded.
        head, *tails = body.split(_SECONDS)
        stamps = [tail[:_DIGITS] for tail in tails]
        rest = _SECONDS.join([head, *[tail[_DIGITS:] for tail in tails]])
        digest = sha256(rest).digest()
        findings = self._known.get(digest)
        if findings is None or (stamps and not b"".join(stamps).isdigit()):
            piece = self._learn(scope, body, digest, stamps)
        else:
            piece = Piece(scope, findings, stamps, int(max(stamps, default=0)))
        return Report(wire.metadata, wire.summary, wire.source, scope, (piece,))

    def _learn(
        self, scope: Reference, body: bytes, digest: bytes, digits: Sequence[bytes]
    ) -> Piece:
        """Decode results; remember them if their timestamps are just what was cut out."""
        results = _results(body)
        findings = Findings(tuple(map(self._shared, results)), messages_of(results))
        stamps = stamps_of(results)
        if all(map(bytes.isdigit, digits)) and stamps == tuple(map(int, digits)):
            self._remember(digest, findings)
        return Piece(scope, findings, stamps, max(stamps, default=0))

    def _remember(self, digest: bytes, findings: Findings) -> None:
        # A pointer for each result counts as much as the messages: a report may have any number.
        self._characters += sum(map(len, findings.messages)) + 8 * len(findings.spellings)
        if len(self._known) >= MOST or self._characters > MOST_CHARACTERS:
            self._known.clear()
            self._characters = 0
        self._known[digest] = findings

    def _shared(self, result: Result) -> Spelling:
        """Give the one spelling that all equal ones share."""
        spelling = clip_all(spelling_of(result))
        if len(self._spellings) >= MOST_SPELLINGS:
            self._spellings.clear()
        return self._spellings.setdefault(spelling, spelling)


def _results(body: bytes) -> list[Result]:
    try:
        return _decode(body) or []
    except msgspec.ValidationError as error:
        path = str(error).replace("`$", "`$.results", 1)
        raise msgspec.ValidationError(path) from error
