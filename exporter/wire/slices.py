"""JSON cut into the bytes of its values, without decoding what is in them.

A decoder gives a whole document up for one token that it cannot read: ``NaN``, half of a surrogate
pair, a byte that is no UTF-8. Cut first, the object with that token is the only one that is lost.
Only strings and brackets are looked at; what is not closed, or closed by the wrong bracket, cannot
be cut.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY: Final = re.compile(rb"\s*+(" + _STRING + rb")\s*+:", re.DOTALL)
_TO_SEPARATOR: Final = re.compile(rb'(?:[^",\[\]{}]++|' + _STRING + rb")*+", re.DOTALL)
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+", re.DOTALL)
_CLOSING: Final = {b"[": b"]", b"{": b"}"}


class Uncut(ValueError):  # noqa: N818 - says what the text is
    """The text is not of the kind that was to be cut, or is not closed where it should be."""


def field(body: bytes, name: str) -> bytes | None:
    """Cut the value of one field out of an object; None when it has none of that name.

    Raises:
        Uncut: it is no object, or a value before that field cannot be cut.
    """
    wanted = f'"{name}"'.encode()
    at = _opened(body, b"{")
    while (key := _KEY.match(body, at)) is not None:
        end = _end(body, key.end())
        if key[1] == wanted:
            return body[key.end() : end].strip()
        if body[end : end + 1] == b"}":
            return None
        at = end + 1
    if body[at:].lstrip()[:1] == b"}":
        return None
    raise Uncut


def elements(body: bytes) -> Iterator[bytes]:
    """Cut an array into its elements.

    Raises:
        Uncut: it is no array, or an element of it cannot be cut.
    """
    at, last = _opened(body, b"["), b","
    while last == b",":
        end = _end(body, at)
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
    return _closed(body, at)


def _opened(body: bytes, bracket: bytes) -> int:
    """Find what comes after the bracket that a text begins with."""
    start = len(body) - len(body.lstrip())
    if body[start : start + 1] != bracket:
        raise Uncut
    return start + 1


def _end(body: bytes, at: int) -> int:
    """Find the comma or the bracket behind a value."""
    while True:
        at = _after(_TO_SEPARATOR, body, at)
        if body[at : at + 1] not in _CLOSING:
            if body[at : at + 1] in (b",", b"]", b"}"):
                return at
            raise Uncut
        at = _closed(body, at)


def _closed(body: bytes, at: int) -> int:
    """Find what comes after the bracket that closes the one that stands at a place."""
    awaited = [_CLOSING[body[at : at + 1]]]
    while awaited:
        at = _after(_TO_BRACKET, body, at + 1)
        bracket = body[at : at + 1]
        if bracket in _CLOSING:
            awaited.append(_CLOSING[bracket])
        elif bracket != awaited.pop():
            raise Uncut
    return at + 1


def _after(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    match = pattern.match(body, at)
    return match.end() if match else at


DEEPEST: Final = 64
"""Levels that are kept; what is read of an object lies within ten."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def shallow(body: bytes) -> bytes:
    """Replace what is nested deeper than ``DEEPEST`` levels by null.

    A decoder recurses to skip a value, so without this one object nested ten thousand deep, which
    API servers accept in fields that keep anything, would make its whole page unreadable.
    """
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(body):
        match body[token.start()]:
            case 0x5B | 0x7B:
                depth += 1
                if depth == DEEPEST + 1:
                    kept += (body[begin : token.start()], b"null")
            case 0x5D | 0x7D:
                if depth == DEEPEST + 1:
                    begin = token.end()
                depth -= 1
    kept.append(body[begin:] if depth <= DEEPEST else b"")
    return b"".join(kept)


UNNAMED: Final = "(unnamed)"
_LONGEST: Final = 256
_text = msgspec.json.Decoder(str).decode


def identify(body: bytes) -> str:
    """Name an object that could not be decoded, "namespace/name" as far as it can be read."""
    try:
        metadata = field(body, "metadata") or b""
        parts = [_said(metadata, each) for each in ("namespace", "name")]
    except Uncut:
        return UNNAMED
    return "/".join(part for part in parts if part)[:_LONGEST] or UNNAMED


def _said(metadata: bytes, name: str) -> str:
    try:
        return _text(field(metadata, name) or b'""')
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
