"""Compresses bodies without holding the event loop, and no part of them twice."""

import asyncio
import struct
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, cast
from weakref import WeakKeyDictionary

from exporter.web.checksum import Sum
from exporter.web.ports import Part

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


class _Packed(NamedTuple):
    """A part in compressed form, which refers to nothing before it."""

    blocks: list[bytes]
    sum: Sum


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


class Gzip:
    """Compresses at level 1: metrics shrink tenfold, a better level costs more than it saves.

    A part is compressed by itself, which costs a few bytes, and remembered for as long as its
    content lives: nearly all of a scrape says what the one before it said.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Hashable, _Packed] = WeakKeyDictionary()

    async def compress(self, parts: Iterable[Part]) -> list[bytes]:
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


async def _pack(part: Part, compressor: _Compressor, pace: Pace, total: Sum) -> tuple[_Packed, Sum]:
    """Compress a part; give also what *total* is with it, which costs less than ``then`` once."""
    blocks, own = [], Sum()
    for piece in pieces([part.text()]):
        blocks.append(compressor.compress(piece))
        own, total = _over(piece, own), _over(piece, total)
        await pace.did(len(piece))
    blocks.append(compressor.flush(backend.Z_FULL_FLUSH))
    return _Packed(blocks, own), total


def _over(piece: memoryview, total: Sum) -> Sum:
    return Sum(total.size + len(piece), backend.crc32(piece, total.crc))


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
