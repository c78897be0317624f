"""JSON cut into the bytes of its values, without decoding what is in them.

A decoder gives a whole document up for one token that it cannot read: ``NaN``, half of a surrogate
pair, a byte that is no UTF-8, a value nested too deeply. Cut first, the object with that token is
the only one that is lost. Only strings and brackets are looked at; what is not closed, or closed by
the wrong bracket, cannot be cut.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO, Final, TypeVar

import msgspec

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY: Final = re.compile(rb"\s*+(" + _STRING + rb")\s*+:", re.DOTALL)
_NESTED_LEVELS: Final = 3
"""Levels of brackets that one match skips: what nests deeper costs a step for each bracket."""

_CLOSING: Final = {b"[": b"]", b"{": b"}"}
PAUSE_STEPS: Final = 10_000
"""Brackets between two pauses: some 3 ms."""


def _flat(levels: int) -> bytes:
    """Give the pattern of any text whose brackets nest at most so many levels."""
    inner = rb'[^"\[\]{}]++|' + _STRING
    for _ in range(levels):
        inner = rb'[^"\[\]{}]++|' + _STRING + rb"|\[(?:%b)*+\]|\{(?:%b)*+\}" % (inner, inner)
    return inner


_TO_SEPARATOR: Final = re.compile(
    _flat(_NESTED_LEVELS).replace(rb'[^"\[\]{}]++', rb'[^",\[\]{}]++', 1).join((b"(?:", b")*+")),
    re.DOTALL,
)
_TO_BRACKET: Final = re.compile(_flat(_NESTED_LEVELS).join((b"(?:", b")*+")), re.DOTALL)

Position = Generator[None, None, int]
"""Finds a position; yields after every ``PAUSE_STEPS`` brackets, so that others can work."""


class Uncut(ValueError):  # noqa: N818 - says what the text is
    """The text is not of the kind that was to be cut, or is not closed where it should be."""


def field(body: bytes, *path: str) -> bytes | None:
    """Cut the value of a field, or of a field within it, out of an object; None if there is none.

    Nothing behind that value is looked at.

    Raises:
        Uncut: it is no object, or a value before that field cannot be cut.
    """
    start = 0
    for name in path:
        found = field_start(body, start, name)
        if found is None:
            return None
        start = found
    return body[start : _drained(_end(body, start))].strip()


def elements(body: bytes) -> Iterator[bytes | None]:
    """Cut an array into its elements; None is a pause within a long one.

    Raises:
        Uncut: it is no array, or an element of it cannot be cut.
    """
    at, last = _opened(body, 0, b"["), b","
    while last == b",":
        end = yield from _end(body, at)
        last = body[end : end + 1]
        element = body[at:end].strip()
        if element:
            yield element
        at = end + 1
    if last != b"]":
        raise Uncut


def cut(body: bytes, at: int) -> int:
    """Find what comes after the object or array that begins at a place.

    Raises:
        Uncut: it is not closed.
    """
    return _drained(_closed(body, at))


def value_end(body: bytes, at: int) -> int:
    """Find the comma or the bracket behind the value that begins at a position.

    Raises:
        Uncut: there is none.
    """
    return _drained(_end(body, at))


def field_start(body: bytes, at: int, name: str) -> int | None:
    """Find where the value of a field begins in the object that begins at a position.

    Raises:
        Uncut: it is no object, or a value before that field cannot be cut.
    """
    wanted = f'"{name}"'.encode()
    at = _opened(body, at, b"{")
    while (key := _KEY.match(body, at)) is not None:
        if key[1] == wanted:
            return key.end()
        end = _drained(_end(body, key.end()))
        if body[end : end + 1] == b"}":
            return None
        at = end + 1
    if body[at:].lstrip()[:1] == b"}":
        return None
    raise Uncut


def _opened(body: bytes, at: int, bracket: bytes) -> int:
    """Find what comes after the bracket that a value begins with."""
    match = _SPACE.match(body, at)
    start = match.end() if match else at
    if body[start : start + 1] != bracket:
        raise Uncut
    return start + 1


_SPACE: Final = re.compile(rb"\s*+")


def _end(body: bytes, at: int) -> Position:
    """Find the comma or the bracket behind a value."""
    while True:
        at = _after(_TO_SEPARATOR, body, at)
        if body[at : at + 1] not in _CLOSING:
            if body[at : at + 1] in (b",", b"]", b"}"):
                return at
            raise Uncut
        at = yield from _closed(body, at)


def _closed(body: bytes, at: int) -> Position:
    """Find what comes after the bracket that closes the one at a position."""
    awaited = [_CLOSING[body[at : at + 1]]]
    steps = 0
    while awaited:
        at = _after(_TO_BRACKET, body, at + 1)
        bracket = body[at : at + 1]
        if bracket in _CLOSING:
            awaited.append(_CLOSING[bracket])
        elif bracket != awaited.pop():
            raise Uncut
        steps += 1
        if not steps % PAUSE_STEPS:
            yield
    return at + 1


def _drained(position: Position) -> int:
    while True:
        try:
            next(position)
        except StopIteration as found:
            return int(found.value)


def _after(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    match = pattern.match(body, at)
    return match.end() if match else at


UNNAMED: Final = "(unnamed)"
_LONGEST: Final = 256
_SEARCHED_BYTES: Final = 2**16
"""API servers write metadata before everything that is long."""
_text = msgspec.json.Decoder(str).decode


def identify(body: bytes, *path: str) -> str:
    """Name an object that could not be decoded, "namespace/name" as far as it can be read.

    *path* is where the object is in *body*.
    """
    body = body[:_SEARCHED_BYTES]
    parts = [_text_at(body, *path, "metadata", each) for each in ("namespace", "name")]
    return "/".join(part for part in parts if part)[:_LONGEST] or UNNAMED


def _text_at(body: bytes, *path: str) -> str:
    try:
        return _text(field(body, *path) or b'""')
    except (Uncut, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


_COMMAS: Final = re.compile(rb"[\s,]*+")
_HEAD: Final = re.compile(rb'\{\s*+"[^"\\]*+"')
GUESSES: Final = 4
CHUNK_BYTES: Final = 2 << 20
LOOKAHEAD_BYTES: Final = 8


T = TypeVar("T")


class StreamWindow:
    """The part of a stream that is in memory: ``body`` from position ``at`` on is still to be read.

    Both change when it grows, and what comes before ``at`` is forgotten then.
    """

    def __init__(self, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        self.body = b""
        self.at = 0
        self._lines = 0
        self._counted = 0
        self._stream = stream
        self._progress = progress
        self._ended = False

    def grow(self) -> bool:
        """Read as much again, so that long values are not searched often; False at the end."""
        more = b"" if self._ended else self._stream.read(max(CHUNK_BYTES, len(self.body) - self.at))
        self._ended = not more
        if more:
            self._replace(self.body[self.at :] + more)
            self._progress(len(more))
        return bool(more)

    def _replace(self, body: bytes) -> None:
        self._count_lines()
        self.body, self.at, self._counted = body, 0, 0

    def _count_lines(self) -> None:
        self._lines += self.body.count(b"\n", self._counted, self.at)
        self._counted = self.at

    def put_back(self, text: bytes) -> None:
        """Let a text come before what is still to be read."""
        self._replace(text + self.body[self.at :])

    def whole(self) -> bytes:
        """Read to the end."""
        while self.grow():
            pass
        return self.body[self.at :]

    def skip(self, pattern: re.Pattern[bytes]) -> bytes:
        """Pass over what matches; give the byte that follows, none at the end."""
        while True:
            match = pattern.match(self.body, self.at)
            end = match.end() if match else self.at
            # What matches may go on in the next part.
            if end + LOOKAHEAD_BYTES < len(self.body) or not self.grow():
                self.at = end
                return self.body[end : end + 1]

    def value(self, find: Callable[[bytes, int], int]) -> bytes | None:
        """Take a value; None, and nothing is taken, where it does not end."""
        while True:
            try:
                end = find(self.body, self.at)
            except Uncut:
                if not self.grow():
                    return None
                continue
            taken = self.body[self.at : end]
            self.at = end
            return taken

    def long_list(self) -> int:
        """Find the array of a list that is longer than what is in memory; 0 where there is none."""
        body, at = self.body, self.at
        if len(body) - at < CHUNK_BYTES:
            return 0
        try:
            start = at if body.startswith(b"[", at) else field_start(body, at, "items")
            return _opened(body, start, b"[") if start is not None else 0
        except Uncut:
            return 0

    def lines(self) -> int:
        """Count the line ends before what is still to be read."""
        self._count_lines()
        return self._lines

    def items(self, decode: Callable[[bytes], Sequence[T]]) -> Iterator[T | bytes]:
        """Take the items of an array whose bracket was taken, and the bracket that closes it.

        *decode* takes most items in memory at once, as an array; what it does not take is given
        item by item, not decoded.

        Raises:
            Uncut: the array is not closed.
        """
        searched = b""
        while (first := self.skip(_COMMAS)) != b"]":
            many = () if self.body is searched else self._many(decode)
            if many:
                yield from many
                continue
            searched = self.body
            item = self.value(value_end)
            if item is None or not first:
                raise Uncut
            yield item.strip()
        self.at += 1

    def _many(self, decode: Callable[[bytes], Sequence[T]]) -> Sequence[T]:
        """Decode most items in memory at once: guess where one begins, and let decoding prove it.

        What is not an item's beginning leaves a bracket open. Fifteen times as fast as looking at
        every bracket; none where the guess is wrong, or a value cannot be decoded.
        """
        body, end = self.body, len(self.body)
        head = _HEAD.match(body, self.at)
        for _ in range(GUESSES if head else 0):
            end = body.rfind(head[0], self.at + 1, end) if head else -1
            comma = body.rfind(b",", self.at, end) if end > 0 else -1
            if comma < 0:
                break
            try:
                found = decode(b"".join((b"[", memoryview(body)[self.at : comma], b"]")))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            self.at = comma
            return found
        return ()
