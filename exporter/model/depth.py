"""JSON that is nested too deep to be decoded, cut down to what can be."""

import re
from typing import Final

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
