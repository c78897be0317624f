"""Single results: what each said is kept once, and not decoded again for the next report."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from exporter.model.report import (
    FAILING,
    LONGEST_MESSAGE,
    RawResult,
    Result,
    ResultSet,
    clip_all,
    raw_result_of,
    stamps_of,
)

MOST_SPELLINGS: Final = 20_000
"""Spellings of results that are shared."""

MOST_BYTES: Final = 2_000_000
"""Of texts of results that are remembered."""

LONGEST: Final = 8192
"""Bytes of such a text: what is longer will hardly be met again."""

_decode = msgspec.json.Decoder(Result).decode


class _Single(NamedTuple):
    """What a result says; ``message`` is None unless it fails."""

    raw_result: RawResult
    message: str | None


class Singles:
    """Reads results that end with their timestamp, each as an object by itself.

    Texts of results are without their brackets, and without what follows ``"seconds":``. Those of
    results that do not fail are remembered: what fails has a message that may be its own.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Single] = {}
        self._bytes = 0
        self._raw_results: dict[RawResult, RawResult] = {}

    def result_set(self, texts: Sequence[bytes]) -> ResultSet:
        """Put together what results say.

        Raises:
            msgspec.MsgspecError: one of them is no such text.
        """
        known = self._known.get
        found = [known(text) or self._read(text) for text in texts]
        messages = [message for _, message in found]
        failing = messages.count(None) < len(messages)
        said = tuple([message or "" for message in messages]) if failing else ()
        return ResultSet(tuple([raw_result for raw_result, _ in found]), said)

    def shared(self, raw_result: RawResult) -> RawResult:
        """Give the one spelling that all equal ones share, each label cut as long as it may be."""
        known = self._raw_results.get(raw_result)
        if known is not None:
            return known
        raw_result = clip_all(raw_result)
        if len(self._raw_results) >= MOST_SPELLINGS:
            self._raw_results.clear()
        return self._raw_results.setdefault(raw_result, raw_result)

    def _read(self, text: bytes) -> _Single:
        result = _decode(b'{%b"seconds":1}}' % text)
        if stamps_of([result]) != (1,):
            raise msgspec.ValidationError("what it ends with is not its timestamp")
        message = result.message[:LONGEST_MESSAGE] if result.result in FAILING else None
        single = _Single(self.shared(raw_result_of(result)), message)
        if message is None and len(text) <= LONGEST:
            self._remember(text, single)
        return single

    def _remember(self, text: bytes, single: _Single) -> None:
        self._bytes += len(text)
        if self._bytes > MOST_BYTES:
            self._known.clear()
            self._bytes = len(text)
        self._known[text] = single
