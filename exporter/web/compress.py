"""Compression and pacing of bodies: neither holds the event loop for long."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

try:
    from isal import isal_zlib as backend
except ImportError:  # no wheel for this processor; two to three times slower
    import zlib as backend  # type: ignore[no-redef] # the same interface

PIECE_BYTES: Final = 256 * 1024
"""What is rendered, compressed or written in one turn of the loop: a millisecond or two."""

_LEVEL: Final = 1
"""Metrics shrink tenfold; a better level costs more CPU than it saves bytes."""

_GZIP: Final = 31
"""The window of 32 KiB (15), plus 16 for a gzip header and trailer."""


async def gzipped(segments: Iterable[bytes]) -> bytes:
    """Make one gzip member of segments; no more than one of them exists at a time."""
    compressor = backend.compressobj(level=_LEVEL, wbits=_GZIP)
    blocks = [compressor.compress(piece) async for piece in paced(segments)]
    return b"".join([*blocks, compressor.flush()])  # a write costs more than a copy


def pieces(segments: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Cut segments into pieces of at most PIECE_BYTES."""
    for segment in segments:
        view = memoryview(segment)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


async def paced(segments: Iterable[bytes | memoryview]) -> AsyncIterator[memoryview]:
    """Yield pieces; others get a turn of the loop after every PIECE_BYTES."""
    done = 0
    for piece in pieces(segments):
        yield piece
        done += len(piece)
        if done >= PIECE_BYTES:
            done = 0
            await asyncio.sleep(0)
