"""Compresses bodies without holding the event loop, and no part of them twice."""

import asyncio
import struct
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator
from functools import cached_property
from typing import Final, Protocol, cast
from weakref import WeakKeyDictionary

from exporter.web.checksum import Sum
from exporter.web.ports import BodyPart

try:
    from isal import isal_zlib as backend
except ImportError:  # no wheel for this processor; two to three times slower
    import zlib as backend  # type: ignore[no-redef] # the same interface

# A millisecond or two of rendering and compressing: what one turn of the loop may cost.
PIECE_BYTES = 256 * 1024

# RFC 1952: no name, no time, fastest, from an unknown system; then RFC 1951's empty last block.
_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
_LAST: Final = b"\x03\0"
_RAW: Final = -15


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class _Packed:
    """A part in compressed form, which refers to nothing before it.

    It was compressed behind what has the sum *before*, which made that *after*: to work its own out
    of these, once it is met again, costs less than to read it twice.
    """

    def __init__(self, blocks: list[bytes], before: Sum, after: Sum) -> None:
        self.blocks = blocks
        self._before = before
        self._after = after

    @cached_property
    def sum(self) -> Sum:
        """Its own sum."""
        return self._after.behind(self._before)


class Pace:
    """Lets others have a turn of the loop after every PIECE_BYTES."""

    def __init__(self) -> None:
        self._done = 0

    async def did(self, size: int) -> None:
        """Note that so many bytes were handled."""
        self._done += size
        if self._done >= PIECE_BYTES:
            self._done = 0
            await asyncio.sleep(0)


class GzipStream:
    """Compresses at level 1: metrics shrink tenfold, a better level costs more than it saves.

    A part is compressed by itself, which costs a few bytes, and remembered for as long as its
    content lives: nearly all of a scrape says what the one before it said.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Hashable, _Packed] = WeakKeyDictionary()

    async def compress(self, parts: Iterable[BodyPart]) -> list[bytes]:
        """Make one gzip member of the parts; no more than one of them exists at a time."""
        compressor = cast(_Compressor, backend.compressobj(level=1, wbits=_RAW))
        pace, total, blocks = Pace(), Sum(), [_HEADER]
        for part in parts:
            packed = self._known.get(part.content)
            if packed is None:
                packed, total = await _pack(part, compressor, pace, total)
                self._known[part.content] = packed
            else:
                total = total.then(packed.sum)
                await pace.did(sum(map(len, packed.blocks)))
            blocks += packed.blocks
        trailer = struct.pack("<LL", total.crc, total.size & 0xFFFFFFFF)
        return [b"".join([*blocks, _LAST, trailer])]  # a write costs more than a copy


async def _pack(
    part: BodyPart, compressor: _Compressor, pace: Pace, before: Sum
) -> tuple[_Packed, Sum]:
    """Compress a part; give also what the sum *before* is with it."""
    blocks, after = list[bytes](), before
    for piece in pieces([part.text()]):
        blocks.append(compressor.compress(piece))
        after = Sum(after.size + len(piece), backend.crc32(piece, after.crc))
        await pace.did(len(piece))
    blocks.append(compressor.flush(backend.Z_FULL_FLUSH))
    return _Packed(blocks, before, after), after


def pieces(segments: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Cut segments so that none is longer than one turn of the loop may handle."""
    for segment in segments:
        view = memoryview(segment)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


async def paced(segments: Iterable[bytes | memoryview]) -> AsyncIterator[memoryview]:
    """Give pieces; others get a turn of the loop after every PIECE_BYTES."""
    pace = Pace()
    for piece in pieces(segments):
        yield piece
        await pace.did(len(piece))
