"""Cuts and compresses bodies without holding the event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Protocol, cast

try:
    from isal import isal_zlib as backend
except ImportError:  # no wheel for this processor; two to three times slower
    import zlib as backend  # type: ignore[no-redef] # the same interface

# A millisecond or two of rendering and compressing: what one turn of the loop may cost.
PIECE_BYTES = 256 * 1024
_GZIP_FRAMING = 31


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


def pieces(segments: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Cut segments so that none is longer than one turn of the loop may handle."""
    for segment in segments:
        view = memoryview(segment)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


async def paced(segments: Iterable[bytes | memoryview]) -> AsyncIterator[memoryview]:
    """Give pieces; others get a turn of the loop after every PIECE_BYTES."""
    size = 0
    for piece in pieces(segments):
        yield piece
        size += len(piece)
        if size >= PIECE_BYTES:
            size = 0
            await asyncio.sleep(0)


async def gzip(segments: Iterable[bytes | memoryview]) -> list[bytes]:
    """Compress at level 1: metrics shrink tenfold, a better level costs more than it saves.

    Segments that are made as they are taken never exist all at once.
    """
    compressor = cast(_Compressor, backend.compressobj(level=1, wbits=_GZIP_FRAMING))
    packed = [compressor.compress(piece) async for piece in paced(segments)]
    packed.append(compressor.flush())
    return [b"".join(packed)]  # a write to a socket costs more than a copy of what is left
